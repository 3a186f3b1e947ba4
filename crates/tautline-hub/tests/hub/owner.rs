//! A session has one owning connection. A superseded connection that has not noticed yet changes nothing.

use std::sync::Arc;

use crate::common::{Node, Phone, identity, resume, slow::SlowEngine};
use serde_json::{Value, json};
use tautline_engine::{Engine, Retention};
use tautline_hub::Output;
use tautline_hub::{HubLimits, NodeLimits};

/// A session's old connection, which has not drained its mailbox since, and its new one.
fn superseded(node: &Node) -> (Phone, Phone) {
    let mut old = node.user("u1", &[]);
    let welcome = old.welcome(node);
    old.ask(node, json!({"id": 1, "subscribe": {"channel": "party:1"}}));
    let epoch = old.ask(node, json!({"id": 2, "subscribe": {"channel": "room:7"}}))["ok"]["epoch"].clone();
    let mut new = node.dial();
    let cursor = json!({"epoch": epoch, "offset": 0});
    new.say(node, resume(&welcome, 5, json!({"party:1": cursor, "room:7": cursor})));
    assert_eq!(new.welcome(node)["resumed"], true);
    (old, new)
}

/// Asserts that a superseded connection receives `taken_over`.
fn receives_taken_over(node: &Node, phone: &mut Phone) {
    let received = phone.hear(node);
    assert_eq!(received.len(), 1, "{received:?}");
    assert_eq!(received[0]["bye"]["code"], "taken_over");
    assert_eq!(phone.close, Some(4105));
}

fn is_served(node: &Node, phone: &mut Phone) {
    let publish = json!({"id": 9, "publish": {"channel": "room:7", "data": 9}});
    assert!(phone.ask(node, publish).get("ok").is_some());
    assert_eq!(phone.close, None);
}

#[test]
fn bye_of_superseded_connection_does_not_end_session() {
    let node = Node::new();
    let (mut old, mut new) = superseded(&node);
    old.say(&node, json!({"bye": {}}));
    receives_taken_over(&node, &mut old);
    assert_eq!(node.hub.stats().sessions, 1);
    is_served(&node, &mut new);
    node.hub.drain(0);
    assert_eq!(new.bye(&node)["code"], "server_restart");
}

#[test]
fn pause_of_superseded_connection_leaves_session_online() {
    let node = Node::new();
    let (mut old, mut new) = superseded(&node);
    old.say(&node, json!({"pause": {}}));
    receives_taken_over(&node, &mut old);
    let roster = new.ask(&node, json!({"id": 3, "presence": {"channel": "party:1"}}));
    assert_eq!(roster["ok"]["members"][0]["state"], "online", "{roster}");
}

#[test]
fn unpause_of_superseded_connection_leaves_session_away() {
    let node = Node::new();
    let (mut old, mut new) = superseded(&node);
    new.say(&node, json!({"pause": {}}));
    old.say(&node, json!({"ping": {}}));
    receives_taken_over(&node, &mut old);
    let mut watcher = node.guest();
    let roster = watcher.ask(&node, json!({"id": 1, "presence": {"channel": "party:1"}}));
    assert_eq!(roster["ok"]["members"][0]["state"], "away", "{roster}");
}

#[test]
fn requests_of_superseded_connection_are_not_executed() {
    let node = Node::new();
    let (mut old, mut new) = superseded(&node);
    old.say_text(
        &node,
        &[
            json!({"id": 3, "seen": 2, "publish": {"channel": "room:7", "data": 1}}),
            json!({"id": 4, "call": {"method": "m"}}),
            json!({"id": 5, "unsubscribe": {"channel": "party:1"}}),
        ]
        .map(|packet| packet.to_string())
        .join("\n"),
    );
    receives_taken_over(&node, &mut old);
    assert!(old.calls.is_empty());
    assert_eq!(node.hub.stats().publications, 0);
    let roster = new.ask(&node, json!({"id": 3, "presence": {"channel": "party:1"}}));
    assert_eq!(roster["ok"]["count"], 1);
    is_served(&node, &mut new);
}

#[test]
fn late_login_of_superseded_connection_is_ignored() {
    let node = Node::new();
    let mut old = node.user("u1", &["secret:1"]);
    let welcome = old.welcome(&node);
    old.peer.handle_message(node.now, &json!({"id": 1, "auth": {"token": "…"}}).to_string());
    let Some(Output::Authenticate(_, reply)) = old.peer.poll_output(node.now) else { panic!("a question") };
    let mut new = node.dial();
    new.say(&node, resume(&welcome, 5, json!({})));
    reply.answer(Ok(identity("u1", &[])));
    receives_taken_over(&node, &mut old);
    let reply = new.ask(&node, json!({"id": 2, "subscribe": {"channel": "secret:1"}}));
    assert!(reply.get("ok").is_some(), "{reply}");
}

#[test]
fn late_lookup_of_superseded_connection_joins_no_roster() {
    let limits = NodeLimits::default();
    let engine = SlowEngine::new(&limits);
    let node = Node::on(Arc::clone(&engine) as Arc<dyn Engine>, limits, Retention::default(), 7);
    let mut old = node.guest();
    let welcome = old.welcome(&node);
    let mut watcher = node.guest();
    watcher.say(&node, json!({"id": 1, "subscribe": {"channel": "party:1"}}));
    engine.work();
    watcher.hear(&node);
    old.say(&node, json!({"id": 1, "subscribe": {"channel": "party:1", "from": "start"}}));
    let mut new = node.dial();
    new.say(&node, resume(&welcome, 5, json!({})));
    engine.work();
    old.drain(&node);
    assert_eq!(new.welcome(&node)["resumed"], true);
    assert!(watcher.hear(&node).is_empty(), "no session has joined");
}

/// The engine is asked between the check of a ticket and the opening of its session.
#[test]
fn bye_during_resume_leaves_ticket_void() {
    let limits = NodeLimits::default();
    let engine = SlowEngine::new(&limits);
    let node = Node::on(Arc::clone(&engine) as Arc<dyn Engine>, limits, Retention::default(), 7);
    let mut old = node.guest();
    let welcome = old.welcome(&node);
    let mut new = node.dial();
    new.say(&node, resume(&welcome, 5, json!({"room:7": {"epoch": "e", "offset": 1}})));
    old.say(&node, json!({"bye": {}}));
    engine.work();
    assert_eq!(new.hear(&node)[0]["challenge"]["code"], "ticket_revoked");
    assert_eq!(node.hub.stats().sessions, 0);
}

#[test]
fn bye_is_sent_to_others_as_leave() {
    let node = Node::new();
    let mut watcher = node.guest();
    watcher.ask(&node, json!({"id": 1, "subscribe": {"channel": "party:1"}}));
    let mut leaves = node.user("u1", &[]);
    leaves.ask(&node, json!({"id": 1, "subscribe": {"channel": "party:1"}}));
    watcher.hear(&node);
    leaves.say(&node, json!({"bye": {}}));
    let received: Vec<Value> = watcher.hear(&node);
    assert_eq!(received.len(), 1, "{received:?}");
    assert_eq!(received[0]["leave"]["user"], "u1");
}

/// Regression: replies that counted for an ended session filled the node's budget permanently.
#[test]
fn ended_sessions_keep_no_reply_bytes() {
    let limits = HubLimits { replies_bytes_max: 100_000, ..HubLimits::default() };
    let mut node = Node::with(limits, Retention::default());
    for _ in 0..14 {
        let (mut old, mut new) = superseded(&node);
        old.say(&node, json!({"bye": {}}));
        for id in 10..110 {
            new.say(&node, json!({"id": id, "publish": {"channel": "closed:1", "data": 1}}));
        }
        assert_eq!(new.close, None, "{:?}", new.inbox.last());
        drop(new);
        node.advance(120_000);
        assert_eq!(node.hub.stats().reply_bytes, 0);
    }
    let mut honest = node.guest();
    for id in 1..=3 {
        honest.ask(&node, json!({"id": id, "publish": {"channel": "room:7", "data": id}}));
    }
    assert_eq!(honest.close, None);
}
