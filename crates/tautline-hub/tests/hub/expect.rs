//! Publishing behind an expected head.

use crate::common::Node;
use serde_json::{json, value::RawValue};
use tautline_hub::PublishOptions;
use tautline_protocol::{
    ChannelName, Cursor,
    packet::{ErrorBody, server::Published},
};

fn publish(node: &Node, head: &Cursor, key: Option<&str>) -> Result<Published, ErrorBody> {
    let channel = ChannelName::parse("room:7").expect("valid");
    let options = PublishOptions { expect: Some(head), idempotency_key: key, ..PublishOptions::default() };
    node.try_publish(&channel, RawValue::NULL, options)
}

/// Where the log begins.
fn beginning(node: &Node) -> Cursor {
    let mut phone = node.guest();
    let reply = phone.ask(node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    Cursor { epoch: reply["ok"]["epoch"].as_str().expect("an epoch").to_owned(), offset: 0, at: None }
}

#[test]
fn publication_behind_moved_head_names_present_one() {
    let node = Node::new();
    let head = beginning(&node);
    let mut phone = node.guest();
    phone.say(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    assert_eq!(publish(&node, &head, None).expect("published").offset, 1);
    let refused = publish(&node, &head, None).expect_err("the head has moved");
    let moved = Cursor { offset: 1, ..head };
    assert_eq!((refused.code.as_str(), refused.head.as_deref()), ("conflict", Some(&moved)));
    assert_eq!(serde_json::to_value(&refused).expect("json")["head"]["offset"], 1);
    assert_eq!(publish(&node, &moved, None).expect("published").offset, 2);
    while node.hub.pump() {}
    assert_eq!(phone.offsets(&node), [1, 2], "subscribers receive those that were published");
}

#[test]
fn repeated_key_with_moved_head_answers_as_before() {
    let node = Node::new();
    let head = beginning(&node);
    let first = publish(&node, &head, Some("k")).expect("published");
    assert_eq!(publish(&node, &head, Some("k")).expect("repeated"), first);
    let other = publish(&node, &head, Some("other")).expect_err("the head has moved");
    assert_eq!(other.code.as_str(), "conflict");
}
