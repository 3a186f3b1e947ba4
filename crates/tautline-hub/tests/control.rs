//! Control: what operators and back ends do to sessions from outside.

mod common;

use std::sync::Arc;

use common::{Node, Phone, identity, resume};
use serde_json::{Value, json};
use tautline_engine::{Answer, Append, Content, Engine, Job, MemoryEngine, Retention, budget::Holder};
use tautline_hub::{Authorization, LoginDetails, NodeLimits, Target};
use tautline_protocol::{ChannelName, UserId};

fn user(name: &str) -> Target {
    Target::User(UserId::parse(name).expect("valid"))
}

fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).expect("valid")
}

fn labelled(node: &Node, name: &str, value: &str) -> Phone {
    let mut phone = node.dial();
    let details = LoginDetails { labels: [(name.into(), value.into())].into(), ..LoginDetails::default() };
    phone.login = Ok(tautline_hub::Identity { details: Some(Arc::new(details)), ..identity("u1", &[]) });
    phone.enter(node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
    phone
}

#[test]
fn kicked_user_is_told_and_its_ticket_is_void() {
    let node = Node::new();
    let (mut one, mut two, mut other) = (node.user("u1", &[]), node.user("u1", &[]), node.user("u2", &[]));
    let welcome = one.welcome(&node);
    assert_eq!(node.hub.control().kick(node.now, user("u1"), "bye now"), 2);
    for phone in [&mut one, &mut two] {
        let bye = phone.bye(&node);
        assert_eq!((&bye["code"], &bye["reconnect"]), (&json!("kicked"), &json!("never")));
        assert_eq!((&bye["message"], phone.close), (&json!("bye now"), Some(4103)));
    }
    other.hear(&node);
    assert_eq!(other.close, None);
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({})));
    assert_eq!(back.hear_only(&node, "challenge")[0]["code"], "ticket_revoked");
    assert_eq!(node.hub.stats().sessions, 1);
}

#[test]
fn kick_ends_parked_sessions_and_leaves_rosters() {
    let node = Node::new();
    let (mut gone, mut watcher) = (node.user("u1", &[]), node.guest());
    let welcome = gone.welcome(&node);
    for phone in [&mut watcher, &mut gone] {
        phone.say(&node, json!({"id": 1, "subscribe": {"channel": "party:1"}}));
    }
    gone.peer.handle_lost(node.now);
    while node.hub.pump() {}
    watcher.hear(&node);
    assert_eq!(node.hub.control().kick(node.now, user("u1"), ""), 1);
    while node.hub.pump() {}
    assert_eq!(watcher.hear_only(&node, "leave").len(), 1);
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({})));
    assert_eq!(back.hear_only(&node, "challenge").len(), 1);
}

#[test]
fn disconnected_client_comes_back_with_its_session() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    let welcome = phone.welcome(&node);
    phone.say(&node, json!({"id": 1, "call": {"method": "m"}}));
    node.hub.control().disconnect(node.now, user("u1"));
    phone.hear(&node);
    assert_eq!(phone.close, None, "what runs is answered first");
    phone.settle_calls(&node, &json!(1));
    let heard = phone.hear(&node);
    assert!(heard[0]["ok"].is_object(), "{heard:?}");
    assert_eq!(heard[1]["bye"]["reconnect"], "later");
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({})));
    assert_eq!(back.welcome(&node)["resumed"], true);
}

#[test]
fn label_selects_only_its_sessions() {
    let node = Node::new();
    let mut blue = labelled(&node, "shop", "blue");
    let mut red = labelled(&node, "shop", "red");
    let target = Target::Label { name: "shop".into(), value: "blue".into() };
    assert_eq!(node.hub.control().kick(node.now, target, ""), 1);
    blue.hear(&node);
    red.hear(&node);
    assert_eq!((blue.close, red.close), (Some(4103), None));
}

#[test]
fn unsubscribed_client_hears_nothing_more_and_keeps_its_position() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    let reply = phone.ask(&node, json!({"id": 1, "subscribe": {"channel": "ack:1", "from": "acked"}}));
    node.publish("ack:1", &json!("first"));
    assert_eq!(phone.offsets(&node), [1]);
    let cursor = json!({"epoch": reply["ok"]["epoch"], "offset": 1});
    phone.say(&node, json!({"ping": {"acks": {"ack:1": cursor}}}));
    phone.hear(&node);
    assert_eq!(node.hub.control().unsubscribe(node.now, user("u1"), channel("ack:1"), "enough"), 1);
    let told = phone.hear_only(&node, "unsubscribed");
    let expected = json!({"channel": "ack:1", "code": "permission_denied", "message": "enough"});
    assert_eq!(told, [expected]);
    node.publish("ack:1", &json!("second"));
    assert_eq!(phone.hear(&node), Vec::<Value>::new());
    phone.say(&node, json!({"id": 2, "subscribe": {"channel": "ack:1", "from": "acked"}}));
    assert_eq!(phone.offsets(&node), [2], "it goes on behind the acknowledged one");
}

#[test]
fn unsubscribed_client_needs_a_new_permission() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    phone.say(&node, json!({"id": 1, "subscribe": {"channel": "asks:1"}}));
    phone.decide(&node, Authorization::ALLOW);
    phone.hear(&node);
    node.hub.control().unsubscribe(node.now, user("u1"), channel("asks:1"), "");
    phone.hear(&node);
    phone.say(&node, json!({"id": 2, "subscribe": {"channel": "asks:1"}}));
    assert_eq!(phone.questions.len(), 1);
}

#[test]
fn inbox_cannot_be_ended_by_control() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    phone.hear(&node);
    assert_eq!(node.hub.control().unsubscribe(node.now, user("u1"), channel("user:u1"), ""), 0);
    assert_eq!(phone.hear(&node), Vec::<Value>::new());
}

#[test]
fn pages_name_each_session_once() {
    let node = Node::new();
    let mut phones: Vec<_> = (0..40).map(|_| node.user("u1", &[])).collect();
    let _other = node.user("u2", &[]);
    phones[0].peer.handle_lost(node.now);
    let control = node.hub.control();
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = control.find(&user("u1"), after.as_deref(), 7);
        assert!(page.sessions.len() <= 7);
        seen.extend(page.sessions);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!((seen.len(), seen.iter().filter(|info| info.is_connected).count()), (40, 39));
    assert_eq!(control.show(&seen[0].session), Some(seen[0].clone()));
    seen.sort_by(|a, b| a.session.cmp(&b.session));
    seen.dedup();
    assert_eq!(seen.len(), 40);
    assert_eq!(control.show("nobody"), None);
}

#[test]
fn many_channels_tell_rosters_and_standing_at_once() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    phone.say(&node, json!({"id": 1, "subscribe": {"channel": "party:1"}}));
    node.publish("party:1", &json!(1));
    let names = ["party:1", "room:7"].map(channel);
    let control = node.hub.control();
    let rosters = control.rosters(&names);
    assert_eq!(rosters[0].as_ref().map(|roster| roster.count), Some(1));
    assert!(rosters[1].is_none());
    let standing = control.standing(&names);
    assert_eq!((standing[0].head, standing[0].subscribers), (Some(1), 1));
    assert_eq!((standing[1].head, standing[1].subscribers), (None, 0));
}

/// Appends as another node does: this hub is not told.
fn append_elsewhere(engine: &MemoryEngine, node: &Node, name: &str) {
    engine.submit(Job::Append(Append {
        channel: channel(name),
        content: Content { data: "1".into(), from: None, tags: None },
        origin: None,
        doubt: None,
        expect: None,
        holder: Holder::BACK_END,
        retention: Retention::default(),
        wall_ms: node.now.wall_ms,
        answer: Answer::new(drop),
    }));
}

#[test]
fn hint_brings_what_another_node_appended() {
    let limits = NodeLimits::default();
    let engine = Arc::new(MemoryEngine::new(7, &limits.engine, limits.protocol.ticket_ms));
    let node = Node::on(Arc::clone(&engine) as Arc<dyn Engine>, limits, Retention::default(), 7);
    let mut phone = node.guest();
    phone.say(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    phone.hear(&node);
    for _ in 0..3 {
        append_elsewhere(&engine, &node, "room:7");
    }
    while node.hub.pump() {}
    assert_eq!(phone.offsets(&node), [0_u64; 0], "nobody has told this node");
    // Late, wrong and repeated hints do no harm.
    for head in [0, 3, 2, u64::MAX, 3] {
        node.hub.on_hint(node.now, &channel("room:7"), head);
    }
    node.hub.on_hint(node.now, &channel("unused:1"), 9);
    while node.hub.pump() {}
    assert_eq!(phone.offsets(&node), [1, 2, 3]);
    append_elsewhere(&engine, &node, "room:7");
    node.hub.on_hint(node.now, &channel("room:7"), 4);
    while node.hub.pump() {}
    assert_eq!(phone.offsets(&node), [4], "a hint behind a wrong one still counts");
}

#[test]
fn banned_user_stays_out_until_its_time() {
    let limits = NodeLimits::default();
    let engine = Arc::new(MemoryEngine::new(7, &limits.engine, limits.protocol.ticket_ms));
    let mut node = Node::on(engine as Arc<dyn Engine>, limits, Retention::default(), 7);
    let (mut phone, mut other) = (node.user("u1", &[]), node.user("u2", &[]));
    let welcome = phone.welcome(&node);
    let (tell, told) = std::sync::mpsc::channel();
    let (u1, until) = (UserId::parse("u1").expect("valid"), node.now.wall_ms + 10_000);
    node.hub.control().ban(node.now, &u1, until, move |result| drop(tell.send(result)));
    assert_eq!(told.try_recv().expect("answered").expect("saved"), 1);
    let bye = phone.bye(&node);
    assert_eq!((&bye["code"], &bye["reconnect"]), (&json!("banned"), &json!("never")));
    other.hear(&node);
    assert_eq!(other.close, None);
    let mut back = node.dial();
    back.login = Ok(identity("u1", &[]));
    back.say(&node, resume(&welcome, 5, json!({})));
    assert_eq!(back.hear_only(&node, "challenge").len(), 1, "no ticket helps");
    back.say(&node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
    assert_eq!((&back.bye(&node)["code"], back.close), (&json!("banned"), Some(4104)));
    node.advance(10_001);
    let mut free = node.user("u1", &[]);
    assert_eq!(free.welcome(&node)["user"], "u1");
}
