//! Clients that use msgpack, together with clients that use json (protocol, section 2).

use crate::common::{Node, Phone, resume};
use serde_json::{Value, json};
use tautline_engine::Retention;
use tautline_hub::HubLimits;
use tautline_hub::Output;
use tautline_protocol::{DATA_DEPTH_MAX, Format, MSGPACK_DEPTH_MAX};

fn guest(node: &Node) -> Phone {
    let mut phone = node.dial_in(Format::Msgpack);
    phone.say(node, json!({"hello": {"v": 1, "auth": {"guest": true}}}));
    phone
}

fn reader(node: &Node) -> Phone {
    let mut phone = guest(node);
    phone.ask(node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    phone
}

fn epoch_of(node: &Node) -> Value {
    guest(node).ask(node, json!({"id": 1, "history": {"channel": "room:7"}}))["ok"]["epoch"].clone()
}

/// The address and length of the next message's bytes.
fn next_message(node: &Node, phone: &mut Phone) -> (usize, usize) {
    match phone.peer.poll_output(node.now) {
        Some(Output::Message(bytes)) => (bytes.as_ptr().addr(), bytes.len()),
        other => panic!("expected a message, got {other:?}"),
    }
}

#[test]
fn publications_and_bytes_cross_between_formats() {
    let node = Node::new();
    let (mut talks_json, mut talks_msgpack) = (node.guest(), reader(&node));
    talks_json.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    let data = json!({"photo": {"$bin": "AAECAw=="}, "big": u64::MAX, "small": i64::MIN, "real": 0.1});
    let publish = json!({"id": 2, "publish": {"channel": "room:7", "data": data}});
    talks_json.say(&node, publish.clone());
    talks_msgpack.say(&node, publish);
    for phone in [&mut talks_json, &mut talks_msgpack] {
        let heard = phone.hear_only(&node, "pub");
        assert_eq!(heard.iter().map(|publication| &publication["data"]).collect::<Vec<_>>(), [&data, &data]);
    }
}

#[test]
fn publication_is_encoded_once_for_msgpack_readers() {
    let node = Node::new();
    let mut readers: Vec<_> = (0..3).map(|_| reader(&node)).collect();
    readers.iter_mut().for_each(|phone| drop(phone.hear(&node)));
    node.publish("room:7", &json!({"text": "x".repeat(1000)}));
    let mut messages = readers.iter_mut().map(|phone| next_message(&node, phone));
    let first = messages.next().expect("three of them");
    assert!(messages.all(|message| message == first), "the same bytes, not a copy");
}

#[test]
fn slow_msgpack_reader_reads_pages() {
    let limits = HubLimits { tail_entries_max: 1, ..HubLimits::default() };
    let node = Node::with(limits, Retention::default());
    for n in 0..10 {
        node.publish("room:7", &json!(n));
    }
    let epoch =
        guest(&node).ask(&node, json!({"id": 1, "history": {"channel": "room:7"}}))["ok"]["epoch"].clone();
    let from = json!({"channel": "room:7", "from": {"epoch": epoch, "offset": 0}});
    let mut readers: Vec<_> = (0..2).map(|_| guest(&node)).collect();
    for phone in &mut readers {
        phone.hear(&node);
        phone.say(&node, json!({"id": 1, "subscribe": from}));
        assert_eq!(phone.offsets(&node), (1..=10).collect::<Vec<u64>>());
    }
}

#[test]
fn msgpack_packets_are_batched_and_recovered_after_disconnect() {
    let node = Node::new();
    let mut phone = reader(&node);
    let welcome = phone.welcome(&node);
    for n in 0..100 {
        node.publish("room:7", &json!(n));
    }
    next_message(&node, &mut phone);
    assert!(phone.hear(&node).is_empty(), "it was one message");
    drop(phone);
    node.publish("room:7", &json!("while it was away"));
    let epoch = epoch_of(&node);
    let mut again = node.dial_in(Format::Msgpack);
    again.say(&node, resume(&welcome, 1, json!({"room:7": {"epoch": epoch, "offset": 99}})));
    assert_eq!(again.offsets(&node), [100, 101]);
}

#[test]
fn value_without_json_form_is_refused_connection_stays() {
    let node = Node::new();
    let mut phone = guest(&node);
    let mut message = b"\x82\xa2id\x01\xa7publish\x82\xa7channel\xa6room:7\xa4data".to_vec();
    message.extend_from_slice(b"\xd6\xff\x00\x00\x00\x00");
    phone.peer.handle_binary(node.now, &message);
    let heard = phone.hear(&node);
    assert_eq!(heard.last().map(|reply| &reply["error"]["code"]), Some(&json!("bad_request")), "{heard:?}");
    let reply = phone.ask(&node, json!({"id": 2, "publish": {"channel": "room:7", "data": 1}}));
    assert_eq!(reply["ok"]["offset"], 1, "the first append");
}

#[test]
fn malformed_msgpack_closes_connection_naming_its_request() {
    let node = Node::new();
    for (message, id) in [
        (&b"\x82\xa2id\x07\xa7publish\x82\xa7channel"[..], json!(7)),
        (b"\xc1", Value::Null),
        (b"\x93\x01\x02\x03", Value::Null),
        (b"{\"ping\":{}}", Value::Null),
    ] {
        let mut phone = guest(&node);
        phone.peer.handle_binary(node.now, message);
        let heard = phone.hear(&node);
        let last = heard.last().expect("a bye");
        assert_eq!((&last["bye"]["code"], &last["id"]), (&json!("bad_packet"), &id));
        assert_eq!(phone.close, Some(4201));
    }
}

#[test]
fn packets_before_malformed_one_are_processed() {
    let node = Node::new();
    let mut phone = guest(&node);
    phone.peer.handle_binary(node.now, b"\x82\xa2id\x01\xa7publish\x82\xa7channel\xa1a\xa4data\x01\xc1");
    assert_eq!(phone.bye(&node)["code"], "bad_packet");
    let reply = guest(&node).ask(&node, json!({"id": 1, "history": {"channel": "a"}}));
    assert_eq!(reply["ok"]["publications"][0]["data"], 1);
}

#[test]
fn json_nested_beyond_msgpack_limit_is_refused() {
    let node = Node::new();
    let mut phone = node.guest();
    let publish = |id: u64, depth: usize| {
        let data = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        format!("{{\"id\":{id},\"publish\":{{\"channel\":\"room:7\",\"data\":{data}}}}}")
    };
    phone.say_text(&node, &publish(1, DATA_DEPTH_MAX));
    phone.say_text(&node, &publish(2, DATA_DEPTH_MAX + 1));
    let mut replies = phone.hear(&node);
    replies.retain(|packet| packet["id"].is_number());
    assert!(replies[0]["ok"].is_object(), "{replies:?}");
    assert_eq!(replies[1]["error"]["code"], "bad_request", "{replies:?}");
}

/// Another client's deep nesting must not repeatedly close the connection of an innocent reader.
#[test]
fn value_beyond_msgpack_depth_arrives_as_text() {
    let node = Node::new();
    let mut phone = reader(&node);
    // A client may not publish this, but an old log may contain it.
    let deep = (0..MSGPACK_DEPTH_MAX).fold(json!([]), |inside, _| json!([inside]));
    node.publish("room:7", &deep);
    let mut other = node.guest();
    other.say_text(&node, "{\"id\":1,\"publish\":{\"channel\":\"room:7\",\"data\":1e999}}");
    let heard = phone.hear_only(&node, "pub");
    assert!(heard[0]["data"].to_string().contains("{\"$json\":\"[["), "{}", heard[0]);
    assert_eq!(heard[1]["data"], json!({"$json": "1e999"}));
}
