//! Permissions that are taken back while a client waits or is away: a permission that must be asked is never assumed.

use std::sync::Arc;

use crate::common::{Node, Phone, closed, resume, slow::SlowEngine};
use serde_json::{Value, json};
use tautline_engine::Retention;
use tautline_hub::{Access, Authorization, ChannelRule, NodeLimits, Target};
use tautline_protocol::{ChannelName, UserId};

fn rules(access: Access) -> Vec<ChannelRule> {
    vec![ChannelRule { subscribe: access, publish: access, ..closed("*") }]
}

fn slow_node() -> (Node, Arc<SlowEngine>) {
    let engine = SlowEngine::new(&NodeLimits::default());
    (Node::on(Arc::clone(&engine) as _, NodeLimits::default(), Retention::default(), 7), engine)
}

fn subscribe(id: u64, channel: &str) -> Value {
    json!({"id": id, "subscribe": {"channel": channel}})
}

/// The ids of the replies since the last call.
fn replied(phone: &mut Phone, node: &Node) -> Vec<u64> {
    phone.hear(node).iter().filter_map(|packet| packet["id"].as_u64()).collect()
}

fn unsubscribe_by_control(node: &Node, channel: &str) {
    let user = Target::User(UserId::parse("u1").expect("valid"));
    let channel = ChannelName::parse(channel).expect("valid");
    assert_eq!(node.hub.control().unsubscribe(node.now, user, channel, "enough"), 1);
}

#[test]
fn rule_that_asks_meets_subscribe_at_engine() {
    let (node, engine) = slow_node();
    let mut phone = node.guest();
    phone.say(&node, subscribe(1, "room:7"));
    node.hub.set_rules(rules(Access::Backend));
    engine.work();
    assert_eq!((replied(&mut phone, &node), phone.questions.len()), (vec![], 1));
    phone.decide(&node, Authorization::deny("no"));
    let reply = phone.hear(&node).pop().expect("a reply");
    assert_eq!((&reply["id"], &reply["error"]["message"]), (&json!(1), &json!("no")));
    node.publish_later("room:7", &json!("unheard"));
    engine.work();
    while node.hub.pump() {}
    assert_eq!(phone.hear(&node), Vec::<Value>::new());
}

#[test]
fn permission_ended_by_control_during_lookup_is_asked_again() {
    let (node, engine) = slow_node();
    let mut phone = node.user("u1", &[]);
    engine.work();
    phone.say(&node, subscribe(1, "asks:1"));
    phone.say(&node, json!({"id": 2, "publish": {"channel": "asks:1", "data": 1}}));
    for answer in [Authorization::Allow { valid_ms: Some(0) }, Authorization::ALLOW] {
        phone.decide(&node, answer);
    }
    unsubscribe_by_control(&node, "asks:1");
    phone.hear(&node);
    engine.work();
    assert_eq!((replied(&mut phone, &node), phone.questions.len()), (vec![], 1));
    assert_eq!(engine.work(), 0, "the publish waits behind it");
    phone.decide(&node, Authorization::deny("no"));
    engine.work();
    assert_eq!(replied(&mut phone, &node), [1, 2]);
}

#[test]
fn answer_before_control_in_one_mailbox_is_withdrawn() {
    let (node, engine) = slow_node();
    let mut phone = node.user("u1", &[]);
    engine.work();
    phone.say(&node, subscribe(1, "asks:1"));
    let (_, reply) = phone.questions.remove(0);
    reply.answer(Authorization::ALLOW);
    unsubscribe_by_control(&node, "asks:1");
    assert_eq!(replied(&mut phone, &node), Vec::<u64>::new());
    engine.work();
    assert_eq!((replied(&mut phone, &node), phone.questions.len()), (vec![], 1));
}

#[test]
fn grant_that_expires_during_lookup_is_asked_again() {
    let (mut node, engine) = slow_node();
    let mut phone = node.guest();
    phone.say(&node, subscribe(1, "asks:1"));
    phone.decide(&node, Authorization::Allow { valid_ms: Some(1_000) });
    engine.work();
    phone.say(&node, json!({"id": 2, "unsubscribe": {"channel": "asks:1"}}));
    assert_eq!(replied(&mut phone, &node), [1, 2]);
    phone.say(&node, json!({"id": 3, "subscribe": {"channel": "asks:1", "from": "start"}}));
    node.advance(999);
    engine.work();
    assert_eq!(replied(&mut phone, &node), [3], "it still holds");
    phone.say(&node, json!({"id": 4, "unsubscribe": {"channel": "asks:1"}}));
    phone.say(&node, json!({"id": 5, "subscribe": {"channel": "asks:1", "from": "acked"}}));
    node.advance(1);
    engine.work();
    assert_eq!((replied(&mut phone, &node), phone.questions.len()), (vec![4], 1));
}

#[test]
fn subscription_closed_by_rules_takes_its_grant_along() {
    let node = Node::ruled(rules(Access::Backend));
    let mut phone = node.guest();
    phone.say(&node, subscribe(1, "room:7"));
    phone.decide(&node, Authorization::ALLOW);
    node.hub.set_rules(rules(Access::None));
    assert_eq!(phone.hear_only(&node, "unsubscribed").len(), 1);
    node.hub.set_rules(rules(Access::Backend));
    phone.say(&node, subscribe(2, "room:7"));
    assert_eq!((replied(&mut phone, &node), phone.questions.len()), (vec![], 1));
}

#[test]
fn parked_session_loses_grants_of_closed_channels() {
    let node = Node::ruled(rules(Access::Backend));
    let mut phone = node.user("u1", &[]);
    let welcome = phone.welcome(&node);
    phone.say(&node, subscribe(1, "room:7"));
    phone.decide(&node, Authorization::ALLOW);
    let epoch = phone.hear(&node).pop().expect("a reply")["ok"]["epoch"].clone();
    phone.peer.handle_lost(node.now);
    node.hub.set_rules(rules(Access::None));
    node.hub.set_rules(rules(Access::Backend));
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({"room:7": {"epoch": epoch, "offset": 0}})));
    assert!(back.welcome(&node)["channels"].get("room:7").is_none(), "the client subscribes to it");
}

#[test]
fn denied_subscribe_withdraws_an_earlier_grant() {
    let node = Node::new();
    let mut phone = node.guest();
    phone.say(&node, subscribe(1, "asks:1"));
    phone.say(&node, subscribe(2, "asks:1"));
    phone.decide(&node, Authorization::ALLOW);
    phone.decide(&node, Authorization::deny("no more"));
    assert_eq!(replied(&mut phone, &node), [1, 2]);
    phone.say(&node, subscribe(3, "asks:1"));
    assert_eq!((replied(&mut phone, &node), phone.questions.len()), (vec![], 1));
}
