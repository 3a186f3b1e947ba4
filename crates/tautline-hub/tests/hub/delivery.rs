//! Delivery to subscribers: everything, once, in order, or a gap (protocol, section 5).

use crate::common::{Node, resume};
use serde_json::{Value, json};
use tautline_engine::Retention;
use tautline_hub::EngineLimits;
use tautline_protocol::Limits;

fn small_log() -> Node {
    Node::with(Limits::default(), Retention { count: 3, ..Retention::default() })
}

#[test]
fn subscriber_gets_publications_until_it_unsubscribes() {
    let node = Node::new();
    let mut phone = node.guest();
    node.publish("room:7", &json!("before"));
    let reply = phone.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    assert_eq!((&reply["ok"]["offset"], &reply["ok"]["recovering"]), (&json!(1), &json!(0)));
    phone.hear(&node);
    node.publish("room:7", &json!({"n": 1}));
    assert!(phone.was_woken());
    assert_eq!(
        phone.hear(&node),
        [json!({"pub": {"channel": "room:7", "offset": 2, "at": node.now.wall_ms, "data": {"n": 1}}})]
    );
    phone.ask(&node, json!({"id": 2, "unsubscribe": {"channel": "room:7"}}));
    node.publish("room:7", &json!("after"));
    assert!(phone.hear(&node).is_empty());
}

#[test]
fn publisher_is_named_and_receives_own_publication() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    phone.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    phone.say(&node, json!({"id": 2, "publish": {"channel": "room:7", "data": [1, 2]}}));
    let publications = phone.hear_only(&node, "pub");
    assert_eq!((&publications[0]["from"], &publications[0]["data"]), (&json!("u1"), &json!([1, 2])));
}

#[test]
fn pending_packets_are_sent_in_one_message() {
    let node = Node::new();
    let mut phone = node.guest();
    phone.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    for n in 0..100 {
        node.publish("room:7", &json!(n));
    }
    let mut messages = 0;
    while phone.peer.poll_output(node.now).is_some() {
        messages += 1;
    }
    assert_eq!(messages, 1);
}

#[test]
fn slow_reader_gets_gap_then_oldest_kept() {
    let node = small_log();
    let mut phone = node.guest();
    phone.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    phone.hear(&node);
    for n in 1..=10 {
        node.publish("room:7", &json!(n));
    }
    let received = phone.hear(&node);
    let gap = &received[0]["gap"];
    assert_eq!(
        (&gap["reason"], &gap["after"], &gap["cursor"]["offset"]),
        (&json!("retention"), &json!(0), &json!(7))
    );
    assert_eq!(gap["cursor"]["at"], node.now.wall_ms);
    assert_eq!(
        received[1..].iter().map(|packet| packet["pub"]["offset"].as_u64()).collect::<Vec<_>>(),
        [Some(8), Some(9), Some(10)]
    );
}

#[test]
fn gap_follows_reply_and_precedes_publications() {
    let node = small_log();
    for n in 1..=5 {
        node.publish("room:7", &json!(n));
    }
    let epoch = {
        let mut phone = node.guest();
        phone.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}))["ok"]["epoch"].clone()
    };
    let cases = [
        (json!({"epoch": epoch, "offset": 1}), Some("retention"), vec![3, 4, 5]),
        (json!({"epoch": "old", "offset": 4}), Some("new_epoch"), vec![3, 4, 5]),
        (json!({"epoch": epoch, "offset": 9}), Some("ahead"), vec![]),
        (json!({"epoch": epoch, "offset": 4, "at": 1}), Some("mismatch"), vec![]),
        (json!({"epoch": epoch, "offset": 3}), None, vec![4, 5]),
        (json!({"epoch": epoch, "offset": 5}), None, vec![]),
    ];
    for (cursor, gap, expected) in cases {
        let mut phone = node.guest();
        phone.hear(&node);
        phone.say(&node, json!({"id": 1, "subscribe": {"channel": "room:7", "from": cursor}}));
        let received = phone.hear(&node);
        assert_eq!(received[0]["ok"]["recovering"], expected.len(), "{cursor}");
        let rest = match gap {
            Some(reason) => {
                assert_eq!(received[1]["gap"]["reason"], reason);
                &received[2..]
            }
            None => &received[1..],
        };
        let offsets: Vec<_> = rest.iter().filter_map(|packet| packet["pub"]["offset"].as_u64()).collect();
        assert_eq!(offsets, expected, "{cursor}");
    }
}

#[test]
fn subscribing_again_moves_the_cursor() {
    let node = Node::new();
    let mut phone = node.guest();
    for n in 1..=3 {
        node.publish("room:7", &json!(n));
    }
    phone.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7", "from": "start"}}));
    assert_eq!(phone.offsets(&node), [1, 2, 3]);
    let reply = phone.ask(&node, json!({"id": 2, "subscribe": {"channel": "room:7", "from": "start"}}));
    assert_eq!(reply["ok"]["recovering"], 3);
    assert_eq!(phone.offsets(&node), [1, 2, 3]);
    node.publish("room:7", &json!(4));
    assert_eq!(phone.offsets(&node), [4], "still one subscription");
}

#[test]
fn large_fan_out_in_chunks_delays_no_others() {
    let node = Node::new();
    let subscribe = |channel: &str| {
        let mut phone = node.guest();
        phone.ask(&node, json!({"id": 1, "subscribe": {"channel": channel}}));
        phone.hear(&node);
        phone.was_woken();
        phone
    };
    let mut crowd: Vec<_> = (0..1000).map(|_| subscribe("crowd")).collect();
    let mut single = subscribe("single");
    let publish = |channel: &str| {
        let raw = serde_json::value::RawValue::from_string("1".into()).expect("valid");
        let name = tautline_protocol::ChannelName::parse(channel).expect("valid");
        node.try_publish(&name, &raw, tautline_hub::PublishOptions::default()).expect("published");
    };
    publish("crowd");
    publish("single");
    assert_eq!(single.offsets(&node), [1], "before the pump has run at all");
    let rung = |crowd: &[crate::common::Phone]| crowd.iter().filter(|phone| phone.was_woken()).count();
    assert_eq!(rung(&crowd), 256);
    publish("crowd");
    let mut chunks = 1;
    while node.hub.pump() {
        chunks += 1;
    }
    assert!(chunks >= 4, "{chunks}");
    for phone in &mut crowd {
        assert_eq!(phone.offsets(&node), [1, 2], "every subscriber gets both");
    }
}

#[test]
fn idle_log_is_forgotten_without_false_gap() {
    let mut node = Node::with(Limits::default(), Retention { age_ms: 1000, ..Retention::default() });
    let mut phone = node.guest();
    let welcome = phone.welcome(&node);
    phone.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    node.publish("room:7", &json!(1));
    let seen = phone.hear_only(&node, "pub").pop().expect("one");
    phone.peer.handle_lost(node.now);
    for _ in 0..8 {
        node.advance(1000);
    }
    assert_eq!((node.hub.stats().channels, node.hub.stats().log_bytes), (0, 0));
    node.publish("room:7", &json!(2));
    let mut back = node.dial();
    let epoch = welcome_epoch(&node);
    let cursor = json!({"room:7": {"epoch": epoch, "offset": seen["offset"], "at": seen["at"]}});
    back.say(&node, resume(&welcome, 5, cursor));
    let received = back.hear(&node);
    assert_eq!(received[1]["pub"]["offset"], 2, "{received:?}");
}

fn welcome_epoch(node: &Node) -> Value {
    let mut phone = node.guest();
    phone.ask(node, json!({"id": 1, "subscribe": {"channel": "any"}}))["ok"]["epoch"].clone()
}

#[test]
fn history_pages_ascend_and_report_more() {
    let node = Node::new();
    for n in 1..=10 {
        node.publish("room:7", &json!(n));
    }
    let mut phone = node.guest();
    let mut id = 0;
    let mut page = |body: Value| {
        id += 1;
        let mut body = body;
        body["channel"] = json!("room:7");
        let ok = phone.ask(&node, json!({"id": id, "history": body}))["ok"].clone();
        let offsets: Vec<_> = ok["publications"]
            .as_array()
            .expect("a page")
            .iter()
            .map(|publication| publication["offset"].as_u64().expect("an offset"))
            .collect();
        (offsets, ok["more"].as_bool().expect("more"), ok["epoch"].clone())
    };
    let (offsets, more, epoch) = page(json!({"limit": 3}));
    assert_eq!((offsets, more), (vec![8, 9, 10], true), "the newest by default");
    let at = |offset: u64| json!({"epoch": epoch, "offset": offset});
    let answer = |(offsets, more, _): (Vec<u64>, bool, Value)| (offsets, more);
    assert_eq!(answer(page(json!({"limit": 3, "before": at(8)}))), (vec![5, 6, 7], true));
    assert_eq!(answer(page(json!({"limit": 30, "before": at(5)}))), (vec![1, 2, 3, 4], false));
    assert_eq!(answer(page(json!({"limit": 3, "after": "start"}))), (vec![1, 2, 3], true));
    assert_eq!(answer(page(json!({"limit": 3, "after": at(8)}))), (vec![9, 10], false));
    assert_eq!(answer(page(json!({"after": at(10)}))), (vec![], false));
}

#[test]
fn history_page_is_bounded_in_bytes() {
    let limits = Limits { history_page_bytes_max: 1000, ..Limits::default() };
    let node = Node::with(limits, Retention::default());
    for _ in 0..10 {
        node.publish("room:7", &json!("x".repeat(300)));
    }
    let mut phone = node.guest();
    let newest = phone.ask(&node, json!({"id": 1, "history": {"channel": "room:7"}}));
    let offsets = |reply: &Value| -> Vec<_> {
        let page = reply["ok"]["publications"].as_array().expect("a page").clone();
        page.iter().map(|publication| publication["offset"].clone()).collect()
    };
    assert_eq!(offsets(&newest), [9, 10].map(|n: u64| json!(n)));
    assert_eq!(newest["ok"]["more"], true);
    let oldest = phone.ask(&node, json!({"id": 2, "history": {"channel": "room:7", "after": "start"}}));
    assert_eq!(offsets(&oldest), [1, 2].map(|n: u64| json!(n)));
    assert_eq!(oldest["ok"]["more"], true);
}

#[test]
fn presence_sends_join_away_back_and_leave() {
    let mut node = Node::new();
    let mut watcher = node.guest();
    watcher.ask(&node, json!({"id": 1, "subscribe": {"channel": "party:1"}}));
    watcher.hear(&node);
    let mut guest = node.user("u1", &[]);
    let welcome = guest.welcome(&node);
    let epoch =
        guest.ask(&node, json!({"id": 1, "subscribe": {"channel": "party:1"}}))["ok"]["epoch"].clone();
    assert!(guest.hear(&node).is_empty(), "a client does not receive its own presence");
    let verb = |received: Vec<Value>| -> Vec<String> {
        received
            .iter()
            .flat_map(|packet| packet.as_object().expect("a packet").keys().cloned().collect::<Vec<_>>())
            .collect()
    };
    let joined = watcher.hear(&node);
    assert_eq!(
        joined,
        [json!({"join": {"channel": "party:1", "user": "u1", "session": welcome["session"]}})]
    );
    guest.say(&node, json!({"pause": {"reason": "background"}}));
    assert_eq!(verb(watcher.hear(&node)), ["away"]);
    guest.say(&node, json!({"ping": {}}));
    assert_eq!(verb(watcher.hear(&node)), ["back"]);
    guest.peer.handle_lost(node.now);
    assert_eq!(verb(watcher.hear(&node)), ["away"]);
    let roster = watcher.ask(&node, json!({"id": 2, "presence": {"channel": "party:1"}}));
    assert_eq!(roster["ok"]["count"], 2);
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({"party:1": {"epoch": epoch, "offset": 0}})));
    assert_eq!(verb(watcher.hear(&node)), ["back"]);
    drop(back);
    assert_eq!(verb(watcher.hear(&node)), ["away"]);
    node.advance(120_000);
    watcher.say(&node, json!({"ping": {}}));
    assert_eq!(verb(watcher.hear(&node)), ["pong", "leave"]);
}

#[test]
fn paused_connection_receives_everything_after_it_returns() {
    let node = Node::new();
    let mut phone = node.guest();
    phone.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    phone.say(&node, json!({"pause": {}}));
    phone.hear(&node);
    node.publish("room:7", &json!(1));
    assert!(phone.hear(&node).is_empty());
    phone.say(&node, json!({"ping": {}}));
    assert_eq!(phone.offsets(&node), [1]);
}

#[test]
fn inbox_is_subscribed_automatically_and_recovered() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    let welcome = phone.welcome(&node);
    assert_eq!(welcome["channels"]["user:u1"]["offset"], 0);
    node.publish("user:u1", &json!("hello"));
    assert_eq!(phone.offsets(&node), [1]);
    let mut other = node.user("u1", &[]);
    assert_eq!(other.offsets(&node), [1], "a new phone starts at the beginning");
}

#[test]
fn full_node_refuses_publications_and_keeps_logs() {
    let limits = EngineLimits { log_bytes_max: 300, ..EngineLimits::default() };
    let node = Node::with(limits, Retention::default());
    let mut phone = node.guest();
    let mut refused = 0;
    for id in 1..=10 {
        let reply = phone.ask(&node, json!({"id": id, "publish": {"channel": "room:7", "data": id}}));
        refused += u32::from(reply["error"]["code"] == "limit");
    }
    assert!(refused > 0 && node.hub.stats().log_bytes < 500, "{refused} {:?}", node.hub.stats());
}

#[test]
fn new_phone_starts_after_acknowledged_position() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    let epoch = phone.welcome(&node)["channels"]["user:u1"]["epoch"].clone();
    for n in 1..=4 {
        node.publish("user:u1", &json!(n));
    }
    assert_eq!(phone.offsets(&node), [1, 2, 3, 4]);
    let ack = |offset: u64, epoch: &Value| json!({"ping": {"acks": {"user:u1": {"epoch": epoch, "offset": offset}}}});
    phone.say(&node, ack(3, &epoch));
    phone.say(&node, ack(1, &epoch));
    phone.say(&node, ack(4, &json!("another")));
    phone.say(&node, ack(99, &epoch));
    assert_eq!(node.user("u1", &[]).offsets(&node), [4], "the highest plausible position counts");
    let mut other = node.user("u2", &[]);
    other.say(&node, ack(4, &epoch));
    assert_eq!(node.user("u1", &[]).offsets(&node), [4], "a user cannot acknowledge for another");
    let mut with_cursor = node.dial();
    with_cursor.login = Ok(crate::common::identity("u1", &[]));
    let cursors = json!({"user:u1": {"epoch": epoch, "offset": 1}});
    with_cursor.say(
        &node,
        json!({"hello": {"v": 1, "auth": {"token": "…"},
        "resume": {"ticket": "AAAA", "attempt": 5, "cursors": cursors}}}),
    );
    assert_eq!(with_cursor.offsets(&node), [2, 3, 4], "a phone's own cursor takes precedence");
}

#[test]
fn deleted_unacknowledged_publications_are_gap() {
    let node = small_log();
    let mut phone = node.user("u1", &[]);
    let epoch = phone.welcome(&node)["channels"]["user:u1"]["epoch"].clone();
    phone.ask(&node, json!({"id": 1, "subscribe": {"channel": "ack:1", "from": "acked"}}));
    node.publish("ack:1", &json!(1));
    phone.hear(&node);
    phone.say(&node, json!({"ping": {"acks": {"ack:1": {"epoch": epoch, "offset": 1}}}}));
    for n in 2..=10 {
        node.publish("ack:1", &json!(n));
    }
    let mut new_phone = node.user("u1", &[]);
    new_phone.ask(&node, json!({"id": 1, "subscribe": {"channel": "ack:1", "from": "acked"}}));
    let received = new_phone.hear(&node);
    let gap = received.iter().find_map(|packet| packet.get("gap")).expect("a gap");
    assert_eq!((&gap["reason"], &gap["after"]), (&json!("retention"), &json!(1)));
}

#[test]
fn forgotten_logs_are_bounded_without_wrong_cursors() {
    let limits = EngineLimits { channel_count_max: 64, ..EngineLimits::default() };
    let mut node = Node::with(limits, Retention { age_ms: 1, ..Retention::default() });
    let mut phone = node.guest();
    let mut refused = 0;
    for id in 1..=1000 {
        let body = json!({"channel": format!("c:{id}"), "data": id});
        let reply = phone.ask(&node, json!({"id": id, "seen": id - 1, "publish": body}));
        refused += u32::from(reply["error"]["code"] == "limit");
        for _ in 0..4 {
            node.advance(1);
        }
    }
    assert!(
        (800..1000).contains(&refused),
        "{refused} of 1,000 found no room, and nothing grew: {:?}",
        node.hub.stats()
    );
    assert!(node.hub.stats().channels <= 64);
    let from = json!({"epoch": welcome_epoch(&node), "offset": 1});
    let mut back = node.guest();
    back.ask(&node, json!({"id": 1, "subscribe": {"channel": "c:1", "from": from}}));
    assert!(
        back.hear_only(&node, "gap").is_empty(),
        "the first log's head is remembered, or the log still exists"
    );
}
