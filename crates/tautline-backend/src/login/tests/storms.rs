//! Login storms: many new clients at once, and a vendor that is slow or hangs.

use std::{net::IpAddr, sync::Arc};

use tautline_hub::LoginRefused;

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
async fn vendor_that_hangs_is_asked_by_few_and_left_alone() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let mut options = options("wechat");
    options.calls_running_max = 16;
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
    assert_eq!(network.held(), 16, "calls for 200 clients");
    let refused = wechat(&logins, at(5_000), "ann.1").await.unwrap_err();
    assert!(matches!(refused, LoginRefused::Unavailable(_)));
    assert_eq!(network.held(), 16, "it was not asked once more");
}

#[tokio::test(start_paused = true)]
async fn vendor_that_answers_again_is_asked_again() {
    let network = FakeNetwork::to(MockVendor::WeChat);
    let logins = logins(options("wechat"), &network);
    for n in 0..30 {
        assert!(wechat(&logins, NOW, &format!("fail.{n}")).await.is_err());
    }
    assert_eq!(network.requests(), 10, "then it is not asked");
    assert!(wechat(&logins, at(7_999), "ann.1").await.is_err());
    assert_eq!(user(wechat(&logins, at(8_000), "ann.2").await).unwrap(), "wechat:ann");
    assert_eq!(network.requests(), 11);
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
