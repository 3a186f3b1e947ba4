//! Login storms: many new clients at once, and a vendor that is slow or hangs.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tautline_hub::LoginRefused;
use tokio::time::Instant;

use super::{FakeNetwork, NOW, at, logins, options, user, wechat};
use crate::mock::MockVendor;

/// Lets all tasks run that can.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn calls_at_once_are_bounded_and_others_wait_their_turn() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let mut options = options("wechat");
    (options.calls_running_max, options.logins_waiting_max) = (4, 10);
    let logins = logins(options, &network);
    network.hold();
    let clients: Vec<_> = (0..30)
        .map(|n| {
            let logins = Arc::clone(&logins);
            tokio::spawn(async move { wechat(&logins, NOW, &format!("u{n}.1")).await })
        })
        .collect();
    settle().await;
    assert_eq!(network.held(), 4);
    for _ in 0..10 {
        network.release();
        settle().await;
    }
    assert_eq!((network.held(), network.requests()), (0, 10));
    let (mut welcome, mut told) = (0, 0);
    for client in clients {
        match client.await.unwrap() {
            Ok(_) => welcome += 1,
            Err(LoginRefused::Unavailable(words)) if words.contains("too many") => told += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((welcome, told), (10, 20));
}

#[tokio::test(start_paused = true)]
async fn two_thousand_clients_at_a_slow_vendor_are_all_let_in() {
    const CLIENTS: usize = 2_000;
    let network = FakeNetwork::to(MockVendor::WeChat);
    *network.delay.lock().unwrap() = Duration::from_millis(300);
    let mut options = options("wechat");
    (options.calls_running_max, options.logins_waiting_max) = (50, 200);
    options.calls_per_second_max = CLIENTS;
    let (logins, begin) = (logins(options, &network), Instant::now());
    let passed_ms = move || u64::try_from(begin.elapsed().as_millis()).unwrap();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let logins = Arc::clone(&logins);
            tokio::spawn(async move {
                loop {
                    match wechat(&logins, at(passed_ms()), &format!("u{n}.1")).await {
                        Ok(identity) => return identity.user.unwrap().as_str().to_owned(),
                        // It comes again with the same code, spread as the hub spreads those whom it sends away.
                        Err(LoginRefused::Unavailable(_)) => {
                            tokio::time::sleep(Duration::from_millis(500 + n as u64 % 500)).await;
                        }
                        Err(other) => panic!("{other:?}"),
                    }
                }
            })
        })
        .collect();
    for (n, client) in clients.into_iter().enumerate() {
        assert_eq!(client.await.unwrap(), format!("wechat:u{n}"));
    }
    assert_eq!(network.requests(), CLIENTS, "each code is sent once");
    assert_eq!(*network.running.lock().unwrap(), (0, 50));
    // 50 at once, 300 ms each: 12 s, and at most two more for those who come again last.
    let passed = begin.elapsed();
    assert!((Duration::from_secs(12)..=Duration::from_secs(14)).contains(&passed), "{passed:?}");
}

#[tokio::test(start_paused = true)]
async fn vendor_that_hangs_is_asked_by_few_and_left_alone() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let mut options = options("wechat");
    options.calls_running_max = 32;
    let logins = logins(options, &network);
    network.hold();
    let clients: Vec<_> = (0..200)
        .map(|n| {
            let logins = Arc::clone(&logins);
            tokio::spawn(async move { wechat(&logins, NOW, &format!("u{n}.1")).await })
        })
        .collect();
    for client in clients {
        let refused = client.await.unwrap().unwrap_err();
        assert!(matches!(refused, LoginRefused::Unavailable(_)), "{refused:?}");
    }
    assert_eq!(network.held(), 32, "calls for 200 clients");
    let refused = wechat(&logins, at(5_000), "ann.1").await.unwrap_err();
    assert!(matches!(refused, LoginRefused::Unavailable(_)));
    assert_eq!(network.held(), 32, "it was not asked once more");
}

#[tokio::test(start_paused = true)]
async fn vendor_that_answers_again_is_asked_again() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let logins = logins(options("wechat"), &network);
    for n in 0..30 {
        assert!(wechat(&logins, NOW, &format!("fail.{n}")).await.is_err());
    }
    assert_eq!(network.requests(), 20, "then it is not asked");
    assert!(wechat(&logins, at(4_999), "ann.1").await.is_err());
    assert_eq!(user(wechat(&logins, at(5_000), "ann.2").await).unwrap(), "wechat:ann");
    assert_eq!(network.requests(), 21);
}

#[tokio::test]
async fn address_beyond_its_codes_is_told_when_to_come_again() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let mut options = options("wechat");
    options.codes_per_address_max = 60;
    let logins = logins(options, &network);
    let login = async |address: &str, n: usize| {
        let address: IpAddr = address.parse().unwrap();
        logins.authenticate(NOW, "wechat", &format!("u.{n}"), Some(address)).await
    };
    for n in 0..60 {
        assert!(login("192.0.2.1", n).await.is_ok());
    }
    let refused = login("192.0.2.1", 60).await.unwrap_err();
    assert_eq!(refused, LoginRefused::RateLimited { retry_after_ms: 1_000 });
    assert!(login("192.0.2.2", 61).await.is_ok(), "others are let in");
    assert!(login("192.0.2.1", 0).await.is_ok(), "a code that is known costs nothing");
    assert_eq!(network.requests(), 61);
}

#[tokio::test]
async fn app_beyond_its_calls_is_told_to_come_again() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let mut options = options("wechat");
    options.calls_per_second_max = 5;
    let logins = logins(options, &network);
    for n in 0..5 {
        assert!(wechat(&logins, NOW, &format!("u.{n}")).await.is_ok());
    }
    let refused = wechat(&logins, NOW, "u.5").await.unwrap_err();
    assert!(matches!(refused, LoginRefused::Unavailable(words) if words.contains("too many")));
    assert!(wechat(&logins, at(200), "u.5").await.is_ok());
}
