//! Channels to which a login subscribes its clients.

use crate::common::{Node, Phone, closed, identity};
use serde_json::{Value, json};
use tautline_engine::Retention;
use tautline_hub::{Access, ChannelRule, Identity, LoginDetails, PresenceMode};
use tautline_protocol::{ChannelName, Limits};

fn node() -> Node {
    let by_token = |pattern: &str| ChannelRule { subscribe: Access::Token, ..closed(pattern) };
    Node::ruled(vec![
        closed("closed"),
        ChannelRule { ack: true, ..by_token("tasks") },
        ChannelRule { presence: PresenceMode::Events, ..by_token("room:*") },
        ChannelRule { subscribe: Access::Any, ..closed("news") },
    ])
}

fn login(subs: &[&str]) -> Identity {
    let subs = subs.iter().map(|name| ChannelName::parse(name).expect("valid")).collect();
    Identity { details: LoginDetails { subs, ..LoginDetails::default() }.shared(), ..identity("ann", &[]) }
}

fn resume(node: &Node, ticket: &Value, cursors: Value) -> Phone {
    let mut phone = node.dial();
    let resume = json!({"ticket": ticket, "attempt": 9, "cursors": cursors});
    phone.enter(node, json!({"hello": {"v": 1, "resume": resume}}));
    phone
}

#[test]
fn welcome_names_the_channels_of_the_login() {
    let node = node();
    node.publish("room:7", &json!("before"));
    let mut ann = node.log_in(login(&["room:7", "news"]));
    let welcome = ann.welcome(&node);
    assert_eq!(welcome["subs"], json!(["room:7", "news"]));
    assert_eq!(welcome["channels"]["room:7"]["recovering"], 0, "from now on");
    node.publish("room:7", &json!("after"));
    assert_eq!(ann.hear_only(&node, "pub")[0]["data"], "after");
    assert_eq!(node.user("bob", &[]).welcome(&node)["subs"], Value::Null);
}

#[test]
fn channel_without_permission_is_refused_in_the_welcome() {
    let node = node();
    let mut ann = node.log_in(login(&["closed", "user:bob", "unknown", "news"]));
    let welcome = ann.welcome(&node);
    assert_eq!(welcome["subs"], json!(["news"]));
    for name in ["closed", "user:bob", "unknown"] {
        assert_eq!(welcome["channels"][name]["error"]["code"], "permission_denied", "{name}");
    }
    assert!(welcome["channels"]["user:ann"]["epoch"].is_string());
}

#[test]
fn channel_with_acks_starts_at_the_acknowledged_position() {
    let node = node();
    node.publish("tasks", &json!(1));
    let mut ann = node.log_in(login(&["tasks"]));
    assert_eq!(ann.welcome(&node)["channels"]["tasks"]["recovering"], 1);
}

#[test]
fn resume_subscribes_from_the_cursor_or_from_now() {
    let node = node();
    let mut ann = node.log_in(login(&["room:7", "news"]));
    let welcome = ann.welcome(&node);
    drop(ann);
    (1..=3).for_each(|n| node.publish("room:7", &json!(n)));
    (1..=3).for_each(|n| node.publish("news", &json!(n)));
    let at = &welcome["channels"]["room:7"];
    let cursors = json!({"room:7": {"epoch": at["epoch"], "offset": at["offset"]}});
    let mut again = resume(&node, &welcome["ticket"], cursors);
    let welcome = again.welcome(&node);
    assert_eq!(welcome["subs"], json!(["room:7", "news"]), "the ticket carries them");
    let recovering = ["room:7", "news"].map(|name| welcome["channels"][name]["recovering"].clone());
    assert_eq!(recovering, [3, 0]);
}

#[test]
fn unsubscribed_channel_comes_back_with_the_next_hello() {
    let node = node();
    let mut ann = node.log_in(login(&["room:7"]));
    let welcome = ann.welcome(&node);
    assert!(ann.ask(&node, json!({"id": 1, "unsubscribe": {"channel": "room:7"}}))["ok"].is_object());
    node.publish("room:7", &json!(1));
    assert!(ann.hear_only(&node, "pub").is_empty());
    let mut again = resume(&node, &welcome["ticket"], json!({}));
    assert_eq!(again.welcome(&node)["subs"], json!(["room:7"]));
}

#[test]
fn refreshed_login_without_the_channel_ends_it() {
    let node = node();
    let mut ann = node.log_in(login(&["room:7"]));
    ann.welcome(&node);
    ann.login = Ok(login(&["news"]));
    ann.ask(&node, json!({"id": 1, "auth": {"token": "…"}}));
    let ended = ann.hear_only(&node, "unsubscribed");
    assert_eq!(ended[0]["channel"], "room:7");
}

#[test]
fn channels_of_login_and_cursors_share_the_limit() {
    let limits = Limits { channels_max: 3, ..Limits::default() };
    let node = Node::with(limits, Retention::default());
    let mut ann = node.log_in(login(&["a", "b"]));
    let welcome = ann.welcome(&node);
    let at = &welcome["channels"]["a"];
    let cursor = json!({"epoch": at["epoch"], "offset": 0});
    let mut again = resume(&node, &welcome["ticket"], json!({"c": cursor, "d": cursor}));
    let welcome = again.welcome(&node);
    assert_eq!(welcome["subs"], json!(["a", "b"]));
    assert_eq!(welcome["channels"]["c"]["error"]["code"], "limit");
    assert!(welcome["channels"]["user:ann"]["epoch"].is_string());
}
