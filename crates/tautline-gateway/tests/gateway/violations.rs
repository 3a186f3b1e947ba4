//! Bad input: what it gets is what RFC 6455 or the protocol says, and nobody else notices.

use std::{
    io::{Read as _, Write as _},
    time::Duration,
};

use serde_json::{Value, json};
use tautline_gateway::GatewayConfig;
use tautline_websocket::{encode_binary, encode_text};
use tungstenite::Message;

use crate::rig::{Client, Rig, open_to_all};

const KEY: Option<[u8; 4]> = Some([7, 1, 9, 4]);

/// What a client gets for these bytes, while another one goes on undisturbed.
fn close_after(send: impl FnOnce(&mut Client)) -> u16 {
    let rig = Rig::serve(open_to_all());
    let mut witness = rig.guest();
    let mut client = rig.guest();
    send(&mut client);
    let (code, _) = client.hear_close();
    client.expect_hang_up();
    assert_eq!(witness.echo(&json!("undisturbed")), "undisturbed");
    rig.wait_until("the other has gone", |gateway| gateway.stats().connections == 1);
    assert_eq!(rig.gateway.stats().panics, 0);
    code
}

fn framed(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes);
    bytes
}

#[test]
fn a_frame_without_a_mask_is_a_protocol_error() {
    assert_eq!(close_after(|client| client.write_raw(&framed(|out| encode_text(out, "{}", None)))), 1002);
}

#[test]
fn broken_utf8_is_not_listened_to() {
    let mut bytes = framed(|out| encode_binary(out, b"\"\xff\"", KEY));
    bytes[0] = 0x81;
    assert_eq!(close_after(|client| client.write_raw(&bytes)), 1007);
}

#[test]
fn a_binary_message_is_data_of_the_wrong_kind() {
    assert_eq!(close_after(|client| client.socket.send(Message::binary(vec![1, 2])).unwrap()), 1003);
}

#[test]
fn a_message_too_large_is_refused_at_its_header() {
    assert_eq!(close_after(|client| client.write_raw(b"\x81\xff\0\0\0\0\0\x01\0\x01\0\0\0\0")), 1009);
}

#[test]
fn a_peer_that_goes_on_talking_after_a_violation_still_gets_the_reason() {
    let code = close_after(|client| {
        client.write_raw(b"\xf1\x00");
        client.write_raw(&vec![0; 4096]);
    });
    assert_eq!(code, 1002);
}

#[test]
fn what_is_no_packet_gets_a_bye_in_words() {
    let rig = Rig::serve(open_to_all());
    let mut client = rig.guest();
    client.socket.send(Message::text("[1,2")).unwrap();
    assert_eq!(client.hear()["bye"]["code"], "bad_packet");
    assert_eq!(client.hear_close().0, 4201);
    client.expect_hang_up();
}

#[test]
fn a_guest_is_refused_where_guests_are_not_let_in() {
    let rig = Rig::serve(open_to_all().guests(false));
    let mut client = rig.connect();
    client.say(&json!({"hello": {"v": 1, "auth": {"guest": true}}}));
    let bye = client.hear();
    assert_eq!(bye["bye"]["code"], "unauthorized");
    assert_eq!(client.hear_close().0, 4102);
}

#[test]
fn a_forged_ticket_is_challenged_on_the_same_line() {
    let rig = Rig::serve(open_to_all());
    let mut client = rig.connect();
    client.say(&json!({"hello": {"v": 1, "resume": {"ticket": "forged", "attempt": 1, "cursors": {}}}}));
    assert!(client.hear()["challenge"]["code"].is_string());
    client.hello_as_guest();
}

#[test]
fn a_peer_that_never_answers_the_goodbye_is_not_waited_for() {
    let mut config = GatewayConfig::default();
    config.linger_timeout = Duration::from_millis(50);
    let rig = Rig::serve(open_to_all().config(config));
    let mut client = rig.guest();
    client.write_raw(&framed(|out| encode_text(out, "{\"bye\":{}}", KEY)));
    rig.wait_until("it was let go", |gateway| gateway.stats().connections == 0);
}

#[test]
fn half_a_head_for_ever_is_cut() {
    let mut config = GatewayConfig::default();
    config.http_request_timeout = Duration::from_millis(100);
    let rig = Rig::serve(open_to_all().config(config));
    let mut stream = rig.dial();
    stream.write_all(b"GET /connect HTTP/1.1\r\nHost: line.example\r\nX-Slow: ").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    rig.wait_until("it was let go", |gateway| gateway.stats().http_connections == 0);
}

#[test]
fn a_head_without_end_is_cut_by_its_size() {
    let rig = Rig::serve(open_to_all());
    let answer = rig.exchange(&format!("GET /connect HTTP/1.1\r\nHost: a\r\nX-Long: {}", "x".repeat(20_000)));
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[test]
fn what_is_no_http_at_all_is_cut() {
    let answer = Rig::serve(open_to_all()).exchange("\x16\x03\x01 this is TLS, or something else\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[test]
fn ten_thousand_subscriptions_are_refused_above_the_limit_and_the_line_goes_on() {
    let rig = Rig::serve(open_to_all());
    let mut client = rig.guest();
    let mut refused = Vec::new();
    for batch in 0..100 {
        for n in 0..100 {
            client.ask("subscribe", &json!({"channel": format!("room:{batch}:{n}")}));
        }
        refused.extend((0..100).map(|_| client.hear()).filter(|answer| answer["error"]["code"] == "limit"));
    }
    assert_eq!(refused.len(), 10_000 - 1024);
    assert_eq!(client.echo(&json!("still here")), Value::from("still here"));
}
