//! Requests: executed once, answered once, bounded (protocol, section 4).

use crate::common::{Node, identity, resume};
use serde_json::{Value, json};
use tautline_engine::Retention;
use tautline_hub::{HubLimits, PublishOptions};
use tautline_protocol::{ChannelName, Limits};

fn code(reply: &Value) -> &str {
    reply["error"]["code"].as_str().unwrap_or("ok")
}

#[test]
fn repeated_call_gets_first_reply() {
    let node = Node::new();
    let mut phone = node.guest();
    let welcome = phone.welcome(&node);
    phone.say(
        &node,
        json!({"id": 1, "call": {"method": "echo", "data": {"a": 1}, "timeout_ms": 99_999_999u64}}),
    );
    assert_eq!(phone.calls.len(), 1);
    assert_eq!((phone.calls[0].method.as_str(), phone.calls[0].timeout_ms), ("echo", 30_000));
    phone.say(&node, json!({"id": 1, "again": true, "call": {"method": "echo", "data": {"a": 1}}}));
    assert_eq!(phone.calls.len(), 1, "it is already running");
    phone.settle_calls(&node, &json!({"b": 2}));
    assert_eq!(phone.hear(&node), [json!({"id": 1, "ok": {"data": {"b": 2}}})]);
    phone.peer.handle_lost(node.now);

    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({})));
    assert_eq!(back.hear(&node).len(), 1, "no old reply is pushed");
    let reply =
        back.ask(&node, json!({"id": 1, "again": true, "call": {"method": "echo", "data": {"a": 1}}}));
    assert_eq!(reply["ok"]["data"]["b"], 2);
    assert!(back.calls.is_empty(), "it is not executed again");
    back.say(&node, json!({"seen": 1, "ping": {}}));
    assert_eq!(node.hub.stats().reply_bytes, 0, "seen replies are dropped");
}

#[test]
fn publication_without_echo_names_its_session() {
    let node = Node::new();
    let (mut sender, mut reader) = (node.guest(), node.guest());
    let welcome = sender.welcome(&node);
    reader.welcome(&node);
    reader.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    for (id, echo) in [(1, json!(true)), (2, json!(false))] {
        sender.ask(&node, json!({"id": id, "publish": {"channel": "room:7", "data": id, "echo": echo}}));
    }
    let heard = reader.hear_only(&node, "pub");
    assert_eq!(heard[0]["tags"], Value::Null);
    assert_eq!(heard[1]["tags"], json!({"$exclude": welcome["session"]}));
}

#[test]
fn repeated_publish_without_echo_is_one_publication() {
    let node = Node::new();
    let mut phone = node.guest();
    let welcome = phone.welcome(&node);
    let publish = |again: bool| json!({"id": 1, "again": again, "publish": {"channel": "room:7", "data": 1, "echo": false}});
    let first = phone.ask(&node, publish(false));
    phone.peer.handle_lost(node.now);
    let mut back = node.dial();
    back.enter(&node, resume(&welcome, 5, json!({})));
    back.hear(&node);
    assert_eq!(back.ask(&node, publish(true)), first);
}

#[test]
fn back_end_excludes_a_session_beside_its_tags() {
    let node = Node::new();
    let mut reader = node.guest();
    reader.welcome(&node);
    reader.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    let (data, tags) = ("1", r#"{"lang":"en"}"#);
    let raw = |text: &str| serde_json::value::RawValue::from_string(text.into()).expect("valid");
    let (data, tags) = (raw(data), raw(tags));
    let options = PublishOptions { tags: Some(&tags), exclude: Some("s1"), ..PublishOptions::default() };
    let channel = ChannelName::parse("room:7").expect("valid");
    node.try_publish(&channel, &data, options).expect("published");
    while node.hub.pump() {}
    assert_eq!(reader.hear_only(&node, "pub")[0]["tags"], json!({"$exclude": "s1", "lang": "en"}));
}

#[test]
fn reply_goes_to_connection_that_asked_last() {
    let node = Node::new();
    let mut phone = node.guest();
    let welcome = phone.welcome(&node);
    phone.say(&node, json!({"id": 1, "call": {"method": "slow"}}));
    let call = phone.calls.pop().expect("a call");
    phone.peer.handle_lost(node.now);
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({})));
    back.hear(&node);
    back.say(&node, json!({"id": 1, "again": true, "call": {"method": "slow"}}));
    assert!(back.hear(&node).is_empty());
    let raw = serde_json::value::RawValue::from_string("7".into()).expect("valid");
    node.hub.answer(call.reply_to, Ok(&raw));
    assert!(back.was_woken());
    assert_eq!(back.hear(&node), [json!({"id": 1, "ok": {"data": 7}})]);
}

#[test]
fn abandoned_call_is_answered_in_doubt() {
    let node = Node::new();
    let mut phone = node.guest();
    phone.hear(&node);
    phone.say(&node, json!({"id": 1, "call": {"method": "slow"}}));
    phone.calls.clear();
    assert_eq!(code(&phone.hear(&node)[0]), "in_doubt");
}

#[test]
fn repeated_publish_is_one_publication() {
    let node = Node::new();
    let mut phone = node.guest();
    let welcome = phone.welcome(&node);
    let publish = |again: bool| json!({"id": 1, "again": again, "publish": {"channel": "room:7", "data": 1}});
    let first = phone.ask(&node, publish(false));
    phone.peer.handle_lost(node.now);
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({})));
    assert_eq!(back.ask(&node, publish(true)), first);
    assert_eq!(node.hub.stats().publications, 1);
}

#[test]
fn repeated_request_in_unknown_session_is_in_doubt() {
    let mut node = Node::new();
    let mut phone = node.guest();
    let welcome = phone.welcome(&node);
    let first = phone.ask(&node, json!({"id": 1, "publish": {"channel": "room:7", "data": 1}}));
    phone.peer.handle_lost(node.now);
    node.advance(120_000);
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({})));
    let again = |id: u64, verb: &str, body: Value| json!({"id": id, "again": true, verb: body});
    assert_eq!(back.ask(&node, again(1, "publish", json!({"channel": "room:7", "data": 1}))), first);
    assert_eq!(code(&back.ask(&node, again(2, "call", json!({"method": "pay"})))), "in_doubt");
    assert!(back.calls.is_empty());
    assert_eq!(code(&back.ask(&node, again(3, "publish", json!({"channel": "room:7", "data": 3})))), "ok");
    assert_eq!(node.hub.stats().publications, 2, "the log proves that 3 was never executed");
}

#[test]
fn repeated_publish_after_restart_is_in_doubt() {
    let first = Node::seeded(Limits::default(), Retention::default(), 1);
    let mut phone = first.guest();
    let welcome = phone.welcome(&first);
    phone.ask(&first, json!({"id": 1, "publish": {"channel": "room:7", "data": 1}}));
    let second = Node::seeded(Limits::default(), Retention::default(), 2);
    let mut back = second.dial();
    back.say(&second, resume(&welcome, 5, json!({})));
    let reply =
        back.ask(&second, json!({"id": 1, "again": true, "publish": {"channel": "room:7", "data": 1}}));
    assert_eq!(code(&reply), "in_doubt");
    assert_eq!(second.hub.stats().publications, 0);
}

#[test]
fn client_without_seen_is_closed_as_slow() {
    let node = Node::with(Limits { replies_unseen_max: 4, ..Limits::default() }, Retention::default());
    let mut phone = node.guest();
    phone.hear(&node);
    for id in 1..=5 {
        phone.say(&node, json!({"id": id, "publish": {"channel": "a", "data": id}}));
    }
    let received = phone.hear(&node);
    assert_eq!(received[4]["bye"]["code"], "slow_peer");
    assert_eq!(phone.close, Some(4012));
}

#[test]
fn full_reply_budget_closes_sessions_holding_replies() {
    let node = Node::with(HubLimits { replies_bytes_max: 150, ..HubLimits::default() }, Retention::default());
    let mut greedy = node.guest();
    for id in 1..=4 {
        greedy.say(&node, json!({"id": id, "publish": {"channel": "a", "data": id}}));
    }
    assert_eq!(greedy.bye(&node)["code"], "slow_peer");
    let mut modest = node.guest();
    assert_eq!(code(&modest.ask(&node, json!({"id": 1, "publish": {"channel": "a", "data": 1}}))), "ok");
}

#[test]
fn server_stops_reading_at_running_call_limit() {
    let node = Node::with(Limits { requests_in_flight_max: 2, ..Limits::default() }, Retention::default());
    let mut phone = node.guest();
    phone.hear(&node);
    let line = |id: u64| json!({"id": id, "call": {"method": "slow"}}).to_string();
    phone.say_text(&node, &[line(1), line(2), line(3)].join("\n"));
    assert_eq!(phone.calls.len(), 2);
    assert!(!phone.peer.wants_input());
    assert!(phone.hear(&node).is_empty());
    phone.settle_calls(&node, &json!(1));
    assert_eq!(phone.hear(&node).len(), 2);
    assert_eq!(phone.calls.len(), 1, "the third waits");
    assert!(phone.peer.wants_input());
}

#[test]
fn invalid_requests_get_errors_and_connection_stays() {
    let node = Node::new();
    let mut phone = node.user("u1", &["secret:1"]);
    phone.hear(&node);
    let mut id = 0;
    let mut ask = |verb: &str, body: Value| {
        id += 1;
        code(&phone.ask(&node, json!({"id": id, verb: body}))).to_owned()
    };
    assert_eq!(ask("dance", json!({})), "unknown_verb");
    assert_eq!(ask("subscribe", json!({})), "bad_request");
    assert_eq!(ask("subscribe", json!({"channel": "a b"})), "bad_request");
    assert_eq!(ask("subscribe", json!({"channel": "closed:1"})), "permission_denied");
    assert_eq!(ask("subscribe", json!({"channel": "secret:2"})), "permission_denied");
    assert_eq!(ask("subscribe", json!({"channel": "secret:1"})), "ok");
    assert_eq!(ask("publish", json!({"channel": "closed:1", "data": 1})), "permission_denied");
    assert_eq!(ask("subscribe", json!({"channel": "user:u2"})), "permission_denied");
    assert_eq!(ask("publish", json!({"channel": "user:u1", "data": 1})), "permission_denied");
    assert_eq!(ask("unsubscribe", json!({"channel": "user:u1"})), "permission_denied");
    assert_eq!(ask("unsubscribe", json!({"channel": "never:subscribed"})), "ok");
    assert_eq!(ask("presence", json!({"channel": "a"})), "not_found");
    assert_eq!(ask("history", json!({"channel": "a", "after": {"epoch": "x", "offset": 1}})), "gap");
    assert_eq!(phone.close, None);
}

#[test]
fn subscription_beyond_limit_is_refused_others_stay() {
    let mut node = Node::new();
    let mut phone = node.guest();
    let mut refused = 0;
    for id in 1..=10_000 {
        let reply = phone.ask(&node, json!({"id": id, "subscribe": {"channel": format!("c:{id}")}}));
        refused += u32::from(code(&reply) == "limit");
    }
    assert_eq!(refused, 10_000 - 1024);
    assert_eq!(node.hub.stats().channels, 1024);
    node.publish("c:1024", &json!("still here"));
    assert_eq!(phone.offsets(&node), [1]);
    drop(phone);
    for _ in 0..8 {
        node.advance(30_000 * 1000);
    }
    assert_eq!(node.hub.stats().channels, 0, "all are dropped after the disconnect");
}

#[test]
fn refreshed_token_extends_connection_and_ends_forbidden_subscriptions() {
    let mut node = Node::new();
    let mut phone = node.dial();
    let mut login = identity("u1", &["secret:*"]);
    login.expires_at = Some(node.now.wall_ms + 20_000);
    phone.login = Ok(login);
    phone.say(&node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
    phone.ask(&node, json!({"id": 1, "subscribe": {"channel": "secret:1"}}));
    phone.ask(&node, json!({"id": 2, "subscribe": {"channel": "open"}}));
    phone.hear(&node);
    let mut login = identity("u1", &[]);
    login.expires_at = Some(node.now.wall_ms + 50_000);
    phone.login = Ok(login);
    phone.say(&node, json!({"id": 3, "auth": {"token": "…"}}));
    let received = phone.hear(&node);
    assert_eq!(received[0]["ok"]["expires_at"], node.now.wall_ms + 50_000);
    assert_eq!(received[1]["unsubscribed"]["channel"], "secret:1");
    assert_eq!(received.len(), 2);
    node.advance(20_000);
    phone.peer.handle_timeout(node.now);
    assert_eq!(phone.close, None);
    phone.login = Ok(identity("u2", &[]));
    assert_eq!(code(&phone.ask(&node, json!({"id": 4, "auth": {"token": "…"}}))), "permission_denied");
}

#[test]
fn ping_is_answered_at_running_call_limit() {
    let node = Node::with(Limits { requests_in_flight_max: 2, ..Limits::default() }, Retention::default());
    let mut phone = node.guest();
    phone.hear(&node);
    for id in 1..=2 {
        phone.say(&node, json!({"id": id, "call": {"method": "slow"}}));
    }
    phone.say(&node, json!({"id": 1, "again": true, "call": {"method": "slow"}}));
    assert!(phone.peer.wants_input(), "a repeated running call blocks no input");
    phone.say(&node, json!({"ping": {}}));
    assert_eq!(phone.hear_only(&node, "pong").len(), 1);
}
