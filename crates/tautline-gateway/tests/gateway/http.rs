//! HTTP: deadlines, ceilings and error responses.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};
use tautline_gateway::GatewayConfig;

use crate::{
    handshake::Handshake,
    rig::{API_KEY, Rig, TEST_TIMEOUT, config_with_long_linger, open_to_all, read_answer},
};

/// Short enough for a test to wait for.
const SHORT: Duration = Duration::from_millis(100);
/// So long that a test which waits for it fails.
const HOURS: Duration = Duration::from_secs(3600);
const HEALTH: &str = "GET /health/live HTTP/1.1\r\nHost: line.example\r\n\r\n";

fn rig_with(change: impl FnOnce(&mut GatewayConfig)) -> Rig {
    let mut config = config_with_long_linger();
    config.http_head_timeout = HOURS;
    config.http_body_timeout = HOURS;
    config.http_idle_timeout = HOURS;
    change(&mut config);
    Rig::serve(open_to_all().config(config))
}

/// Reads to the end of the stream; a reset ends it as well, silence does not.
fn read_to_end(mut stream: TcpStream) -> String {
    let mut received = Vec::new();
    if let Err(error) = stream.read_to_end(&mut received) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it is never closed");
    }
    String::from_utf8_lossy(&received).into_owned()
}

fn get_health(stream: &mut TcpStream) {
    stream.write_all(HEALTH.as_bytes()).expect("the gateway reads");
    let answer = read_answer(stream);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
}

/// The status and the body.
fn parse(answer: &str) -> (u16, Value) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

// Each wait has a deadline of its own.

#[test]
fn silent_connection_is_closed_at_the_head_deadline() {
    let rig = rig_with(|config| config.http_head_timeout = SHORT);
    assert_eq!(read_to_end(rig.dial()), "");
    rig.wait_until("its place is free", |gateway| gateway.stats().http_connections == 0);
}

#[test]
fn idle_connection_outlives_the_head_deadline() {
    let rig = rig_with(|config| config.http_head_timeout = SHORT);
    let mut kept = rig.dial();
    get_health(&mut kept);
    // It connected later, and is closed first.
    assert_eq!(read_to_end(rig.dial()), "");
    get_health(&mut kept);
}

#[test]
fn idle_connection_is_closed_at_its_own_deadline() {
    let rig = rig_with(|config| config.http_idle_timeout = SHORT);
    let mut kept = rig.dial();
    get_health(&mut kept);
    assert_eq!(read_to_end(kept), "");
}

#[test]
fn second_request_has_a_head_deadline_too() {
    let rig = rig_with(|config| config.http_head_timeout = SHORT);
    let mut kept = rig.dial();
    get_health(&mut kept);
    kept.write_all(b"GET /health/live HT").expect("the gateway reads");
    assert_eq!(read_to_end(kept), "");
}

#[test]
fn body_has_its_own_deadline() {
    let rig = rig_with(|config| config.http_body_timeout = SHORT);
    let request = format!(
        "POST /api/v1/publish HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {API_KEY}\r\nContent-Length: 99\r\n\r\n{{"
    );
    let (status, answer) = parse(&rig.exchange(&request));
    assert_eq!((status, &answer["error"]["code"]), (408, &json!("timeout")));
}

#[test]
fn default_idle_timeout_exceeds_that_of_proxies() {
    assert_eq!(GatewayConfig::default().http_idle_timeout, Duration::from_secs(75));
}

// HTTP/1.1 alone.

#[test]
fn http2_by_prior_knowledge_is_refused() {
    const PREFACE_AND_SETTINGS: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let rig = rig_with(|_| {});
    let mut stream = rig.dial();
    stream.write_all(PREFACE_AND_SETTINGS).expect("the gateway reads");
    let answer = read_to_end(stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer:?}");
    rig.wait_until("it has gone", |gateway| gateway.stats().http_connections == 0);
}

// Ceilings.

#[test]
fn address_ceiling_frees_when_a_connection_closes() {
    let rig = rig_with(|config| {
        config.connections_per_address_max = 2;
        config.proxies = Vec::new();
    });
    let websocket = rig.guest();
    let silent = rig.dial();
    rig.wait_until("both are there", |gateway| {
        let stats = gateway.stats();
        (stats.connections, stats.http_connections) == (1, 1)
    });
    assert_eq!(read_to_end(rig.dial()), "", "it is closed at once");
    drop(silent);
    rig.wait_until("the silent one has gone", |gateway| gateway.stats().http_connections == 0);
    let mut third = rig.guest();
    assert_eq!(read_to_end(rig.dial()), "", "two WebSockets have both places");
    websocket.disconnect();
    rig.wait_until("one has gone", |gateway| gateway.stats().connections == 1);
    get_health(&mut rig.dial());
    assert_eq!(third.echo(&json!("still here")), "still here");
}

#[test]
fn silent_connections_of_an_address_have_a_ceiling() {
    let rig = rig_with(|config| {
        config.handshakes_per_address_max = 2;
        config.proxies = Vec::new();
    });
    let (mut first, second) = (rig.dial(), rig.dial());
    rig.wait_until("both are there", |gateway| gateway.stats().http_connections == 2);
    assert_eq!(read_to_end(rig.dial()), "", "it is closed at once");
    // A whole request frees the place, although the connection stays.
    get_health(&mut first);
    let mut third = rig.dial();
    get_health(&mut third);
    // And so does a WebSocket.
    let mut guests = [rig.guest(), rig.guest(), rig.guest()];
    guests.iter_mut().for_each(|guest| assert_eq!(guest.echo(&json!(1)), 1));
    drop(second);
    get_health(&mut first);
}

#[test]
fn websockets_without_a_message_count_as_handshakes() {
    let rig = rig_with(|config| {
        config.handshakes_per_address_max = 2;
        config.proxies = Vec::new();
    });
    let mut silent = [rig.connect(), rig.connect()];
    assert_eq!(read_to_end(rig.dial()), "", "it is closed at once");
    silent[0].send(&json!({"hello": {"v": 1, "auth": {"guest": true}}}));
    silent[0].receive();
    let mut third = rig.guest();
    assert_eq!(third.echo(&json!(1)), 1);
    // One that leaves without a word gives its place back, too.
    let [first, second] = silent;
    second.disconnect();
    rig.wait_until("it has gone", |gateway| gateway.stats().connections == 2);
    drop((rig.connect(), rig.guest(), first));
}

#[test]
fn proxy_connections_are_not_counted_by_address() {
    let rig = rig_with(|config| config.connections_per_address_max = 1);
    let mut guests: Vec<_> = (0..5).map(|_| rig.guest()).collect();
    guests.iter_mut().for_each(|guest| assert_eq!(guest.echo(&json!(1)), 1));
}

#[test]
fn failed_handshake_frees_its_permits() {
    let rig = rig_with(|config| {
        config.connections_per_address_max = 1;
        config.proxies = Vec::new();
    });
    for _ in 0..3 {
        let mut stream = rig.dial();
        stream.write_all(Handshake::new().without("Upgrade").text().as_bytes()).expect("the gateway reads");
        assert!(read_answer(&mut stream).starts_with("HTTP/1.1 426"));
        drop(stream);
        rig.wait_until("it has gone", |gateway| gateway.stats().http_connections == 0);
    }
}

// Every error has a body, and the API checks the key first.

#[test]
fn bad_head_behind_good_request_has_json_body() {
    let rig = rig_with(|_| {});
    for bad in ["NO REQUEST\r\n\r\n", "GET / HTTP/1.1\r\nno field\r\n\r\n"] {
        let mut stream = rig.dial();
        stream.write_all(format!("{HEALTH}{bad}").as_bytes()).expect("the gateway reads");
        let answers = read_to_end(stream);
        let (first, second) = answers.split_once("{\"status\":\"live\"}").expect("the first is answered");
        assert!(first.starts_with("HTTP/1.1 200"), "{answers}");
        let (status, body) = parse(second);
        assert_eq!((status, &body["error"]["code"]), (400, &json!("bad_request")), "{answers}");
    }
}

#[test]
fn incomplete_body_is_bad_and_not_too_large() {
    let rig = rig_with(|_| {});
    let head = format!("POST /api/v1/publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {API_KEY}\r\n");
    for rest in ["Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\nzz\r\n{\r\n"] {
        let mut stream = rig.dial();
        stream.write_all(format!("{head}{rest}").as_bytes()).expect("the gateway reads");
        stream.shutdown(Shutdown::Write).expect("it is open");
        let (status, body) = parse(&read_to_end(stream));
        assert_eq!((status, &body["error"]["code"]), (400, &json!("bad_request")), "{rest}");
    }
}

#[test]
fn every_error_response_has_a_json_body() {
    let rig = rig_with(|_| {});
    let with_key = format!("Host: a\r\nAuthorization: Bearer {API_KEY}\r\n");
    let long = "x".repeat(20_000);
    let refusals = [
        ("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 404, "not_found"),
        ("GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 404, "not_found"),
        ("POST /health/live HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 405, "method_not_allowed"),
        ("PUT /connect HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 405, "method_not_allowed"),
        (format!("GET /api/v1/publish HTTP/1.1\r\n{with_key}\r\n"), 405, "method_not_allowed"),
        (format!("GET /api/v1/other HTTP/1.1\r\n{with_key}\r\n"), 404, "not_found"),
        (format!("GET /api/v1/users/%ff/inbox HTTP/1.1\r\n{with_key}\r\n"), 400, "bad_request"),
        (format!("GET /health/live HTTP/1.1\r\nX-Long: {long}"), 431, "too_large"),
        ("\x16\x03\x01 this is TLS\r\n\r\n".to_owned(), 400, "bad_request"),
    ];
    for (request, status, code) in refusals {
        let answer = rig.exchange(&request);
        let (received, body) = parse(&answer);
        assert_eq!((received, &body["error"]["code"]), (status, &json!(code)), "{answer}");
        assert!(
            body["error"]["message"].is_string() && answer.contains("application/problem+json"),
            "{answer}"
        );
    }
}

#[test]
fn api_without_key_reveals_no_paths() {
    let rig = rig_with(|_| {});
    for what in [
        "GET /api",
        "GET /api/v1/other",
        "GET /api/v1/publish",
        "DELETE /api/v1/users/u42/inbox",
        "GET /api/v1/users/%ff/inbox",
        "GET /api/%ff",
    ] {
        let (status, body) = parse(&rig.exchange(&format!("{what} HTTP/1.1\r\nHost: a\r\n\r\n")));
        assert_eq!((status, &body["error"]["code"]), (401, &json!("unauthorized")), "{what}");
    }
}

#[test]
fn embedding_application_keeps_its_own_paths() {
    let rig = Rig::start(open_to_all(), |gateway, listener| {
        let app = axum::Router::new()
            .route("/api/own", axum::routing::get(async || "own"))
            .merge(gateway.router())
            .fallback(async || "nothing of ours");
        tokio::spawn(async move { axum::serve(listener, app).await });
    });
    let get = |path: &str| rig.exchange(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(get("/api/own").ends_with("own"));
    assert!(get("/api/other").ends_with("nothing of ours"));
    assert_eq!(parse(&get("/api/v1/publish")).0, 401);
}

// Requests are answered.

#[test]
fn half_closed_post_is_answered() {
    let rig = rig_with(|_| {});
    for _ in 0..20 {
        let mut stream = rig.dial();
        let body = r#"{"channel":"room:7","data":1}"#;
        let head = format!(
            "POST /api/v1/publish HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {API_KEY}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + body).as_bytes()).expect("the gateway reads");
        stream.shutdown(Shutdown::Write).expect("it is open");
        let (status, published) = parse(&read_to_end(stream));
        assert_eq!(status, 200, "{published}");
    }
}

#[test]
fn pipelined_requests_are_all_answered() {
    let rig = rig_with(|_| {});
    let mut stream = rig.dial();
    stream.write_all(HEALTH.repeat(50).as_bytes()).expect("the gateway reads");
    stream
        .write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("the gateway reads");
    let answers = read_to_end(stream);
    assert_eq!(answers.matches(r#"{"status":"live"}"#).count(), 51, "{answers}");
}

// A drain does not wait for peers that cannot be asked.

#[test]
fn drain_closes_silent_connections_at_once() {
    let rig = rig_with(|config| config.linger_timeout = HOURS);
    let silent = rig.dial();
    rig.wait_until("it is there", |gateway| gateway.stats().http_connections == 1);
    rig.runtime.block_on(rig.gateway.drain(SHORT, TEST_TIMEOUT));
    assert_eq!(rig.gateway.stats().http_connections, 0);
    drop(silent);
}

#[test]
fn drain_closes_half_a_head_after_spread_and_linger() {
    let rig = rig_with(|config| config.linger_timeout = SHORT);
    let mut half = rig.dial();
    half.write_all(b"GET /health/live HT").expect("the gateway reads");
    rig.wait_until("it is there", |gateway| gateway.stats().http_connections == 1);
    rig.runtime.block_on(rig.gateway.drain(SHORT, TEST_TIMEOUT));
    assert_eq!(rig.gateway.stats().http_connections, 0);
}
