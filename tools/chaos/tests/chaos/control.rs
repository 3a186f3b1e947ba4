//! The HTTP control API, spoken to as a script or a web page would.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::stage::{Stage, expect, expect_nothing, expect_reset, say, soon, until};

async fn stage() -> Stage {
    Stage::with(|builder| builder.control("127.0.0.1:0".parse().unwrap())).await
}

/// The whole answer, headers and all.
async fn exchange(stage: &Stage, line: &str, headers: &str, body: &str) -> String {
    let mut socket = TcpStream::connect(stage.chaos.control_addr().unwrap()).await.unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(socket.read_to_string(&mut answer)).await.unwrap();
    answer
}

/// Status and body.
async fn ask(stage: &Stage, line: &str, body: &str) -> (u16, Value) {
    let answer = exchange(stage, line, "", body).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn there_is_no_control_api_unless_asked_for() {
    assert_eq!(Stage::new().await.chaos.control_addr(), None);
}

#[tokio::test]
async fn rules_are_changed_in_part_and_read_back() {
    let stage = stage().await;
    let (status, changed) = ask(&stage, "PUT /rules", r#"{"latency_ms":5}"#).await;
    assert_eq!((status, &changed["rules"]["latency_ms"]), (200, &json!(5)));
    ask(&stage, "POST /rules", r#"{"jitter_ms":3}"#).await;
    let (_, rules) = ask(&stage, "GET /rules", "").await;
    assert_eq!(rules["rules"]["latency_ms"], 5);
    assert_eq!(rules["rules"]["jitter_ms"], 3);
    assert_eq!(rules["rules"]["buffer_bytes_max"], 65_536);
}

#[tokio::test]
async fn group_rules_override_common_rules() {
    let stage = stage().await;
    ask(&stage, "POST /groups/phone-a/rules", r#"{"preset":"subway","jitter_ms":0}"#).await;
    let (_, rules) = ask(&stage, "POST /rules", r#"{"latency_ms":7}"#).await;
    assert_eq!(rules["rules"]["latency_ms"], 7);
    assert_eq!(rules["groups"]["phone-a"]["rules"]["latency_ms"], 150);
    assert_eq!(rules["groups"]["phone-a"]["rules"]["jitter_ms"], 0);
    let (_, rules) = ask(&stage, "DELETE /groups/phone-a/rules", "").await;
    assert_eq!(rules["groups"], json!({}));
}

#[tokio::test]
async fn connections_are_listed_with_what_they_carried() {
    let stage = stage().await;
    let mut pair = stage.pair("phone-a").await;
    say(&mut pair.server, "hello").await;
    expect(&mut pair.client, "hello").await;
    let (_, listed) = ask(&stage, "GET /connections", "").await;
    let connection = &listed["connections"][0];
    assert_eq!(connection["group"], "phone-a");
    assert_eq!(connection["down_bytes"], 5);
    assert_eq!(connection["state"], "open");
}

#[tokio::test]
async fn http_fault_hits_the_named_group() {
    let stage = stage().await;
    let mut a = stage.pair("phone-a").await;
    let b = stage.pair("phone-b").await;
    let (status, hit) = ask(&stage, "POST /faults", r#"{"fault":"cut","group":"phone-a"}"#).await;
    assert_eq!((status, hit), (200, json!({ "reached": 1 })));
    expect_reset(&mut a.client).await;
    expect_reset(&mut a.server).await;
    expect_nothing(&b.client);
}

#[tokio::test]
async fn http_unplug_and_plug_affect_one_group() {
    let stage = stage().await;
    let mut pair = stage.pair("phone-a").await;
    let (_, pulled) = ask(&stage, "POST /groups/phone-a/unplug", "").await;
    assert_eq!(pulled, json!({ "reached": 1 }));
    let (_, rules) = ask(&stage, "GET /rules", "").await;
    assert_eq!(rules["groups"]["phone-a"]["unplugged"], "refuse");
    say(&mut pair.client, "lost").await;
    until(|| stage.swallowed_bytes(), 4).await;
    ask(&stage, "POST /heal", r#"{"group":"phone-a"}"#).await;
    expect_reset(&mut pair.client).await;
    stage.pair("phone-a").await;
}

#[tokio::test]
async fn invalid_control_request_is_refused_in_words() {
    let stage = stage().await;
    for (line, body, words) in [
        ("PUT /rules", r#"{"latency":5}"#, "unknown field `latency`"),
        ("PUT /rules", r#"{"latency_ms":"5"}"#, "invalid type"),
        ("PUT /rules", r#"{"loss":7}"#, "probability from 0 to 1"),
        ("PUT /rules", "nonsense", "expected"),
        ("POST /faults", "", "missing field `fault`"),
        ("POST /faults", r#"{"fault":"earthquake"}"#, "unknown variant `earthquake`"),
        ("POST /faults", r#"{"fault":"cut","for_ms":5}"#, "takes no `for_ms`"),
        ("POST /faults", r#"{"fault":"stall","for_ms":86400001}"#, "longer than a day"),
        ("POST /heal", r#"{"grup":"a"}"#, "unknown field `grup`"),
        ("POST /groups/a%20b/plug", "", "is no name for a group"),
        ("POST /groups/a/unplug", r#"{"new":"explode"}"#, "unknown variant `explode`"),
    ] {
        let (status, answer) = ask(&stage, line, body).await;
        let error = answer["error"].as_str().unwrap();
        assert!(status == 400 && error.contains(words), "{line} {body}: {status} {error}");
    }
    let (_, rules) = ask(&stage, "GET /rules", "").await;
    assert_eq!(rules["rules"]["latency_ms"], 0, "a refused change changes nothing");
}

#[tokio::test]
async fn unknown_control_path_is_404_in_words() {
    let stage = stage().await;
    let (status, answer) = ask(&stage, "POST /faults", r#"{"fault":"cut","connection":99}"#).await;
    assert_eq!((status, &answer["error"]), (404, &json!("there is no connection 99; it may have closed")));
    let (status, answer) = ask(&stage, "GET /weather", "").await;
    assert_eq!((status, &answer["error"]), (404, &json!("there is no GET /weather")));
}

#[tokio::test]
async fn web_page_needs_control_cors() {
    let closed = stage().await;
    let refused =
        exchange(&closed, "POST /faults", "Origin: http://evil.example\r\n", r#"{"fault":"cut"}"#).await;
    assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("--control-cors"), "{refused}");

    let open =
        Stage::with(|builder| builder.control("127.0.0.1:0".parse().unwrap()).control_cors(true)).await;
    let answer =
        exchange(&open, "POST /faults", "Origin: http://demo.example\r\n", r#"{"fault":"cut"}"#).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("access-control-allow-origin: *"),
        "{answer}"
    );
    let preflight = exchange(&open, "OPTIONS /faults", "Origin: http://demo.example\r\n", "").await;
    assert!(preflight.starts_with("HTTP/1.1 204"), "{preflight}");
}

#[tokio::test]
async fn new_rules_reach_live_connections() {
    let stage = stage().await;
    let mut pair = stage.pair("phone-a").await;
    ask(&stage, "POST /groups/phone-a/rules", r#"{"latency_ms":60}"#).await;
    let said = Instant::now();
    say(&mut pair.client, "slow").await;
    expect(&mut pair.server, "slow").await;
    assert!(said.elapsed() >= Duration::from_millis(60), "{:?}", said.elapsed());
}
