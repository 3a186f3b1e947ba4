//! The HTTP API.

use serde_json::{Value, json};
use tautline_gateway::{Gateway, GatewayConfig};

use crate::rig::{API_KEY, Rig, open_to_all};

fn post(rig: &Rig, key: Option<&str>, body: &str) -> (u16, Value) {
    let key = key.map_or_else(String::new, |key| format!("Authorization: Bearer {key}\r\n"));
    let length = body.len();
    let answer = rig.exchange(&format!(
        "POST /api/v1/publish HTTP/1.1\r\nHost: line.example\r\n{key}Content-Length: {length}\r\n\r\n{body}"
    ));
    parse(&answer)
}

fn parse(answer: &str) -> (u16, Value) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

#[test]
fn a_back_end_with_a_key_publishes_and_learns_where_it_stands() {
    let rig = Rig::serve(open_to_all());
    let mut client = rig.guest();
    client.request("subscribe", &json!({"channel": "room:7"}));
    let (status, published) =
        post(&rig, Some(API_KEY), r#"{"channel":"room:7","data":{"n":1},"tags":{"lang":"en"}}"#);
    assert_eq!(status, 200, "{published}");
    assert_eq!(published["offset"], 1);
    let heard = client.hear();
    assert_eq!(heard["pub"]["data"], json!({"n": 1}));
    assert_eq!(heard["pub"]["tags"], json!({"lang": "en"}));
    assert_eq!(heard["pub"]["at"], published["at"]);
    assert!(published["epoch"].is_string());
}

#[test]
fn without_a_good_key_nothing_is_published() {
    let rig = Rig::serve(open_to_all());
    let body = r#"{"channel":"room:7","data":1}"#;
    for key in [None, Some("wrong"), Some("")] {
        let (status, answer) = post(&rig, key, body);
        assert_eq!((status, &answer["error"]["code"]), (401, &json!("unauthorized")), "{key:?}");
    }
    assert_eq!(rig.gateway.stats().hub.publications, 0);
}

#[test]
fn a_gateway_that_was_given_no_key_takes_none() {
    let rig = Rig::serve(Gateway::builder());
    assert_eq!(post(&rig, Some(""), r#"{"channel":"room:7","data":1}"#).0, 401);
    assert_eq!(post(&rig, Some("any"), r#"{"channel":"room:7","data":1}"#).0, 401);
}

#[test]
fn a_bad_body_is_refused_in_words() {
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
fn a_body_too_large_is_refused() {
    let mut config = GatewayConfig::default();
    config.api_body_bytes_max = 100;
    let rig = Rig::serve(open_to_all().config(config));
    let body = format!(r#"{{"channel":"room:7","data":"{}"}}"#, "x".repeat(100));
    let (status, answer) = post(&rig, Some(API_KEY), &body);
    assert_eq!((status, &answer["error"]["code"]), (413, &json!("too_large")));
}

#[test]
fn the_api_is_for_posts_and_says_so() {
    let rig = Rig::serve(open_to_all());
    let answer = rig.exchange("GET /api/v1/publish HTTP/1.1\r\nHost: line.example\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: POST"), "{answer}");
}

#[test]
fn health_tells_living_from_ready() {
    let rig = Rig::serve(open_to_all());
    let get =
        |path: &str| parse(&rig.exchange(&format!("GET {path} HTTP/1.1\r\nHost: line.example\r\n\r\n")));
    assert_eq!(get("/health/live"), (200, json!({"status": "live"})));
    assert_eq!(get("/health/ready"), (200, json!({"status": "ready"})));
    assert_eq!(get("/health/other").0, 404);
}
