//! Connections in msgpack beside those in json (protocol, section 2).

use std::thread;

use serde_json::{Value, json};
use tautline_gateway::PublishOptions;
use tautline_protocol::{ChannelName, Format};
use tungstenite::Message;

use crate::{
    handshake::Handshake,
    rig::{Answer, Client, Rig, bye, open_to_all},
};

fn reader(rig: &Rig, format: Format) -> Client {
    let mut client = rig.guest_in(format);
    client.request("subscribe", &json!({"channel": "room:7"}));
    client
}

#[test]
fn msgpack_connection_carries_all_traffic() {
    let rig = Rig::serve(open_to_all());
    let mut client = rig.guest_in(Format::Msgpack);
    let data =
        json!({"hello": [1, -2.5, null, "世界", {"$bin": "AAECAw=="}], "big": u64::MAX, "small": i64::MIN});
    assert_eq!(client.echo(&data), data);
    let long = "x".repeat(60_000);
    assert_eq!(client.echo(&json!(long)), long);
    assert_eq!(client.request("call", &json!({"method": "dance"}))["error"]["code"], "not_found");
    client.request("publish", &json!({"channel": "room:7", "data": data}));
    let page = client.request("history", &json!({"channel": "room:7"}));
    assert_eq!(page["ok"]["publications"][0]["data"], data);
    client.socket.close(None).unwrap();
    assert_eq!(client.socket.read().unwrap(), Message::Close(None));
    client.expect_eof();
}

#[test]
fn publications_are_converted_between_formats() {
    let rig = Rig::serve(open_to_all());
    for (talks, listens) in [(Format::Json, Format::Msgpack), (Format::Msgpack, Format::Json)] {
        let mut listener = reader(&rig, listens);
        let data = json!({"photo": {"$bin": "/+8="}, "number": 0.5});
        rig.guest_in(talks).request("publish", &json!({"channel": "room:7", "data": data}));
        assert_eq!(listener.receive()["pub"]["data"], data, "{talks:?} to {listens:?}");
    }
}

#[test]
fn binary_data_is_sent_as_msgpack_bin() {
    let rig = Rig::serve(open_to_all());
    let mut client = reader(&rig, Format::Msgpack);
    let data = serde_json::value::to_raw_value(&json!({"$bin": "AP8Q"})).unwrap();
    rig.publish(&ChannelName::parse("room:7").unwrap(), &data, PublishOptions::default());
    let Message::Binary(message) = client.socket.read().unwrap() else { panic!("it is binary") };
    assert_eq!(message[..6], *b"\x81\xa3pub\x84");
    assert!(message.ends_with(b"\xa4data\xc4\x03\x00\xff\x10"), "{message:?}");
}

#[test]
fn format_in_query_replaces_a_subprotocol() {
    let rig = Rig::serve(open_to_all());
    let answer = rig.exchange(&Handshake::to("GET /connect?format=msgpack HTTP/1.1").text());
    assert!(answer.starts_with("HTTP/1.1 101") && !answer.contains("sec-websocket-protocol"), "{answer}");
    let (mut socket, _) =
        tungstenite::client(format!("ws://{}/connect?format=msgpack", rig.address), rig.dial()).unwrap();
    let hello = b"\x81\xa5hello\x82\xa1v\x01\xa4auth\x81\xa5guest\xc3";
    socket.send(Message::binary(&hello[..])).unwrap();
    let Message::Binary(message) = socket.read().unwrap() else { panic!("it is binary") };
    assert!(message.starts_with(b"\x81\xa7welcome"), "{message:?}");
}

fn final_answer_after(message: Message) -> Answer {
    let rig = Rig::serve(open_to_all());
    let mut bystander = rig.guest_in(Format::Msgpack);
    let mut client = rig.guest_in(Format::Msgpack);
    client.socket.send(message).expect("the gateway reads");
    let answer = client.final_answer();
    assert_eq!(bystander.echo(&json!("here")), "here");
    answer
}

#[test]
fn invalid_msgpack_gets_bye_others_unaffected() {
    let bombs = [
        b"\xc1".to_vec(),
        b"\x81\xa4ping".to_vec(),
        b"{\"ping\":{}}".to_vec(),
        [b"\x82\xa2id\x01\xa7publish".to_vec(), vec![0x91; 60_000]].concat(),
        b"\x82\xa2id\x01\xa7publish\xdf\xff\xff\xff\xff".to_vec(),
    ];
    for bomb in bombs {
        assert_eq!(final_answer_after(Message::binary(bomb)), bye("bad_packet", 4201, "never"));
    }
}

#[test]
fn text_on_msgpack_connection_closes_with_1003() {
    assert_eq!(final_answer_after(Message::text("{\"ping\":{}}")), Answer::Close(1003));
}

#[test]
fn msgpack_without_json_equivalent_is_refused() {
    let rig = Rig::serve(open_to_all());
    let mut client = rig.guest_in(Format::Msgpack);
    for data in [&b"\xd4\x01\x00"[..], b"\xcb\x7f\xf0\0\0\0\0\0\0", b"\x81\x01\x02", b"\xa1\xff"] {
        let message = [b"\x82\xa2id\x09\xa7publish\x82\xa7channel\xa1a\xa4data", data].concat();
        client.socket.send(Message::binary(message)).unwrap();
        let answer = client.receive();
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(9), &json!("bad_request")), "{answer}");
    }
    assert_eq!(client.echo(&Value::Null), Value::Null);
}

#[test]
fn readers_of_both_formats_get_all_in_order() {
    const MESSAGES: u64 = 300;
    let rig = Rig::serve(open_to_all());
    let formats = [Format::Msgpack, Format::Json, Format::Msgpack, Format::Json];
    let readers: Vec<_> = formats.map(|format| reader(&rig, format)).into_iter().collect();
    thread::scope(|scope| {
        for mut client in readers {
            scope.spawn(move || {
                for n in 1..=MESSAGES {
                    let received = client.receive();
                    assert_eq!(
                        (&received["pub"]["offset"], &received["pub"]["data"]),
                        (&json!(n), &json!({"n": n}))
                    );
                }
            });
        }
        let channel = ChannelName::parse("room:7").unwrap();
        for n in 1..=MESSAGES {
            let data = serde_json::value::to_raw_value(&json!({"n": n})).unwrap();
            rig.publish(&channel, &data, PublishOptions::default());
        }
    });
}
