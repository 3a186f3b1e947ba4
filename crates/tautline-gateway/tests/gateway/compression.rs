//! permessage-deflate (RFC 7692), where it is enabled.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use serde_json::{Value, json, value::to_raw_value};
use tautline_gateway::{GatewayBuilder, PublishOptions};
use tautline_protocol::ChannelName;
use tautline_websocket::{Decoder, Deflate, Event, Opcode, Role, encode_compressed};

use crate::{
    handshake::Handshake,
    rig::{Rig, config_with_long_linger, open_to_all},
};

/// The offer of browsers.
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
const ANSWER: &str = "sec-websocket-extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
const KEY: [u8; 4] = [1, 2, 3, 4];

fn compressing() -> GatewayBuilder {
    let mut config = config_with_long_linger();
    config.compression = true;
    open_to_all().config(config)
}

/// A client that compresses all messages, and keeps received frames as they are.
struct Phone {
    stream: TcpStream,
    decoder: Decoder,
}

/// A message: its frame and its packet.
#[derive(Debug, PartialEq)]
struct Received {
    frame: Vec<u8>,
    packet: Value,
}

impl Received {
    fn is_compressed(&self) -> bool {
        self.frame[0] & 0x40 != 0
    }
}

impl Phone {
    /// Connects as a guest, and waits for `welcome`.
    fn dial(rig: &Rig) -> Self {
        let mut stream = rig.dial();
        let request = Handshake::new().with(OFFER).text();
        stream.write_all(request.as_bytes()).expect("the gateway reads");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("the gateway answers");
            answer.extend(byte);
        }
        let answer = String::from_utf8(answer).expect("text");
        assert!(answer.contains(ANSWER), "{answer}");
        let decoder = Decoder::new(Role::Client, 1 << 20).with_deflate(Some(Deflate::LARGEST_WINDOW));
        let mut phone = Self { stream, decoder };
        phone.send(&json!({"hello": {"v": 1, "auth": {"guest": true}}}));
        assert!(phone.receive().packet["welcome"].is_object());
        phone
    }

    fn send(&mut self, packet: &Value) {
        self.send_text(&packet.to_string());
    }

    fn send_text(&mut self, text: &str) {
        let mut out = Vec::new();
        encode_compressed(&mut out, Opcode::Text, text.as_bytes(), Deflate::LARGEST_WINDOW, Some(KEY));
        self.stream.write_all(&out).expect("the gateway reads");
    }

    /// The next message, which holds one packet.
    fn receive(&mut self) -> Received {
        let mut frame = Vec::new();
        loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).expect("the gateway speaks");
            frame.extend(byte);
            let mut unread = byte.as_mut_slice();
            match self.decoder.decode(&mut unread).expect("it keeps the rules") {
                None => {}
                Some(Event::Text(text)) => {
                    let packet = serde_json::from_str(text).expect("one packet");
                    return Received { frame, packet };
                }
                Some(Event::Close { code, .. }) => return Received { frame, packet: json!({"close": code}) },
                Some(other) => panic!("expected a packet, got {other:?}"),
            }
        }
    }

    fn send_request(&mut self, packet: &Value) -> Received {
        self.send(packet);
        self.receive()
    }
}

fn publish(rig: &Rig, data: &Value) {
    let channel = ChannelName::parse("room:7").expect("valid");
    rig.publish(&channel, &to_raw_value(data).expect("json"), PublishOptions::default());
}

#[test]
fn compression_is_negotiated_only_where_enabled() {
    let answer = Rig::serve(open_to_all()).exchange(&Handshake::new().with(OFFER).text());
    assert!(answer.starts_with("HTTP/1.1 101") && !answer.contains("extensions"), "{answer}");
    let rig = Rig::serve(compressing());
    let answer = rig.exchange(&Handshake::new().text());
    assert!(answer.starts_with("HTTP/1.1 101") && !answer.contains("extensions"), "{answer}");
    let unknown = Handshake::new().with("Sec-WebSocket-Extensions: x-new, permessage-deflate; new");
    assert!(!rig.exchange(&unknown.text()).contains("extensions"));
    let second = Handshake::new().with("Sec-WebSocket-Extensions: x-new").with(OFFER);
    assert!(rig.exchange(&second.text()).contains(ANSWER));
}

#[test]
fn long_message_is_compressed_and_unchanged() {
    let rig = Rig::serve(compressing());
    let mut phone = Phone::dial(&rig);
    let mut plain = rig.guest();
    phone.send_request(&json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    plain.request("subscribe", &json!({"channel": "room:7"}));
    let long = json!({"text": "see you at the station ".repeat(100)});
    publish(&rig, &long);
    let message = phone.receive();
    assert!(message.is_compressed() && message.frame.len() < 300, "{} bytes", message.frame.len());
    assert_eq!(message.packet, plain.receive());
    assert_eq!(message.packet["pub"]["data"], long);
    publish(&rig, &json!("short"));
    assert!(!phone.receive().is_compressed());
    let reply = phone.send_request(&json!({"id": 2, "call": {"method": "echo", "data": long}}));
    assert!(reply.is_compressed());
    assert_eq!(reply.packet["ok"]["data"], long);
}

#[test]
fn subscribers_get_identical_compressed_bytes() {
    let rig = Rig::serve(compressing());
    let mut phones: Vec<_> = (0..5).map(|_| Phone::dial(&rig)).collect();
    for phone in &mut phones {
        phone.send_request(&json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    }
    publish(&rig, &json!("again and again ".repeat(1000)));
    let messages: Vec<_> = phones.iter_mut().map(Phone::receive).collect();
    assert!(messages[0].is_compressed());
    assert!(messages.iter().all(|one| *one == messages[0]));
}

#[test]
fn message_inflated_beyond_limit_closes_connection() {
    let rig = Rig::serve(compressing());
    let mut phone = Phone::dial(&rig);
    phone.send_text(&" ".repeat(50 << 20));
    assert_eq!(phone.receive().packet, json!({"close": 1009}));
    let mut phone = Phone::dial(&rig);
    phone.stream.write_all(b"\xc1\x82\0\0\0\0\xff\xff").expect("the gateway reads");
    assert_eq!(phone.receive().packet, json!({"close": 1007}));
}
