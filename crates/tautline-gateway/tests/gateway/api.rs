//! The HTTP API.

use std::sync::Arc;

use serde_json::{Value, json};
use tautline_engine::{EngineError, Job};
use tautline_gateway::{Engine, Gateway};
use tautline_protocol::TraceId;

use crate::{
    logins::{FAR_AWAY, SECRET, token},
    rig::{API_KEY, Client, Rig, config, open_to_all},
};

pub fn post(rig: &Rig, key: Option<&str>, body: &str) -> (u16, Value) {
    let key = key.map_or_else(String::new, |key| format!("Authorization: Bearer {key}\r\n"));
    send_request(rig, "POST /api/v1/publish", &key, body)
}

pub fn send_request(rig: &Rig, what: &str, headers: &str, body: &str) -> (u16, Value) {
    let length = body.len();
    let answer = rig.exchange(&format!(
        "{what} HTTP/1.1\r\nHost: line.example\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    ));
    parse(&answer)
}

pub fn with_key(more: &str) -> String {
    format!("Authorization: Bearer {API_KEY}\r\n{more}")
}

fn parse(answer: &str) -> (u16, Value) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

#[test]
fn publish_with_key_returns_its_position() {
    let rig = Rig::serve(open_to_all());
    let mut client = rig.guest();
    client.request("subscribe", &json!({"channel": "room:7"}));
    let (status, published) =
        post(&rig, Some(API_KEY), r#"{"channel":"room:7","data":{"n":1},"tags":{"lang":"en"}}"#);
    assert_eq!(status, 200, "{published}");
    assert_eq!(published["offset"], 1);
    let received = client.receive();
    assert_eq!(received["pub"]["data"], json!({"n": 1}));
    assert_eq!(received["pub"]["tags"], json!({"lang": "en"}));
    assert_eq!(received["pub"]["at"], published["at"]);
    assert!(published["epoch"].is_string());
}

#[test]
fn answer_has_the_trace_of_its_request() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let rig = Rig::serve(open_to_all());
    let trace_of = |path: &str, headers: &str| {
        let headers = format!("Host: line.example\r\n{headers}");
        let answer = rig.exchange(&format!("GET /api/v1/{path} HTTP/1.1\r\n{headers}\r\n"));
        let header = answer.lines().find_map(|line| line.strip_prefix("traceparent: ")).expect("a trace");
        TraceId::parse(header).expect("a valid one").to_string()
    };
    let header = with_key(&format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n"));
    assert_eq!(trace_of("stats", &header), TRACE);
    assert_eq!(trace_of("publish", &header), TRACE, "405");
    assert_eq!(trace_of("stats", &format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n")), TRACE, "401");
    let malformed = with_key(&format!("traceparent: 00-{TRACE}-0-01\r\n"));
    let begun = [trace_of("stats", &malformed), trace_of("stats", &with_key(""))];
    assert!(begun[0] != begun[1] && !begun.contains(&TRACE.to_owned()), "{begun:?}");
}

#[test]
fn publish_that_excludes_a_session_names_it() {
    let rig = Rig::serve(open_to_all());
    let mut client = rig.guest();
    client.request("subscribe", &json!({"channel": "room:7"}));
    let session = "q3bkwRUVQkq0sJv0p2d1Nw";
    let body = json!({"channel": "room:7", "data": 1, "tags": {"lang": "en"}, "exclude": session});
    let (status, published) = post(&rig, Some(API_KEY), &body.to_string());
    assert_eq!(status, 200, "{published}");
    assert_eq!(client.receive()["pub"]["tags"], json!({"$exclude": session, "lang": "en"}));

    let body = json!({"channel": "room:7", "data": 1, "exclude": "nobody"});
    let (status, answer) = post(&rig, Some(API_KEY), &body.to_string());
    assert_eq!(status, 400, "{answer}");
}

#[test]
fn publish_without_valid_key_is_unauthorized() {
    let rig = Rig::serve(open_to_all());
    let body = r#"{"channel":"room:7","data":1}"#;
    for key in [None, Some("wrong"), Some("")] {
        let (status, answer) = post(&rig, key, body);
        assert_eq!((status, &answer["error"]["code"]), (401, &json!("unauthorized")), "{key:?}");
    }
    assert_eq!(rig.gateway.stats().hub.publications, 0);
}

#[test]
fn gateway_without_keys_refuses_every_key() {
    let rig = Rig::serve(Gateway::builder());
    assert_eq!(post(&rig, Some(""), r#"{"channel":"room:7","data":1}"#).0, 401);
    assert_eq!(post(&rig, Some("any"), r#"{"channel":"room:7","data":1}"#).0, 401);
}

#[test]
fn invalid_body_is_refused_with_its_reason() {
    let rig = Rig::serve(open_to_all());
    let bodies = [
        ("", "body"),
        ("{", "body"),
        (r#"{"channel":"room:7"}"#, "data"),
        (r#"{"channel":"a b","data":1}"#, "channel"),
        (r#"{"channel":"room:7","data":1,"tags":[]}"#, "tags"),
    ];
    for (body, word) in bodies {
        let (status, answer) = post(&rig, Some(API_KEY), body);
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("bad_request")), "{body}");
        assert!(answer["error"]["message"].as_str().is_some_and(|words| words.contains(word)), "{answer}");
    }
}

#[test]
fn oversized_body_gets_413() {
    let mut config = config();
    config.api_body_bytes_max = 100;
    let rig = Rig::serve(open_to_all().config(config));
    let body = format!(r#"{{"channel":"room:7","data":"{}"}}"#, "x".repeat(100));
    let (status, answer) = post(&rig, Some(API_KEY), &body);
    assert_eq!((status, &answer["error"]["code"]), (413, &json!("too_large")));
}

#[test]
fn get_of_publish_gets_405_with_allow() {
    let rig = Rig::serve(open_to_all());
    let answer =
        rig.exchange(&format!("GET /api/v1/publish HTTP/1.1\r\nHost: line.example\r\n{}\r\n", with_key("")));
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: POST"), "{answer}");
}

#[test]
fn health_separates_live_from_ready() {
    let rig = Rig::serve(open_to_all());
    let get =
        |path: &str| parse(&rig.exchange(&format!("GET {path} HTTP/1.1\r\nHost: line.example\r\n\r\n")));
    assert_eq!(get("/health/live"), (200, json!({"status": "live"})));
    assert_eq!(get("/health/ready"), (200, json!({"status": "ready"})));
    assert_eq!(get("/health/other").0, 404);
}

/// An engine that has no room for appends.
struct FullEngine;

impl Engine for FullEngine {
    fn submit(&self, job: Job) {
        job.refuse(&EngineError::Full("the disk is full".to_owned()));
    }

    fn incarnation(&self) -> u32 {
        1
    }

    fn takes_appends(&self) -> bool {
        false
    }
}

#[test]
fn full_engine_is_live_and_not_ready() {
    let rig = Rig::serve(open_to_all().engine(Arc::new(FullEngine)));
    let get =
        |path: &str| parse(&rig.exchange(&format!("GET {path} HTTP/1.1\r\nHost: line.example\r\n\r\n")));
    assert_eq!(get("/health/live").0, 200);
    let (status, body) = get("/health/ready");
    assert_eq!((status, &body["error"]["code"]), (503, &json!("unavailable")));
}

/// A connection of user `u42`.
fn user(rig: &Rig) -> Client {
    let mut client = rig.connect();
    let token = token(&json!({"sub": "u42", "exp": FAR_AWAY}));
    client.send(&json!({"hello": {"v": 1, "auth": {"token": token}}}));
    assert_eq!(client.receive()["welcome"]["user"], "u42");
    client
}

#[test]
fn inbox_reports_sent_delivered_acknowledged() {
    let rig = Rig::serve(open_to_all().jwt_hs256(SECRET));
    let inbox = || send_request(&rig, "GET /api/v1/users/u42/inbox", &with_key(""), "").1;
    let figures =
        |inbox: &Value| ["sent", "delivered", "acknowledged", "connections"].map(|key| inbox[key].as_u64());
    assert_eq!(figures(&inbox()), [Some(0); 4]);
    for n in 1..=3 {
        let (status, _) = send_request(
            &rig,
            "POST /api/v1/push",
            &with_key(""),
            &format!(r#"{{"user":"u42","data":{n}}}"#),
        );
        assert_eq!(status, 200);
    }
    assert_eq!(figures(&inbox()), [Some(3), Some(0), Some(0), Some(0)], "nobody is there yet");
    let mut phone = user(&rig);
    assert_eq!([1, 2, 3].map(|_| phone.receive()["pub"]["data"].clone()), [1, 2, 3].map(|n| json!(n)));
    let told = inbox();
    assert_eq!(figures(&told), [Some(3), Some(3), Some(0), Some(1)]);
    phone.send(&json!({"ping": {"acks": {"user:u42": {"epoch": told["epoch"], "offset": 2}}}}));
    assert!(phone.receive().get("pong").is_some());
    assert_eq!(figures(&inbox()), [Some(3), Some(3), Some(2), Some(1)]);
    let mut new_phone = user(&rig);
    assert_eq!(new_phone.receive()["pub"]["data"], 3, "a new phone gets what no phone has acknowledged");
}

#[test]
fn inbox_without_key_is_unauthorized() {
    let rig = Rig::serve(open_to_all());
    assert_eq!(send_request(&rig, "GET /api/v1/users/u42/inbox", "", "").0, 401);
    assert_eq!(send_request(&rig, "POST /api/v1/push", "", r#"{"user":"u42","data":1}"#).0, 401);
    assert_eq!(send_request(&rig, "POST /api/v1/push", &with_key(""), r#"{"user":"a b","data":1}"#).0, 400);
}

#[test]
fn repeated_idempotency_key_publishes_once() {
    let rig = Rig::serve(open_to_all());
    let publish = |channel: &str, key: &str| {
        let body = format!(r#"{{"channel":"{channel}","data":1}}"#);
        send_request(&rig, "POST /api/v1/publish", &with_key(&format!("Idempotency-Key: {key}\r\n")), &body)
    };
    let first = publish("room:7", "order-1");
    assert_eq!(first.1["offset"], 1);
    assert_eq!(publish("room:7", "order-1"), first);
    assert_eq!(publish("room:7", "order-2").1["offset"], 2);
    assert_eq!(publish("room:8", "order-1").1["offset"], 1, "a key holds within its channel");
    assert_eq!(rig.gateway.stats().hub.publications, 3);
    assert_eq!(publish("room:7", &"k".repeat(256)).0, 400);
}

#[test]
fn idempotency_key_with_other_data_conflicts() {
    let rig = Rig::serve(open_to_all());
    let publish = |body: &str| {
        send_request(&rig, "POST /api/v1/publish", &with_key("Idempotency-Key: order-1\r\n"), body)
    };
    let first = publish(r#"{"channel":"room:7","data":{"a":1,"b":2},"tags":{"lang":"en"}}"#);
    assert_eq!(first.0, 200, "{first:?}");
    let respelled = r#"{"channel":"room:7","tags":{"lang":"en"},"data":{"b": 2, "a": 1}}"#;
    assert_eq!(publish(respelled), first, "the same, spelled in another way");
    for other in [
        r#"{"channel":"room:7","data":{"a":1,"b":3},"tags":{"lang":"en"}}"#,
        r#"{"channel":"room:7","data":{"a":1,"b":2},"tags":{"lang":"de"}}"#,
        r#"{"channel":"room:7","data":{"a":1,"b":2}}"#,
    ] {
        let (status, answer) = publish(other);
        assert_eq!((status, &answer["error"]["code"]), (409, &json!("conflict")), "{other}");
    }
    assert_eq!(rig.gateway.stats().hub.publications, 1);
    let push = |data: &str| {
        let body = format!(r#"{{"user":"u42","data":{data}}}"#);
        send_request(&rig, "POST /api/v1/push", &with_key("Idempotency-Key: order-1\r\n"), &body).0
    };
    assert_eq!([push("1"), push("1"), push("2")], [200, 200, 409]);
}

#[test]
fn data_nested_too_deep_is_refused() {
    let rig = Rig::serve(open_to_all());
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let with_data = |depth| format!(r#"{{"channel":"room:7","data":{}}}"#, nested(depth));
    assert_eq!(post(&rig, Some(API_KEY), &with_data(62)).0, 200);
    assert_eq!(post(&rig, Some(API_KEY), &with_data(63)).0, 400);
    let with_tags = format!(r#"{{"channel":"room:7","data":1,"tags":{{"t":{}}}}}"#, nested(62));
    assert_eq!(post(&rig, Some(API_KEY), &with_tags).0, 400);
}

fn log_in(rig: &Rig, user: &str) -> (Client, Value) {
    let mut client = rig.connect();
    let token = token(&json!({"sub": user, "exp": FAR_AWAY}));
    client.send(&json!({"hello": {"v": 1, "auth": {"token": token}}}));
    let welcome = client.receive()["welcome"].clone();
    (client, welcome)
}

fn revoke(rig: &Rig, body: &Value) -> (u16, Value) {
    send_request(rig, "POST /api/v1/revoke", &with_key(""), &body.to_string())
}

#[test]
fn revoked_user_is_disconnected_and_others_stay() {
    let rig = Rig::serve(open_to_all().jwt_hs256(SECRET));
    let ((mut phone, welcome), (mut other, _)) = (log_in(&rig, "u42"), log_in(&rig, "u43"));
    assert_eq!(revoke(&rig, &json!({"user": "u42"})), (200, json!({"sessions": 1})));
    assert_eq!(phone.receive()["bye"]["code"], "token_expired");
    assert_eq!(phone.receive_close().0, 4101);
    let mut again = rig.connect();
    again.send(&json!({"hello": {"v": 1, "resume": {"ticket": welcome["ticket"], "attempt": 9}}}));
    assert_eq!(again.receive()["challenge"]["code"], "ticket_revoked");
    assert_eq!(other.echo(&json!(1)), 1);
}

#[test]
fn revoked_session_is_disconnected() {
    let rig = Rig::serve(open_to_all().jwt_hs256(SECRET));
    let ((mut phone, welcome), (mut pad, _)) = (log_in(&rig, "u42"), log_in(&rig, "u42"));
    assert_eq!(revoke(&rig, &json!({"session": welcome["session"]})), (200, json!({"sessions": 1})));
    assert_eq!(phone.receive()["bye"]["code"], "token_expired");
    assert_eq!(pad.echo(&json!(1)), 1);
}

#[test]
fn revocation_with_a_bad_body_changes_nothing() {
    let rig = Rig::serve(open_to_all().jwt_hs256(SECRET));
    let (mut phone, _) = log_in(&rig, "u42");
    for body in [
        json!({}),
        json!({"user": "u42", "session": "s"}),
        json!({"user": "a b"}),
        json!({"user": "u42", "issued_befor": 5}),
        json!({"token": "t", "issued_before": 5}),
        json!({"session": "no id"}),
        json!({"user": "u42", "until": -1}),
    ] {
        assert_eq!(revoke(&rig, &body).0, 400, "{body}");
    }
    assert_eq!(send_request(&rig, "POST /api/v1/revoke", "", "{\"user\":\"u42\"}").0, 401);
    assert_eq!(phone.echo(&json!(1)), 1);
}

/// Series of `docs/operate/metrics.md` that every gateway has.
#[cfg(target_os = "linux")]
const SERIES: [&str; 36] = [
    "tautline_engine_looks_total",
    "tautline_engine_redials_total",
    "tautline_start_time_seconds",
    "tautline_slowest_reader_entries",
    "tautline_queue_limit_bytes{queue=\"appends\"}",
    "tautline_limit_used{limit=\"connections_max\"}",
    "tautline_limit_max{limit=\"sessions_max\"}",
    "tautline_limit_refusals_total{limit=\"calls_running_max\"}",
    "tautline_connections_refused_total{reason=\"accept_failed\"}",
    "tautline_resumes_total{outcome=\"new_session\",reason=\"other_user\"}",
    "tautline_logins_refused_total{reason=\"banned\"}",
    "tautline_requests_refused_total{code=\"other\"}",
    "tautline_engine_job_seconds_count{kind=\"append\"}",
    "tautline_engine_errors_total{kind=\"read\",error=\"unavailable\"}",
    "tautline_wakeups_total{source=\"look\"}",
    "tautline_call_seconds_count{outcome=\"ok\"}",
    "tautline_ready",
    "tautline_connections",
    "tautline_http_connections",
    "tautline_sessions",
    "tautline_users_online",
    "tautline_channels",
    "tautline_subscriptions",
    "tautline_presence_members",
    "tautline_log_bytes",
    "tautline_calls_running",
    "tautline_hellos_waiting",
    "tautline_log_pages",
    "tautline_channels_resumed_total",
    "tautline_publications_total",
    "tautline_deliveries_total",
    "tautline_rate_limited_total",
    "tautline_panics_total",
    "tautline_process_cpu_seconds_total",
    "tautline_process_resident_memory_bytes",
    "tautline_process_open_fds",
];

fn scrape(rig: &Rig, path: &str, accept: &str) -> String {
    let accept = format!("Accept: {accept}\r\n");
    let answer =
        rig.exchange(&format!("GET {path} HTTP/1.1\r\nHost: line.example\r\n{}\r\n", with_key(&accept)));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

/// The value of a series of `/metrics`.
fn metric(rig: &Rig, series: &str) -> Option<f64> {
    let answer = scrape(rig, "/metrics", "application/openmetrics-text; version=1.0.0");
    assert!(answer.trim_end().ends_with("# EOF"), "{answer}");
    let line = answer.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

#[test]
#[cfg(target_os = "linux")]
fn metrics_have_every_series_of_their_page() {
    let rig = Rig::serve(open_to_all());
    for series in SERIES {
        assert!(metric(&rig, series).is_some(), "{series}");
    }
}

#[test]
fn metrics_are_prometheus_text_for_everybody_else() {
    let rig = Rig::serve(open_to_all());
    let answer = scrape(&rig, "/metrics", "*/*");
    assert!(answer.contains("text/plain; version=0.0.4") && !answer.contains("# EOF"), "{answer}");
    assert!(answer.contains("# TYPE tautline_publications_total counter"), "{answer}");
}

#[test]
fn channels_are_counted_by_the_pattern_of_their_rule() {
    let rig = Rig::serve(open_to_all());
    let (mut client, _) = rig.guest_with_retries();
    client.request("subscribe", &json!({"channel": "room:7"}));
    client.request("subscribe", &json!({"channel": "room:8"}));
    let answer = scrape(&rig, "/metrics/channels", "*/*");
    for line in [
        "tautline_pattern_channels{pattern=\"*\"} 2",
        "tautline_pattern_subscribers{pattern=\"*\"} 2",
        "tautline_pattern_slowest_reader_entries{pattern=\"*\"} 0",
        "tautline_pattern_figures_complete 1",
        "tautline_patterns 1",
    ] {
        assert!(answer.contains(line), "{line} in {answer}");
    }
    let refused = rig.exchange("GET /metrics/channels HTTP/1.1\r\nHost: line.example\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 401"), "it shows the names of rules: {refused}");
}

#[test]
fn metrics_count_hellos_drops_gaps_and_deliveries() {
    let rig = Rig::serve(open_to_all());
    let ticket = {
        let (mut client, welcome) = rig.guest_with_retries();
        client.request("subscribe", &json!({"channel": "room:7"}));
        let (status, _) = post(&rig, Some(API_KEY), r#"{"channel":"room:7","data":1}"#);
        assert_eq!((status, &client.receive()["pub"]["data"]), (200, &json!(1)));
        welcome["ticket"].clone()
    };
    let mut again = rig.connect();
    again.send(&json!({"hello": {
        "v": 1,
        "resume": {"ticket": ticket, "attempt": 9, "cursors": {"room:7": {"epoch": "of another life", "offset": 1}}},
        "last_drop": {"cause": "background", "offline_ms": 4_000},
    }}));
    assert_eq!(again.receive()["welcome"]["resumed"], true);
    assert_eq!(again.receive()["gap"]["reason"], "new_epoch");
    assert_eq!(again.receive()["pub"]["data"], 1, "a new log is read from its beginning");
    for (series, value) in [
        ("tautline_hellos_total{outcome=\"opened\"}", 1.0),
        ("tautline_hellos_total{outcome=\"resumed\"}", 1.0),
        ("tautline_drops_total{cause=\"background\"}", 1.0),
        ("tautline_gaps_total{reason=\"new_epoch\"}", 1.0),
        ("tautline_channels_resumed_total", 0.0),
        ("tautline_offline_seconds_bucket{le=\"3.0\"}", 0.0),
        ("tautline_offline_seconds_bucket{le=\"10.0\"}", 1.0),
        ("tautline_offline_seconds_sum", 4.0),
        ("tautline_publications_total", 1.0),
        ("tautline_deliveries_total", 2.0),
        ("tautline_ready", 1.0),
    ] {
        assert_eq!(metric(&rig, series), Some(value), "{series}");
    }
}
