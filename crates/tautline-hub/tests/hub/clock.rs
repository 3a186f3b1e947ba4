//! A jumping wall clock: nothing is deleted early, and no log in use is forgotten.

use crate::common::Node;
use serde_json::json;
use tautline_engine::Retention;
use tautline_protocol::{Limits, Now};

const HOUR: u64 = 3_600_000;

fn an_hour() -> Node {
    let mut node = Node::with(Limits::default(), Retention { age_ms: HOUR, ..Retention::default() });
    node.advance(1_000);
    node
}

/// Ticks of ten seconds with the wall clock off by `ms`.
fn with_step(node: &mut Node, ms: i64) {
    let right = node.now;
    for second in 1..=10 {
        let now = right.plus_ms(second * 1_000);
        node.now = Now::new(now.mono_ms, now.wall_ms.saturating_add_signed(ms));
        node.hub.tick(node.now);
    }
}

fn end_step(node: &mut Node, ms: i64) {
    node.now = Now::new(node.now.mono_ms, node.now.wall_ms.saturating_add_signed(-ms));
    node.advance(1_000);
}

/// The number of publications in the history.
fn history(node: &Node, channel: &str) -> usize {
    let request = json!({"id": 1, "history": {"channel": channel, "limit": 100}});
    let reply = node.guest().ask(node, request);
    reply["ok"]["publications"].as_array().expect("history is answered").len()
}

#[test]
fn step_two_hours_ahead_for_ten_seconds_deletes_nothing() {
    let mut node = an_hour();
    (0..10).for_each(|number| node.publish("room:7", &json!(number)));
    with_step(&mut node, 2 * HOUR as i64);
    assert_eq!(history(&node, "room:7"), 10, "history shows everything");
    end_step(&mut node, 2 * HOUR as i64);
    assert_eq!(history(&node, "room:7"), 10);
}

#[test]
fn publication_during_step_ahead_deletes_nothing() {
    let mut node = an_hour();
    (0..10).for_each(|number| node.publish("room:7", &json!(number)));
    // Before the first tick that could detect the jump.
    let right = node.now;
    node.now = Now::new(right.mono_ms + 1, right.wall_ms + 2 * HOUR);
    node.publish("room:7", &json!(10));
    assert_eq!(history(&node, "room:7"), 11);
}

#[test]
fn publication_during_step_back_has_its_full_time() {
    let mut node = an_hour();
    with_step(&mut node, -2 * (HOUR as i64));
    node.publish("room:7", &json!(1));
    end_step(&mut node, -2 * (HOUR as i64));
    assert_eq!(history(&node, "room:7"), 1);
}

#[test]
fn ages_are_right_again_once_the_step_is_old() {
    let mut node = an_hour();
    node.publish("room:7", &json!(1));
    with_step(&mut node, 2 * HOUR as i64);
    // Two hours later by both clocks: the publications are too old by either.
    node.advance(2 * HOUR);
    assert_eq!(history(&node, "room:7"), 0);
    node.advance(Limits::default().ticket_ms);
    assert_eq!(node.hub.clock_lead_ms(node.now), 0, "the stepped time counts as age");
    node.publish("room:7", &json!(2));
    node.advance(HOUR + 1_000);
    assert_eq!(history(&node, "room:7"), 0);
}

#[test]
fn subscribed_log_is_empty_for_days_without_gap() {
    let mut node = an_hour();
    let mut phone = node.guest();
    phone.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    node.publish("room:7", &json!(1));
    assert_eq!(phone.offsets(&node), [1]);
    for _ in 0..8 {
        node.advance(Limits::default().ticket_ms);
    }
    node.publish("room:7", &json!(2));
    let heard = phone.hear(&node);
    assert_eq!((heard.len(), &heard[0]["pub"]["offset"]), (1, &json!(2)), "{heard:?}");
}

#[test]
fn cursor_of_forgotten_log_gets_new_epoch() {
    let mut node = an_hour();
    let mut phone = node.guest();
    node.publish("room:7", &json!(1));
    let stood = phone.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}))["ok"].clone();
    drop(phone);
    for _ in 0..16 {
        node.advance(Limits::default().ticket_ms);
    }
    node.publish("room:7", &json!("another log"));
    let mut back = node.guest();
    let from = json!({"epoch": stood["epoch"], "offset": stood["offset"]});
    back.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7", "from": from}}));
    let gaps = back.hear_only(&node, "gap");
    assert_eq!((gaps.len(), &gaps[0]["reason"]), (1, &json!("new_epoch")), "{gaps:?}");
}
