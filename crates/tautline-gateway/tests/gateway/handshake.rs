//! The opening handshake, RFC 6455 §4.2.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use serde_json::json;
use tungstenite::{WebSocket, protocol::Role};

use crate::rig::{Rig, config, open_to_all};

/// The example request of the RFC, changed line by line.
pub struct Handshake(Vec<String>);

impl Handshake {
    pub fn new() -> Self {
        Self::to("GET /connect HTTP/1.1")
    }

    pub fn to(first_line: &str) -> Self {
        let lines = [
            first_line,
            "Host: line.example",
            "Upgrade: websocket",
            "Connection: keep-alive, Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        Self(lines.map(str::to_owned).into())
    }

    pub fn with(mut self, line: &str) -> Self {
        self.0.push(line.to_owned());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|line| !line.starts_with(name));
        self
    }

    pub fn text(&self) -> String {
        self.0.join("\r\n") + "\r\n\r\n"
    }

    fn answer(&self, rig: &Rig) -> String {
        rig.exchange(&self.text())
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

#[test]
fn rfc_example_key_gets_the_rfc_answer() {
    let answer = Handshake::new().answer(&Rig::serve(open_to_all()));
    assert_eq!(status(&answer), "101");
    assert!(answer.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
    assert!(!answer.contains("sec-websocket-protocol"), "none was offered: {answer}");
}

#[test]
fn request_without_upgrade_is_refused_with_its_reason() {
    let rig = Rig::serve(open_to_all());
    for name in ["Upgrade", "Connection"] {
        let answer = Handshake::new().without(name).answer(&rig);
        assert_eq!(status(&answer), "426", "without {name}");
        assert!(answer.contains("upgrade: websocket\r\n") && answer.contains("this path"), "{answer}");
    }
    let answer = Handshake::to("POST /connect HTTP/1.1").answer(&rig);
    assert_eq!(status(&answer), "405");
    assert!(answer.contains("allow: GET\r\n"), "{answer}");
    let mut head_only = rig.dial();
    head_only.write_all(Handshake::to("HEAD /connect HTTP/1.1").text().as_bytes()).unwrap();
    assert_eq!(status(&read_head(&mut head_only)), "405");
    assert_eq!(status(&Handshake::to("GET /connect HTTP/1.0").answer(&rig)), "400");
    assert_eq!(status(&Handshake::new().without("Host").answer(&rig)), "400");
}

#[test]
fn key_other_than_one_of_sixteen_bytes_is_refused() {
    let rig = Rig::serve(open_to_all());
    let with_key = |key: &str| Handshake::new().without("Sec-WebSocket-Key").with(key);
    for line in ["X-Nothing: 0", "Sec-WebSocket-Key: c2hvcnQ=", "Sec-WebSocket-Key: not base64 at all !!"] {
        assert_eq!(status(&with_key(line).answer(&rig)), "400", "{line}");
    }
    let twice = Handshake::new().with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(status(&twice.answer(&rig)), "400");
}

#[test]
fn first_known_subprotocol_is_chosen() {
    let rig = Rig::serve(open_to_all());
    let offers = [
        "tautline.v1.json",
        "chat, tautline.v1.json,tautline.v1.msgpack",
        "chat\r\nSec-WebSocket-Protocol: tautline.v1.json",
    ];
    for offer in offers {
        let answer = Handshake::new().with(&format!("Sec-WebSocket-Protocol: {offer}")).answer(&rig);
        assert_eq!(status(&answer), "101", "{offer}");
        assert!(answer.contains("sec-websocket-protocol: tautline.v1.json\r\n"), "{answer}");
    }
    let offer = "Sec-WebSocket-Protocol: tautline.v2.json, tautline.v1.msgpack, tautline.v1.json";
    let answer = Handshake::new().with(offer).answer(&rig);
    assert!(answer.contains("sec-websocket-protocol: tautline.v1.msgpack\r\n"), "{answer}");
}

#[test]
fn foreign_subprotocols_open_without_one() {
    let answer = Handshake::new().with("Sec-WebSocket-Protocol: chat").answer(&Rig::serve(open_to_all()));
    assert_eq!(status(&answer), "101");
    assert!(!answer.contains("sec-websocket-protocol"), "{answer}");
}

#[test]
fn unknown_format_is_refused_with_a_list() {
    let rig = Rig::serve(open_to_all());
    for offer in ["tautline.v1.cbor", "tautline.v2.json"] {
        let answer = Handshake::new().with(&format!("Sec-WebSocket-Protocol: {offer}")).answer(&rig);
        assert_eq!(status(&answer), "400", "{offer}");
        assert!(answer.contains("tautline.v1.json"), "{answer}");
    }
    let by_query = |query: &str| Handshake::to(&format!("GET /connect?{query} HTTP/1.1")).answer(&rig);
    assert_eq!(status(&by_query("format=json")), "101");
    assert_eq!(status(&by_query("a=b&format=json")), "101");
    assert_eq!(status(&by_query("format=msgpack")), "101");
    assert!(by_query("format=xml").contains("format=json and format=msgpack"));
}

#[test]
fn unlisted_origin_is_refused() {
    let rig = Rig::serve(open_to_all().allowed_origins(["https://shop.example"]));
    let from = |origin: &str| Handshake::new().with(&format!("Origin: {origin}")).answer(&rig);
    assert_eq!(status(&from("https://shop.example")), "101");
    assert_eq!(status(&from("https://shop.example.evil.example")), "403");
    assert_eq!(status(&from("null")), "403");
    assert_eq!(status(&Handshake::new().answer(&rig)), "101", "what is no browser names none");
}

#[test]
fn origins_of_mini_games_and_apps_can_be_listed() {
    let listed = ["weapp://wechat-game-runtime", "capacitor://localhost", "null"];
    let rig = Rig::serve(open_to_all().allowed_origins(listed));
    let from = |origin: &str| Handshake::new().with(&format!("Origin: {origin}")).answer(&rig);
    for origin in listed {
        assert_eq!(status(&from(origin)), "101", "{origin}");
    }
    for origin in ["weapp://another-runtime", "capacitor://localhost.evil.example", "file://", "nullable"] {
        assert_eq!(status(&from(origin)), "403", "{origin}");
    }
}

#[test]
fn default_port_of_an_origin_may_be_omitted() {
    let listed =
        ["https://shop.example:443", "http://shop.example", "HTTPS://Big.Example", "http://odd.example:443"];
    let rig = Rig::serve(open_to_all().allowed_origins(listed));
    let from = |origin: &str| Handshake::new().with(&format!("Origin: {origin}")).answer(&rig);
    for origin in
        ["https://shop.example", "http://shop.example:80", "https://big.example", "http://odd.example:443"]
    {
        assert_eq!(status(&from(origin)), "101", "{origin}");
    }
    for origin in ["https://shop.example:80", "https://shop.example:8443", "http://odd.example"] {
        assert_eq!(status(&from(origin)), "403", "{origin}");
    }
}

#[test]
fn connection_beyond_ceiling_gets_503_until_one_closes() {
    let mut config = config();
    config.connections_max = 1;
    let rig = Rig::serve(open_to_all().config(config));
    let first = rig.guest();
    let answer = Handshake::new().answer(&rig);
    assert_eq!(status(&answer), "503");
    assert!(answer.contains("retry-after: 5\r\n") && answer.contains("overloaded"), "{answer}");
    first.disconnect();
    rig.wait_until("the first has gone", |gateway| gateway.stats().connections == 0);
    assert_eq!(rig.guest().echo(&json!(1)), 1);
}

#[test]
fn packets_sent_with_the_handshake_are_read() {
    let rig = Rig::serve(open_to_all());
    let mut stream = rig.dial();
    let mut bytes = Handshake::new().text().into_bytes();
    tautline_websocket::encode_text(
        &mut bytes,
        r#"{"hello":{"v":1,"auth":{"guest":true}}}"#,
        Some([7, 1, 9, 4]),
    );
    stream.write_all(&bytes).unwrap();
    let answer = read_head(&mut stream);
    assert_eq!(status(&answer), "101");
    let mut socket = WebSocket::from_raw_socket(stream, Role::Client, None);
    assert!(socket.read().unwrap().into_text().unwrap().starts_with(r#"{"welcome""#));
}

/// Reads the head of a response, and no byte behind it.
fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the gateway answers in time");
        head.extend_from_slice(&byte);
    }
    String::from_utf8_lossy(&head).into_owned()
}
