//! Rules that change while clients are connected.

use std::sync::Arc;

use crate::common::{Node, closed, identity, slow::SlowEngine};
use serde_json::{Value, json};
use tautline_engine::Retention;
use tautline_hub::{Access, ChannelRule, NodeLimits, PresenceMode};

fn rule(pattern: &str, access: Access) -> ChannelRule {
    ChannelRule { subscribe: access, publish: access, presence: PresenceMode::Events, ..closed(pattern) }
}

fn open() -> Vec<ChannelRule> {
    vec![rule("*", Access::Any)]
}

fn subscribe(id: u64, channel: &str) -> Value {
    json!({"id": id, "subscribe": {"channel": channel}})
}

#[test]
fn subscription_without_permission_ends_at_rule_change() {
    let node = Node::ruled(open());
    let mut guest = node.guest();
    guest.ask(&node, subscribe(1, "room:7"));
    guest.ask(&node, subscribe(2, "lobby"));
    guest.was_woken();
    node.hub.set_rules(vec![rule("room:*", Access::Token), rule("*", Access::Any)]);
    assert!(guest.was_woken());
    let ended = guest.hear_only(&node, "unsubscribed");
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!((&ended[0]["channel"], &ended[0]["code"]), (&json!("room:7"), &json!("permission_denied")));
    node.publish("room:7", &json!(1));
    node.publish("lobby", &json!(2));
    let heard = guest.hear_only(&node, "pub");
    assert_eq!(heard.len(), 1, "the other subscription goes on");
    assert_eq!(heard[0]["channel"], "lobby");
}

#[test]
fn ended_subscription_leaves_the_roster() {
    let node = Node::ruled(open());
    let (mut guest, mut user) = (node.guest(), node.user("u1", &["room:*"]));
    for phone in [&mut guest, &mut user] {
        phone.ask(&node, subscribe(1, "room:7"));
    }
    user.hear(&node);
    node.hub.set_rules(vec![rule("room:*", Access::Token)]);
    guest.drain(&node);
    assert_eq!(user.hear_only(&node, "leave").len(), 1);
}

#[test]
fn next_request_is_decided_by_the_new_rules() {
    let node = Node::ruled(vec![]);
    let mut guest = node.guest();
    let publish = |id| json!({"id": id, "publish": {"channel": "room:7", "data": 1}});
    assert_eq!(guest.ask(&node, publish(1))["error"]["code"], "permission_denied");
    node.hub.set_rules(open());
    assert_eq!(guest.ask(&node, publish(2))["ok"]["offset"], 1);
    assert!(guest.ask(&node, subscribe(3, "room:7"))["ok"].is_object());
    node.hub.set_rules(vec![]);
    assert_eq!(guest.ask(&node, publish(4))["error"]["code"], "permission_denied");
    assert_eq!(guest.hear_only(&node, "unsubscribed").len(), 1);
}

#[test]
fn parked_session_resumes_without_removed_permission() {
    let node = Node::ruled(open());
    let mut guest = node.guest();
    let ticket = guest.welcome(&node)["ticket"].clone();
    let ok = guest.ask(&node, subscribe(1, "room:7"))["ok"].clone();
    drop(guest);
    node.hub.set_rules(vec![rule("room:*", Access::User)]);
    let cursor = json!({"epoch": ok["epoch"], "offset": ok["offset"]});
    let resume = json!({"ticket": ticket, "attempt": 9, "cursors": {"room:7": cursor}});
    let mut again = node.dial();
    again.enter(&node, json!({"hello": {"v": 1, "resume": resume}}));
    let welcome = again.welcome(&node);
    assert_eq!(welcome["resumed"], true);
    assert_eq!(welcome["channels"]["room:7"]["error"]["code"], "permission_denied");
}

#[test]
fn subscribe_that_waits_for_engine_meets_the_new_rules() {
    let engine = SlowEngine::new(&NodeLimits::default());
    let node = Node::on(Arc::clone(&engine) as _, NodeLimits::default(), Retention::default(), 7);
    let mut guest = node.guest();
    guest.say(&node, subscribe(1, "room:7"));
    node.hub.set_rules(vec![]);
    engine.work();
    let heard = guest.hear(&node);
    let reply = heard.iter().find(|packet| packet["id"] == 1).expect("a reply");
    assert_eq!(reply["error"]["code"], "permission_denied");
    assert!(heard.iter().all(|packet| packet["unsubscribed"].is_null()), "{heard:?}");
}

#[test]
fn presence_events_end_when_rules_hide_them() {
    let node = Node::ruled(open());
    let (mut ann, mut bob) = (node.guest(), node.guest());
    for phone in [&mut ann, &mut bob] {
        phone.ask(&node, subscribe(1, "room:7"));
    }
    ann.hear(&node);
    let hidden = ChannelRule { presence_access: Some(Access::None), ..rule("*", Access::Any) };
    node.hub.set_rules(vec![hidden]);
    ann.drain(&node);
    bob.drain(&node);
    bob.ask(&node, json!({"id": 2, "unsubscribe": {"channel": "room:7"}}));
    let heard = ann.hear(&node);
    assert!(heard.is_empty(), "{heard:?}");
}

#[test]
fn inbox_and_own_grants_outlive_a_rule_change() {
    let node = Node::ruled(vec![rule("room:*", Access::Token)]);
    let mut ann = node.user("ann", &["room:*"]);
    ann.ask(&node, subscribe(1, "room:7"));
    node.hub.set_rules(vec![rule("room:7", Access::Token)]);
    assert!(ann.hear_only(&node, "unsubscribed").is_empty());
    node.publish("user:ann", &json!(1));
    node.publish("room:7", &json!(2));
    assert_eq!(ann.hear_only(&node, "pub").len(), 2);
    ann.login = Ok(identity("ann", &[]));
    ann.ask(&node, json!({"id": 2, "auth": {"token": "…"}}));
    assert_eq!(ann.hear_only(&node, "unsubscribed").len(), 1);
}

#[test]
fn next_publication_is_kept_by_the_new_rules() {
    let keeping = |count| {
        let retention = Retention { count, ..Retention::default() };
        vec![ChannelRule { retention, ..rule("*", Access::Any) }]
    };
    let node = Node::ruled(keeping(10));
    let mut guest = node.guest();
    (1..=5).for_each(|n| node.publish("room:7", &json!(n)));
    node.hub.set_rules(keeping(2));
    node.publish("room:7", &json!(6));
    let page = guest.ask(&node, json!({"id": 1, "history": {"channel": "room:7", "after": "start"}}));
    assert_eq!(page["ok"]["publications"].as_array().expect("a page").len(), 2);
}
