//! Two gateways on one Redis: sessions move between them, and what is done at one is done at both.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    process::{Line, Server},
    redis::{guest, server::Server as Redis},
};

const KEY: &str = "a-key-of-the-http-api-for-tests-1";

/// Without keys of tickets: these are in Redis.
fn gateway(redis: &Redis, node: &str) -> Server {
    Server::start_on(&redis.url(), &["--dev"], &[("TAUTLINE_NODE", node), ("TAUTLINE_API_KEY", KEY)])
}

fn resume(server: &Server, welcome: &Value, attempt: u64) -> (Line, Value) {
    let mut line = server.connect();
    let resume = json!({"ticket": welcome["ticket"], "attempt": attempt, "cursors": {}});
    line.send(&json!({"hello": {"v": 1, "resume": resume}}));
    let answer = line.receive_any(&["welcome", "challenge", "bye"]);
    assert_eq!(answer["welcome"]["resumed"], true, "{answer}");
    (line, answer["welcome"].clone())
}

fn post(server: &Server, path: &str, body: &Value) -> String {
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    let body = body.to_string();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("it takes the request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

fn kick(welcome: &Value, message: &str) -> Value {
    json!({"target": {"session": welcome["session"]}, "message": message})
}

#[test]
fn session_resumes_on_another_gateway() {
    let Some(redis) = Redis::start(&[]) else { return };
    let (one, other) = (gateway(&redis, "n1"), gateway(&redis, "n2"));
    let (mut first, welcome) = guest(&one);
    first.send(&json!({"id": 1, "call": {"method": "echo", "data": "x"}}));
    let reply = first.receive("id");
    let (mut second, moved) = resume(&other, &welcome, 5);
    assert_eq!((&moved["requests_seen"], &moved["node"]), (&json!(1), &json!("n2")));
    assert_eq!(first.receive("bye")["bye"]["code"], "taken_over");
    // Other data: what comes is the reply that came along.
    second.send(&json!({"id": 1, "again": true, "call": {"method": "echo", "data": "y"}}));
    assert_eq!(second.receive("id"), reply);
    second.send(&json!({"id": 2, "publish": {"channel": "room:7", "data": 2}}));
    let published = second.receive("id");
    // Nobody hands over what a killed gateway had.
    other.kill();
    let (mut third, _) = resume(&one, &moved, 6);
    third.send(&json!({"id": 1, "again": true, "call": {"method": "echo", "data": "y"}}));
    assert_eq!(third.receive("id")["error"]["code"], "in_doubt");
    third.send(&json!({"id": 2, "again": true, "publish": {"channel": "room:7", "data": 2}}));
    assert_eq!(third.receive("id")["ok"], published["ok"]);
}

#[test]
fn paused_gateway_dismisses_sessions_of_others() {
    let Some(redis) = Redis::start(&[]) else { return };
    let (one, other) = (gateway(&redis, "n1"), gateway(&redis, "n2"));
    let (mut first, welcome) = guest(&one);
    first.send(&json!({"id": 1, "publish": {"channel": "room:7", "data": 1}}));
    first.receive("id");
    one.signal(Signal::STOP);
    // It is there when the gateway wakes.
    first.send(&json!({"id": 2, "publish": {"channel": "room:7", "data": 2}}));
    let (mut second, _) = resume(&other, &welcome, 5);
    second.send(&json!({"id": 2, "again": true, "publish": {"channel": "room:7", "data": 2}}));
    assert_eq!(second.receive("id")["ok"]["offset"], 2);
    one.signal(Signal::CONT);
    assert_eq!(first.receive("bye")["bye"]["code"], "taken_over");
    second.send(&json!({"id": 3, "publish": {"channel": "room:7", "data": 3}}));
    assert_eq!(second.receive("id")["ok"]["offset"], 3, "the publish of the paused gateway took effect once");
}

#[test]
fn kick_reaches_sessions_of_another_gateway() {
    let Some(redis) = Redis::start(&[]) else { return };
    let (one, other) = (gateway(&redis, "n1"), gateway(&redis, "n2"));
    let (mut line, welcome) = guest(&one);
    let answer = post(&other, "/api/v1/kick", &kick(&welcome, "out"));
    assert!(answer.contains("{\"sessions\":0}"), "{answer}");
    assert_eq!(line.receive("bye")["bye"]["message"], "out");
    // Its ticket is void on the gateway that never had it.
    let mut back = other.connect();
    let resume = json!({"ticket": welcome["ticket"], "attempt": 5, "cursors": {}});
    back.send(&json!({"hello": {"v": 1, "resume": resume}}));
    assert_eq!(back.receive_any(&["welcome", "challenge"])["challenge"]["code"], "ticket_revoked");
    // Without hints it is read a moment later.
    redis.operate("CLIENT KILL TYPE pubsub");
    let (mut line, welcome) = guest(&one);
    post(&other, "/api/v1/kick", &kick(&welcome, "again"));
    assert_eq!(line.receive("bye")["bye"]["message"], "again");
}
