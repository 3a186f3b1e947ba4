//! Admission of many simultaneous hellos.

use crate::common::{Node, Phone};
use serde_json::{Value, json};
use tautline_engine::Retention;
use tautline_hub::HubLimits;

/// A node that admits one new session per millisecond.
fn one_at_a_time() -> Node {
    Node::with(HubLimits { new_sessions_per_ms_max: 0, ..HubLimits::default() }, Retention::default())
}

fn hello() -> Value {
    json!({"hello": {"v": 1, "auth": {"guest": true}}})
}

fn resume(ticket: &Value) -> Value {
    json!({"hello": {"v": 1, "resume": {"ticket": ticket, "attempt": 9}}})
}

/// A phone whose hello is queued.
fn waiting(node: &Node, hello: Value) -> Phone {
    let mut phone = node.dial();
    phone.say(node, hello);
    assert!(phone.inbox.is_empty() && !phone.peer.wants_input());
    phone
}

/// Admits the next few hellos. Returns true if more are waiting.
fn admit_next(node: &Node, phones: &mut [Phone]) -> bool {
    let more = node.hub.pump();
    phones.iter_mut().for_each(|phone| phone.drain(node));
    more
}

fn welcomed(phones: &[Phone]) -> Vec<usize> {
    (0..phones.len())
        .filter(|&index| phones[index].inbox.iter().any(|it| it["welcome"].is_object()))
        .collect()
}

/// Tickets of sessions whose connections are gone.
fn tickets(node: &mut Node, count: usize) -> Vec<Value> {
    (0..count)
        .map(|_| {
            let mut phone = waiting(node, hello());
            node.hub.pump();
            phone.drain(node);
            phone.inbox[0]["welcome"]["ticket"].clone()
        })
        .collect()
}

#[test]
fn hellos_beyond_limit_per_millisecond_are_queued() {
    let mut node =
        Node::with(HubLimits { new_sessions_per_ms_max: 2, ..HubLimits::default() }, Retention::default());
    let mut phones: Vec<_> = (0..2).map(|_| node.guest()).collect();
    assert_eq!(welcomed(&phones), [0, 1]);
    phones.push(waiting(&node, hello()));
    // In the next millisecond the order is kept.
    node.advance(1);
    phones.push(waiting(&node, hello()));
    assert!(!admit_next(&node, &mut phones), "the queue is empty");
    assert_eq!(welcomed(&phones), [0, 1, 2, 3]);
    phones.push(node.guest());
    assert_eq!(welcomed(&phones).len(), 5);
}

#[test]
fn new_client_does_not_queue_behind_resuming_ones() {
    let mut node = one_at_a_time();
    let tickets = tickets(&mut node, 8);
    node.advance(1000);
    let mut back: Vec<_> = tickets.iter().map(|ticket| waiting(&node, resume(ticket))).collect();
    let mut new: Vec<_> = (0..2).map(|_| waiting(&node, hello())).collect();
    for turns in 1..=8 {
        let more = node.hub.pump();
        back.iter_mut().chain(&mut new).for_each(|phone| phone.drain(&node));
        assert_eq!(welcomed(&back), (0..turns).collect::<Vec<_>>());
        assert_eq!(welcomed(&new), (0..turns.min(2)).collect::<Vec<_>>());
        assert_eq!(more, turns < 8);
    }
}

#[test]
fn queued_new_client_times_out_and_resuming_waits() {
    let mut node = one_at_a_time();
    let ticket = tickets(&mut node, 1).remove(0);
    node.advance(1000);
    let mut phones = [waiting(&node, resume(&ticket)), waiting(&node, hello())];
    assert_eq!(phones[1].peer.poll_timeout(), node.now.mono_ms + 100);
    node.advance(99);
    for phone in &mut phones {
        phone.peer.handle_timeout(node.now);
        phone.drain(&node);
        assert!(phone.inbox.is_empty());
    }
    node.advance(1);
    for phone in &mut phones {
        phone.peer.handle_timeout(node.now);
        phone.drain(&node);
    }
    let bye = &phones[1].inbox[0]["bye"];
    assert_eq!(bye["code"], "overloaded");
    assert!(bye["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{bye}");
    assert_eq!(phones[1].close, Some(4002));
    admit_next(&node, &mut phones);
    assert_eq!(welcomed(&phones), [0], "the admission of the closed connection has no effect");
}

#[test]
fn requests_behind_queued_hello_run_after_welcome() {
    let node = one_at_a_time();
    let mut phones = [node.dial()];
    let packets = hello().to_string() + "\n" + r#"{"id":1,"subscribe":{"channel":"room:1"}}"#;
    phones[0].say_text(&node, &packets);
    phones[0].say(&node, json!({"id": 2, "publish": {"channel": "room:1", "data": 1}}));
    assert!(phones[0].inbox.is_empty());
    admit_next(&node, &mut phones);
    let ids: Vec<_> = phones[0].inbox.iter().filter_map(|packet| packet["id"].as_u64()).collect();
    assert_eq!(ids, [1, 2]);
}

#[test]
fn drain_closes_queued_hello() {
    let node = one_at_a_time();
    let mut phones = [waiting(&node, hello())];
    node.hub.drain(0);
    admit_next(&node, &mut phones);
    assert_eq!(phones[0].inbox[0]["bye"]["code"], "server_restart");
}

#[test]
fn disconnect_while_queued_leaves_nothing_behind() {
    let mut node = one_at_a_time();
    let mut phone = waiting(&node, hello());
    phone.peer.handle_lost(node.now);
    drop(phone);
    let mut phones = [waiting(&node, hello())];
    // Its admission passes without effect.
    while admit_next(&node, &mut phones) {}
    assert_eq!(welcomed(&phones), [0]);
    node.advance(1);
    assert_eq!(node.hub.stats().sessions, 1);
}
