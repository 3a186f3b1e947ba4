//! The client against a gateway in this process, through a cable that is pulled.

mod acknowledge;
mod dial;
mod logins;
mod msgpack;
mod reentrant;
mod stage;
mod storage;
mod tls;

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json, value::RawValue};
use stage::{Cable, client, guest, next_publication, open_gateway, serve, soon, subscribed, token_of};
use tautline_client::{
    ClientEvent, ClientOptions, DropCause, ErrorCode, Format, HistoryPlace, Login, ReadFrom, RequestError,
    State, SubscribeError, SubscriptionEvent,
};
use tautline_gateway::Retention;
use tautline_gateway::{Gateway, PublishOptions};
use tautline_protocol::ChannelName;
use tokio::sync::Semaphore;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn what_is_published_comes_out_to_the_letter() {
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let line = client(guest(serve(&gateway).await));
    let mut room = line.subscribe("room:7", ReadFrom::Now).await.unwrap();
    subscribed(&mut room).await;

    let data = RawValue::from_string("{\"b\": 1.50,  \"a\": [1e2, \"\\u00e9\"]}".to_owned()).unwrap();
    let published = soon(line.publish("room:7", &data)).await.unwrap();
    assert_eq!(published.offset, 1);
    let publication = next_publication(&mut room).await;
    assert_eq!(publication.data.get(), data.get());
    assert_eq!((publication.offset, publication.at, &publication.epoch), (1, published.at, &published.epoch));
}

#[tokio::test]
async fn calls_history_and_presence_answer_in_types() {
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let line = client(guest(serve(&gateway).await));
    let answer: Vec<u32> = soon(line.call("echo", &[1, 2, 3])).await.unwrap();
    assert_eq!(answer, [1, 2, 3]);
    let error = soon(line.call::<String>("echo", &1)).await.unwrap_err();
    assert_eq!(error.code(), "decode");
    let error = soon(line.call::<Value>("nobody", &())).await.unwrap_err();
    assert_eq!(error.code(), "not_found");

    for number in 1..=3 {
        soon(line.publish("room:7", &number)).await.unwrap();
    }
    let page = soon(line.history("room:7", HistoryPlace::Oldest, 2)).await.unwrap();
    assert_eq!(page.publications.iter().map(|entry| entry.data.get()).collect::<Vec<_>>(), ["1", "2"]);
    assert!(page.more);
    let page = soon(line.history("room:7", HistoryPlace::Newest, 1)).await.unwrap();
    assert_eq!(page.publications[0].offset, 3);

    let mut room = line.subscribe("room:7", ReadFrom::Start).await.unwrap();
    assert_eq!(next_publication(&mut room).await.offset, 1);
    assert_eq!(soon(line.presence("room:7")).await.unwrap().count, 1);
}

#[tokio::test]
async fn a_cable_that_is_pulled_again_and_again_loses_nothing_and_doubles_nothing() {
    pull_the_cable(Format::Json).await;
}

/// Publishes and hears 400 publications over a cable that is pulled ten times meanwhile.
async fn pull_the_cable(format: Format) {
    const PUBLICATIONS: u64 = 400;
    let gateway = open_gateway(Retention::default()).build().expect("a gateway");
    let mut cable = Cable::to(serve(&gateway).await).await;
    let line = client(ClientOptions { format, ..guest(cable.address) });
    let mut room = line.subscribe("room:7", ReadFrom::Now).await.expect("subscribed");
    subscribed(&mut room).await;

    let publisher = tokio::spawn({
        let line = line.clone();
        async move {
            for number in 1..=PUBLICATIONS {
                let published = line.publish("room:7", &number).await.expect("each publish settles well");
                assert_eq!(published.offset, number, "executed once, in order");
            }
        }
    });
    for expected in 1..=PUBLICATIONS {
        let publication = next_publication(&mut room).await;
        assert_eq!((publication.offset, publication.json::<u64>().expect("a number")), (expected, expected));
        if expected % 40 == 0 {
            cable.pull();
        }
    }
    soon(publisher).await.expect("the publisher is content");
    cable.accepted(1 + PUBLICATIONS / 40 / 2).await;
}

#[tokio::test]
async fn a_call_that_runs_while_the_socket_dies_is_executed_once_and_answered() {
    let (runs, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (counted, opened) = (Arc::clone(&runs), Arc::clone(&gate));
    let gateway = open_gateway(Retention::default())
        .call("slow", move |call| {
            counted.fetch_add(1, Ordering::SeqCst);
            let opened = Arc::clone(&opened);
            async move {
                let _permit = opened.acquire().await;
                Ok(call.data)
            }
        })
        .build()
        .unwrap();
    let mut cable = Cable::to(serve(&gateway).await).await;
    let line = client(guest(cable.address));
    let answer = tokio::spawn({
        let line = line.clone();
        async move { line.call::<u32>("slow", &7).await }
    });
    while runs.load(Ordering::SeqCst) == 0 {
        soon(line.call::<Value>("echo", &())).await.unwrap();
    }
    cable.pull();
    cable.accepted(2).await;
    soon(line.call::<Value>("echo", &())).await.unwrap();
    gate.add_permits(1);
    assert_eq!(soon(answer).await.unwrap().unwrap(), 7);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn every_request_settles_when_the_app_closes_the_line() {
    let gateway =
        open_gateway(Retention::default()).call("never", |_call| std::future::pending()).build().unwrap();
    let cable = Cable::to(serve(&gateway).await).await;
    let line = client(guest(cable.address));
    let mut room = line.subscribe("room:7", ReadFrom::Now).await.unwrap();
    subscribed(&mut room).await;
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..50 {
        let line = line.clone();
        asked.spawn(async move { line.call::<Value>("never", &number).await });
    }
    // Its answer comes behind the fifty, so they are on their way.
    soon(line.call::<Value>("echo", &())).await.unwrap();
    soon(line.close()).await;
    while let Some(settled) = soon(asked.join_next()).await {
        assert_eq!(settled.unwrap().unwrap_err().code(), "closed");
    }
    assert_eq!(line.state(), State::Closed);
    assert!(soon(room.next()).await.is_none());
    assert_eq!(line.publish("room:7", &1).await.unwrap_err().code(), "closed");
    assert_eq!(line.subscribe("room:8", ReadFrom::Now).await.unwrap_err(), SubscribeError::Closed);
    soon(line.close()).await;
}

#[tokio::test]
async fn requests_made_without_a_connection_wait_for_one() {
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let mut cable = Cable::to(serve(&gateway).await).await;
    cable.plug(false);
    let line = client(guest(cable.address));
    let answer = tokio::spawn({
        let line = line.clone();
        async move { line.call::<u32>("echo", &7).await }
    });
    cable.accepted(3).await;
    cable.plug(true);
    assert_eq!(soon(answer).await.unwrap().unwrap(), 7);
}

#[tokio::test]
async fn an_app_that_does_not_read_stops_the_client_from_reading_and_still_misses_nothing() {
    const PUBLICATIONS: u64 = 6_000;
    let kept = Retention { count: 10_000, bytes: 64 * 1024 * 1024, ..Retention::default() };
    let gateway = open_gateway(kept).build().unwrap();
    let address = serve(&gateway).await;
    let cable = Cable::to(address).await;
    let mut options = guest(cable.address);
    options.subscription_events_max = 4;
    let idle_line = client(options);
    let mut idle = idle_line.subscribe("room:7", ReadFrom::Now).await.unwrap();
    subscribed(&mut idle).await;
    let witness_line = client(guest(address));
    let mut witness = witness_line.subscribe("room:7", ReadFrom::Now).await.unwrap();
    subscribed(&mut witness).await;

    let data = RawValue::from_string(format!("\"{}\"", "x".repeat(4_000))).unwrap();
    let room = ChannelName::parse("room:7").unwrap();
    publish_while_read(&gateway, &room, &data, PUBLICATIONS, &mut witness).await;
    let carried = cable.down_bytes();
    assert!(carried < PUBLICATIONS * 4_000 / 2, "{carried} bytes went to an app that read nothing");
    for expected in 1..=PUBLICATIONS {
        assert_eq!(next_publication(&mut idle).await.offset, expected);
    }
}

#[tokio::test]
async fn an_app_that_asks_for_each_publication_read_gets_its_answers() {
    const PUBLICATIONS: u64 = 900;
    let kept = Retention { count: 10_000, bytes: 64 * 1024 * 1024, ..Retention::default() };
    let gateway = open_gateway(kept).build().unwrap();
    let address = serve(&gateway).await;
    let writer = client(guest(address));
    for number in 1..=PUBLICATIONS {
        soon(writer.publish("room:7", &number)).await.unwrap();
    }
    let mut options = guest(address);
    options.subscription_events_max = 4;
    let line = client(options);
    let mut room = line.subscribe("room:7", ReadFrom::Start).await.unwrap();
    for expected in 1..=PUBLICATIONS {
        assert_eq!(next_publication(&mut room).await.offset, expected);
        match expected % 3 {
            0 => drop(soon(line.publish("room:log", &expected)).await.unwrap()),
            1 => assert_eq!(soon(line.call::<u64>("echo", &expected)).await.unwrap(), expected),
            _ => drop(soon(line.history("room:log", HistoryPlace::Newest, 1)).await.unwrap()),
        }
    }
    let page = soon(line.history("room:log", HistoryPlace::Oldest, 1_000)).await.unwrap();
    assert_eq!(page.publications.len() as u64, PUBLICATIONS / 3, "each was published once");
}

async fn publish_while_read(
    gateway: &Gateway,
    room: &ChannelName,
    data: &RawValue,
    publications: u64,
    witness: &mut tautline_client::Subscription,
) {
    for expected in 1..=publications {
        let published = gateway.publish(room, data, PublishOptions::default()).await;
        published.expect("the back end may publish");
        assert_eq!(next_publication(witness).await.offset, expected);
    }
}

#[tokio::test]
async fn a_dropped_subscription_is_ended_on_the_gateway_and_can_be_made_again() {
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let line = client(guest(serve(&gateway).await));
    let mut room = line.subscribe("room:7", ReadFrom::Now).await.unwrap();
    subscribed(&mut room).await;
    let error = line.subscribe("room:7", ReadFrom::Now).await.unwrap_err();
    assert_eq!(error, SubscribeError::Already("room:7".to_owned()));
    drop(room);
    while soon(line.presence("room:7")).await.unwrap().count > 0 {}
    let mut room = line.subscribe("room:7", ReadFrom::Now).await.unwrap();
    subscribed(&mut room).await;
}

#[tokio::test]
async fn a_subscription_that_is_refused_ends_with_the_reason() {
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let line = client(guest(serve(&gateway).await));
    let mut staff = line.subscribe("staff", ReadFrom::Now).await.unwrap();
    match soon(staff.next()).await {
        Some(SubscriptionEvent::Ended { code, .. }) => assert_eq!(code, ErrorCode::PermissionDenied),
        other => panic!("{other:?}"),
    }
    assert!(soon(staff.next()).await.is_none());
    let error = line.subscribe("two words", ReadFrom::Now).await.unwrap_err();
    assert!(matches!(error, SubscribeError::Name(..)), "{error}");
}

#[tokio::test]
async fn a_refused_login_stops_the_client_until_the_app_says_otherwise() {
    let gateway = Gateway::builder().build().unwrap();
    let line = client(guest(serve(&gateway).await));
    let mut events = line.events();
    for _ in 0..2 {
        assert!(soon(line.wait_for(|state| *state == State::Stopped(DropCause::AuthFailed))).await);
        soon(line.reconnect()).await;
        assert!(soon(line.wait_for(|state| *state == State::Connecting)).await);
    }
    let mut causes = HashSet::new();
    while causes.is_empty() {
        if let ClientEvent::Dropped(dropped) = soon(events.recv()).await.unwrap() {
            causes.insert(dropped.cause);
        }
    }
    assert_eq!(causes, HashSet::from([DropCause::AuthFailed]));
}

#[tokio::test]
async fn a_request_over_the_message_limit_costs_itself_and_not_the_line() {
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let line = client(guest(serve(&gateway).await));
    let error: RequestError = soon(line.publish("room:7", &"x".repeat(70_000))).await.unwrap_err();
    assert_eq!(error.code(), "too_large");
    let answer: Value = soon(line.call("echo", &json!({"still": "there"}))).await.unwrap();
    assert_eq!(answer, json!({"still": "there"}));
}

#[tokio::test]
async fn the_inbox_brings_what_is_published_to_the_user() {
    let gateway = open_gateway(Retention::default()).jwt_hs256(SECRET).build().unwrap();
    let login = Login::token(token_of("u42", SECRET));
    let line = client(ClientOptions { login, ..guest(serve(&gateway).await) });
    let mut inbox = line.inbox().await.unwrap();
    let name = ChannelName::parse("user:u42").unwrap();
    for number in 1..=3 {
        gateway
            .publish(&name, &RawValue::from_string(number.to_string()).unwrap(), PublishOptions::default())
            .await
            .unwrap();
    }
    for number in 1..=3 {
        let publication = next_publication(&mut inbox).await;
        assert_eq!((publication.channel.as_str(), publication.json::<u64>().unwrap()), ("user:u42", number));
    }
}

#[tokio::test]
async fn login_ends_everything_of_the_last_user() {
    let gateway = open_gateway(Retention::default()).jwt_hs256(SECRET).build().unwrap();
    let login = Login::token(token_of("u1", SECRET));
    let line = client(ClientOptions { login, ..guest(serve(&gateway).await) });
    let mut inbox = line.inbox().await.unwrap();
    let mut room = line.subscribe("room:7", ReadFrom::Now).await.unwrap();
    subscribed(&mut room).await;

    line.login(Login::token(token_of("u2", SECRET))).await;
    for subscription in [&mut inbox, &mut room] {
        let end = loop {
            let event = soon(subscription.next()).await.expect("an end is told");
            if let SubscriptionEvent::Ended { code, .. } = event {
                break code;
            }
        };
        assert_eq!(end.as_str(), "user_changed");
        assert!(soon(subscription.next()).await.is_none());
    }
    // The channels are free for the next user at once.
    let mut inbox = line.inbox().await.unwrap();
    let mut room = line.subscribe("room:7", ReadFrom::Now).await.unwrap();
    subscribed(&mut room).await;
    for user in ["u1", "u2"] {
        let name = ChannelName::parse(&format!("user:{user}")).unwrap();
        let whose = RawValue::from_string(json!(user).to_string()).unwrap();
        gateway.publish(&name, &whose, PublishOptions::default()).await.unwrap();
    }
    assert_eq!(next_publication(&mut inbox).await.data.get(), "\"u2\"");
}

#[tokio::test]
async fn a_client_that_nobody_holds_any_more_hangs_up() {
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let line = client(guest(serve(&gateway).await));
    let mut room = line.subscribe("room:7", ReadFrom::Now).await.unwrap();
    subscribed(&mut room).await;
    drop(line);
    assert_eq!(gateway.stats().connections, 1, "a subscription keeps it");
    drop(room);
    soon(async {
        while gateway.stats().connections > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_publish_that_the_app_gives_up_before_it_was_sent_is_not_published() {
    let gateway = open_gateway(Retention::default()).build().unwrap();
    let mut cable = Cable::to(serve(&gateway).await).await;
    cable.plug(false);
    let line = client(guest(cable.address));
    let given_up = tokio::spawn({
        let line = line.clone();
        async move { line.publish("room:7", &"given up").await }
    });
    // By then the driver has seen it: it dials again and again.
    cable.accepted(3).await;
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    cable.plug(true);
    assert_eq!(soon(line.publish("room:7", &"meant")).await.unwrap().offset, 1);
    assert!(!soon(line.history("room:7", HistoryPlace::Oldest, 10)).await.unwrap().more);
}
