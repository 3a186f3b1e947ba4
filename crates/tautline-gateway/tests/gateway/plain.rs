//! The plain endpoint over real sockets: an ordinary WebSocket client without Tautline's protocol.

use std::{
    net::{Shutdown, TcpStream},
    num::NonZero,
    time::Duration,
};

use serde_json::{Value, json, value::RawValue};
use tautline_gateway::{
    ConnectionBeyond, GatewayBuilder, NodeLimits, PlainConfig, PublishOptions, RateSet, Rates,
};
use tautline_hub::Inbox;
use tautline_protocol::{ChannelName, Limits, UserId};
use tungstenite::{Message, WebSocket};

use crate::{
    bystander::with_bystander,
    handshake::Handshake,
    logins::{FAR_AWAY, SECRET, token},
    offences,
    rig::{Answer, Rig, TEST_TIMEOUT, config, config_with_long_linger, http_answer, open_to_all},
};

/// A gateway with the plain endpoint.
fn plain() -> GatewayBuilder {
    plain_with(|_| {})
}

fn plain_with(change: impl FnOnce(&mut PlainConfig)) -> GatewayBuilder {
    let mut config = PlainConfig::default();
    config.enabled = true;
    change(&mut config);
    open_to_all().jwt_hs256(SECRET).plain(config)
}

/// A client that sends and receives texts.
struct PlainClient {
    socket: WebSocket<TcpStream>,
}

impl PlainClient {
    fn connect(rig: &Rig) -> Self {
        Self::connect_to(rig, "/plain")
    }

    fn connect_to(rig: &Rig, path: &str) -> Self {
        let uri = format!("ws://{}{path}", rig.address);
        let (socket, _) = tungstenite::client(uri, rig.dial()).expect("the handshake succeeds");
        Self { socket }
    }

    /// Behind the login of this user.
    fn login(rig: &Rig, user: &str) -> Self {
        let mut client = Self::connect(rig);
        client.auth(user);
        client
    }

    fn auth(&mut self, user: &str) {
        let token = token(&json!({"sub": user, "exp": FAR_AWAY}));
        let answer = self.ask(&json!({"type": "auth", "token": token}).to_string());
        let expected = json!({"msgType": "auth_ack", "code": "200", "success": true, "user": user});
        assert_eq!(answer, expected);
    }

    fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("the gateway reads");
    }

    /// The next text; answers pings in between.
    fn receive(&mut self) -> String {
        loop {
            match self.socket.read().expect("the gateway speaks in time") {
                Message::Text(text) => return text.as_str().to_owned(),
                Message::Ping(_) => self.socket.flush().expect("the gateway reads"),
                other => panic!("expected a text, got {other:?}"),
            }
        }
    }

    fn ask(&mut self, text: &str) -> Value {
        self.send(text);
        let answer = self.receive();
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("expected JSON, got {answer}"))
    }

    /// The code of the close frame; texts before it are skipped.
    fn receive_close(&mut self) -> u16 {
        loop {
            match self.socket.read().expect("the gateway speaks in time") {
                Message::Close(frame) => return frame.expect("a code").code.into(),
                Message::Text(_) | Message::Ping(_) => {}
                other => panic!("expected a close frame, got {other:?}"),
            }
        }
    }

    fn cut(self) {
        self.socket.get_ref().shutdown(Shutdown::Both).expect("it is open");
    }
}

fn push(rig: &Rig, user: &str, data: &Value) -> u64 {
    let user = UserId::parse(user).expect("a user");
    let data = RawValue::from_string(data.to_string()).expect("JSON");
    rig.publish(&ChannelName::of_user(&user).expect("a name"), &data, PublishOptions::default()).offset
}

fn push_to(rig: &Rig, channel: &str, data: &Value) {
    let data = RawValue::from_string(data.to_string()).expect("JSON");
    rig.publish(&ChannelName::parse(channel).expect("a name"), &data, PublishOptions::default());
}

fn inbox(rig: &Rig, user: &str) -> Inbox {
    let user = UserId::parse(user).expect("a user");
    rig.runtime.block_on(rig.gateway.inbox(&user)).expect("the engine answers")
}

/// Waits until everything up to this offset is acknowledged.
fn wait_for_acknowledgement(rig: &Rig, user: &str, offset: u64) {
    rig.wait_until("the push is acknowledged", |_| inbox(rig, user).acknowledged == offset);
}

#[test]
fn plain_endpoint_is_absent_by_default() {
    let answer = Rig::serve(open_to_all()).exchange(&Handshake::to("GET /plain HTTP/1.1").text());
    assert_eq!(http_answer(&answer), Answer::Http(404));
}

#[test]
fn heartbeats_and_calls_of_plain_client_are_answered() {
    let rig = Rig::serve(plain());
    let mut client = PlainClient::connect(&rig);
    client.send("ping");
    assert_eq!(client.receive(), "pong");
    assert_eq!(client.ask(r#"{"type":"echo"}"#)["code"], "unauthorized");
    client.auth("u42");
    client.send(r#"{"type":"echo","id":7,"text":"\ud800"}"#);
    let answer =
        r#"{"msgType":"echo_ack","id":7,"code":"200","success":true,"data":{"id":7,"text":"\ud800"}}"#;
    assert_eq!(client.receive(), answer, "half a surrogate goes through as it is");
    assert_eq!(client.ask(r#"{"type":"nothing"}"#)["code"], "not_found");
}

#[test]
fn guest_calls_on_plain_endpoint() {
    let rig = Rig::serve(plain());
    let mut client = PlainClient::connect(&rig);
    assert_eq!(client.ask(r#"{"type":"auth","guest":true}"#)["success"], true);
    assert_eq!(client.ask(r#"{"type":"echo","n":1}"#)["data"], json!({"n": 1}));
}

#[test]
fn refused_login_of_plain_client_says_why() {
    let rig = Rig::serve(plain());
    let mut client = PlainClient::connect(&rig);
    let answer = client.ask(r#"{"type":"auth","token":"forged"}"#);
    assert_eq!((&answer["code"], &answer["success"]), (&json!("unauthorized"), &json!(false)));
    let answer = client.ask(r#"{"type":"auth","code":"c0de","provider":"nobody"}"#);
    assert_eq!(answer["success"], false);
    client.auth("u42");
}

#[test]
fn token_in_the_url_logs_plain_client_in() {
    let rig = Rig::serve(plain_with(|config| config.token_parameter = Some("token".to_owned())));
    let token = token(&json!({"sub": "u42", "exp": FAR_AWAY}));
    let mut client = PlainClient::connect_to(&rig, &format!("/plain?v=1&token={token}"));
    assert!(client.receive().contains(r#""success":true,"user":"u42""#));
}

#[test]
fn push_during_absence_arrives_after_next_login() {
    let rig = Rig::serve(plain());
    let mut client = PlainClient::login(&rig, "u42");
    push(&rig, "u42", &json!({"n": 1}));
    assert_eq!(client.receive(), r#"{"n":1}"#);
    client.send("ping");
    assert_eq!(client.receive(), "pong");
    wait_for_acknowledgement(&rig, "u42", 1);
    client.cut();
    push(&rig, "u42", &json!({"n": 2}));
    let mut client = PlainClient::login(&rig, "u42");
    assert_eq!(client.receive(), r#"{"n":2}"#, "the first one is not sent again");
}

#[test]
fn push_without_pong_is_sent_again() {
    let rig = Rig::serve(plain());
    let mut client = PlainClient::login(&rig, "u42");
    push(&rig, "u42", &json!("lost on the way"));
    // The ping is behind the push, and is not read.
    assert_eq!(client.receive(), "\"lost on the way\"");
    client.cut();
    rig.wait_until("it is gone", |gateway| gateway.stats().connections == 0);
    assert_eq!(inbox(&rig, "u42").acknowledged, 0);
    assert_eq!(PlainClient::login(&rig, "u42").receive(), "\"lost on the way\"");
}

#[test]
fn two_accounts_receive_on_one_socket() {
    let rig = Rig::serve(plain());
    let mut client = PlainClient::login(&rig, "u1");
    client.auth("u2");
    push(&rig, "u1", &json!("for u1"));
    assert_eq!(client.receive(), "\"for u1\"");
    push(&rig, "u2", &json!("for u2"));
    assert_eq!(client.receive(), "\"for u2\"");
    client.send("ping");
    assert_eq!(client.receive(), "pong");
    wait_for_acknowledgement(&rig, "u1", 1);
    assert_eq!(client.ask(r#"{"type":"logout","$user":"u1"}"#)["success"], true);
    push(&rig, "u1", &json!("not seen"));
    push(&rig, "u2", &json!("still for u2"));
    assert_eq!(client.receive(), "\"still for u2\"");
}

#[test]
fn renewed_login_keeps_session_and_misses_no_push() {
    let rates = Rates {
        connections_per_user_max: NonZero::new(1),
        connections_per_user_beyond: ConnectionBeyond::RefuseNewest,
        ..Rates::default()
    };
    let rig = Rig::serve(plain().limits(NodeLimits { rates, ..NodeLimits::default() }));
    let mut client = PlainClient::connect(&rig);
    for n in 1..=3 {
        let token = token(&json!({"sub": "u42", "exp": FAR_AWAY + n, "subs": ["news"]}));
        let answer = client.ask(&json!({"type": "auth", "token": token}).to_string());
        assert_eq!((&answer["code"], &answer["user"]), (&json!("200"), &json!("u42")), "{answer}");
        push_to(&rig, "news", &json!(n));
        assert_eq!(client.receive(), n.to_string(), "each push once");
    }
    assert_eq!(rig.gateway.stats().hub.sessions, 1);
    assert_eq!(client.ask(r#"{"type":"echo","n":1}"#)["data"], json!({"n": 1}));
}

#[test]
fn bytes_of_plain_message_are_charged_once_for_all_accounts() {
    let address = RateSet { bytes: "9KiB/h".parse().ok(), ..RateSet::default() };
    let rates = Rates { address, ..Rates::default() };
    let rig = Rig::serve(plain().limits(NodeLimits { rates, ..NodeLimits::default() }));
    let mut client = PlainClient::login(&rig, "u1");
    client.auth("u2");
    let heartbeat = format!("{}ping", "x".repeat(3_996));
    for _ in 0..2 {
        client.send(&heartbeat);
        assert_eq!(client.receive(), "pong");
    }
    let refused = client.ask(&heartbeat);
    assert_eq!((&refused["msgType"], &refused["code"]), (&json!("error"), &json!("rate_limited")));
    assert!(refused["retry_after_ms"].as_u64().expect("a wait") > 1_000_000, "{refused}");
    assert_eq!(client.receive_close(), 4003);
}

#[test]
fn silent_plain_client_is_kept_by_its_pongs() {
    let limits = Limits { ping_ms: 300, pong_ms: 3_000, ..Limits::default() };
    let rig = Rig::serve(plain().limits(limits));
    let mut client = PlainClient::login(&rig, "u42");
    // For longer than a peer may be silent.
    for _ in 0..13 {
        assert!(matches!(client.socket.read(), Ok(Message::Ping(_))));
        client.socket.flush().expect("the gateway reads");
    }
    client.send("ping");
    assert_eq!(client.receive(), "pong");
}

#[test]
fn plain_client_that_answers_no_ping_is_closed() {
    let limits = Limits { ping_ms: 100, pong_ms: 100, ..Limits::default() };
    let rig = Rig::serve(plain().limits(limits));
    let _mute = PlainClient::login(&rig, "u42");
    rig.wait_until("it is gone", |gateway| gateway.stats().hub.connections == 0);
}

#[test]
fn plain_connection_without_login_is_closed() {
    let rig = Rig::serve(plain_with(|config| config.auth_timeout = Duration::from_millis(100)));
    let mut client = PlainClient::connect(&rig);
    assert_eq!(client.receive_close(), 4010);
}

#[test]
fn drain_closes_plain_clients_with_and_without_accounts() {
    let rig = Rig::serve(plain());
    let (mut stranger, mut client) = (PlainClient::connect(&rig), PlainClient::login(&rig, "u42"));
    client.auth("u43");
    let closed = std::thread::spawn(move || (stranger.receive_close(), client.receive_close()));
    rig.runtime.block_on(rig.gateway.drain(Duration::ZERO, TEST_TIMEOUT));
    assert_eq!(closed.join().expect("both were closed"), (4001, 4001));
}

#[test]
fn subprotocol_of_plain_client_is_named_back() {
    let rig = Rig::serve(plain());
    let to_plain = || Handshake::to("GET /plain HTTP/1.1");
    let answer = rig.exchange(&to_plain().with("Sec-WebSocket-Protocol: chat, v2").text());
    assert!(answer.contains("sec-websocket-protocol: chat\r\n"), "{answer}");
    let answer = rig.exchange(&to_plain().with("Sec-WebSocket-Protocol: tautline.v1.json").text());
    assert_eq!(http_answer(&answer), Answer::Http(400));
}

// Hostile input.

const PUSHES: usize = 400;

#[test]
fn plain_reader_that_stops_reading_holds_little_memory() {
    let rig = Rig::serve(plain());
    let mut stalled = PlainClient::login(&rig, "u42");
    let data = json!("x".repeat(4096));
    for _ in 0..PUSHES {
        push(&rig, "u42", &data);
    }
    let last = push(&rig, "u42", &json!("the last one"));
    // What is not sent stays in the inbox, which keeps less than was pushed: a gap tells, and one more where the gateway
    // itself was late.
    let (mut received, mut gaps) = (0, 0);
    loop {
        let text = stalled.receive();
        if text == "\"the last one\"" {
            break;
        }
        gaps += usize::from(text.contains(r#""msgType":"gap""#));
        received += 1;
    }
    assert!(gaps >= 1 && received < PUSHES, "{received} of {PUSHES} texts, {gaps} gaps");
    stalled.send("ping");
    assert_eq!(stalled.receive(), "pong");
    wait_for_acknowledgement(&rig, "u42", last);
}

#[test]
fn stalled_plain_reader_is_closed_at_its_timeout() {
    let mut config = config();
    config.stall_timeout = Duration::from_millis(100);
    let rig = Rig::serve(plain().config(config));
    let _stalled = PlainClient::login(&rig, "u42");
    for _ in 0..PUSHES {
        push(&rig, "u42", &json!("x".repeat(4096)));
    }
    rig.wait_until("it is gone", |gateway| gateway.stats().connections == 0);
}

#[test]
fn plain_client_flooding_heartbeats_unread_is_not_read() {
    let rig = Rig::serve(plain());
    let mut client = PlainClient::connect(&rig);
    let pings: Vec<u8> = (0..10_000).flat_map(|_| offences::text("ping")).collect();
    let stream = client.socket.get_ref().try_clone().expect("a socket");
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut &stream, &pings));
    for _ in 0..10_000 {
        assert_eq!(client.receive(), "pong");
    }
    writer.join().expect("it does not panic").expect("the gateway reads again");
}

#[test]
fn ten_thousand_logins_close_only_their_connection() {
    with_bystander(plain(), |rig, bystander| {
        let mut offender = PlainClient::connect(rig);
        for _ in 0..10_000 {
            if offender.socket.send(Message::text(r#"{"type":"auth","token":"forged"}"#)).is_err() {
                break;
            }
        }
        assert_eq!(offender.receive_close(), 4003);
        bystander.check_service();
    });
}

#[test]
fn odd_texts_of_plain_client_are_answered_with_errors() {
    let deep = format!(r#"{{"type":"echo","deep":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    let odd = [
        "hello",
        "[]",
        "\u{0}",
        r#"{"type":1}"#,
        r#"{"type":{"type":"echo"}}"#,
        r#"{"type":"\ud800"}"#,
        r#"{"\ud800":1,"type":"echo"}"#,
        r#"{"type":"echo","type":"echo"}"#,
        &deep,
        &"x".repeat(60_000),
    ];
    with_bystander(plain(), |rig, bystander| {
        let mut offender = PlainClient::login(rig, "u42");
        for text in odd {
            assert_eq!(offender.ask(text)["code"], "bad_request", "{}", &text[..text.len().min(60)]);
        }
        bystander.check_service();
        assert_eq!(offender.ask(r#"{"type":"echo"}"#)["success"], true, "it goes on");
        offender.cut();
    });
}

#[test]
fn binary_or_oversized_message_of_plain_client_closes() {
    let builder = || plain().config(config_with_long_linger());
    let too_large = Limits::default().message_bytes_max + 1;
    for (frame, code) in [(offences::binary(), 1003), (offences::head_of_text(too_large), 1009)] {
        with_bystander(builder(), |rig, bystander| {
            let mut offender = PlainClient::connect(rig);
            std::io::Write::write_all(offender.socket.get_mut(), &frame).expect("the gateway reads");
            bystander.check_service();
            assert_eq!(offender.receive_close(), code);
        });
    }
}
