//! What a login leads to: an inbox that connects, channels that the gateway subscribes, and a session of its own.

use serde_json::{json, value::RawValue};
use tautline_client::{ClientEvent, ClientOptions, Login, ReadFrom, RequestOptions, State};
use tautline_gateway::{PublishOptions, Retention};
use tautline_protocol::ChannelName;

use crate::{
    SECRET,
    stage::{client, guest, next_publication, open_gateway, serve, signed, soon, subscribed, token_of},
};

#[tokio::test]
async fn inbox_after_a_refusal_and_a_login_connects() {
    let gateway = open_gateway(Retention::default()).jwt_hs256(SECRET).build().expect("a gateway");
    let forged = Login::token(token_of("u1", "another secret, as long as it must be"));
    let line = client(ClientOptions { login: forged, ..guest(serve(&gateway).await) });
    assert!(soon(line.wait_for(|state| matches!(state, State::Stopped(_)))).await);
    line.login(Login::token(token_of("u1", SECRET))).await;
    assert!(soon(line.wait_for(|state| *state == State::Idle)).await);

    let mut inbox = line.inbox().await.expect("it is free");
    assert!(soon(line.wait_for(|state| *state == State::Online)).await);
    let data = RawValue::from_string("7".to_owned()).expect("json");
    let name = ChannelName::parse("user:u1").expect("a name");
    gateway.publish(&name, &data, PublishOptions::default()).await.expect("published");
    assert_eq!(next_publication(&mut inbox).await.data.get(), "7");
}

#[tokio::test]
async fn channel_of_the_login_is_heard_from_its_cursor() {
    let gateway = open_gateway(Retention::default()).jwt_hs256(SECRET).build().expect("a gateway");
    let publish = async |data: &str| {
        let data = RawValue::from_string(data.to_owned()).expect("json");
        let room = ChannelName::parse("room:7").expect("a name");
        gateway.publish(&room, &data, PublishOptions::default()).await.expect("published");
    };
    publish("1").await;
    let login = Login::token(signed(json!({"sub": "u1", "subs": ["room:7"]}), SECRET));
    let line = client(ClientOptions { login, ..guest(serve(&gateway).await) });
    let mut events = line.events();
    let cursor = loop {
        if let ClientEvent::Subscribed { channel, cursor, .. } = soon(events.recv()).await.expect("an event")
        {
            assert_eq!(channel, "room:7");
            break cursor;
        }
    };
    assert_eq!(cursor.offset, 1);
    // Comes before the app has decided to listen.
    publish("2").await;
    soon(line.call::<u32>("echo", &1)).await.expect("an answer behind the publication");
    let mut room = line.subscribe("room:7", ReadFrom::Cursor(cursor)).await.expect("nobody else has it");
    publish("3").await;
    for data in ["2", "3"] {
        assert_eq!(next_publication(&mut room).await.data.get(), data);
    }
}

#[tokio::test]
async fn publication_without_echo_reaches_other_clients_alone() {
    let gateway = open_gateway(Retention::default()).build().expect("a gateway");
    let address = serve(&gateway).await;
    let (sender, other) = (client(guest(address)), client(guest(address)));
    let mut mine = sender.subscribe("room:7", ReadFrom::Now).await.expect("it is free");
    let mut theirs = other.subscribe("room:7", ReadFrom::Now).await.expect("it is free");
    subscribed(&mut mine).await;
    subscribed(&mut theirs).await;
    let quietly = RequestOptions { without_echo: true, ..RequestOptions::default() };
    soon(sender.publish_with("room:7", &1, quietly)).await.expect("published");
    soon(sender.publish("room:7", &2)).await.expect("published");
    for data in ["1", "2"] {
        assert_eq!(next_publication(&mut theirs).await.data.get(), data);
    }
    assert_eq!(next_publication(&mut mine).await.data.get(), "2");
}
