//! Control: what operators and back ends do to sessions from outside.

use std::sync::Arc;

use crate::common::{Node, Phone, identity, resume};
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
        let page = control.find(node.now, &user("u1"), after.as_deref(), 7);
        assert!(page.sessions.len() <= 7);
        seen.extend(page.sessions);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!((seen.len(), seen.iter().filter(|info| info.is_connected).count()), (40, 39));
    assert_eq!(control.show(node.now, &seen[0].session), Some(seen[0].clone()));
    seen.sort_by(|a, b| a.session.cmp(&b.session));
    seen.dedup();
    assert_eq!(seen.len(), 40);
    assert_eq!(control.show(node.now, "nobody"), None);
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
fn subscribed_user_comes_back_with_the_channel() {
    let node = Node::new();
    let (mut phone, mut other) = (node.user("u1", &[]), node.user("u2", &[]));
    let welcome = phone.welcome(&node);
    let subscribe = || node.hub.control().subscribe(node.now, user("u1"), channel("room:7"));
    assert_eq!(subscribe(), Ok(1));
    assert_eq!(subscribe(), Ok(0), "it is subscribed already");
    let bye = phone.bye(&node);
    assert_eq!((&bye["reconnect"], &bye["retry_after_ms"]), (&json!("later"), &json!(0)));
    other.hear(&node);
    assert_eq!(other.close, None);
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({})));
    let welcome = back.welcome(&node);
    assert_eq!((&welcome["subs"], &welcome["resumed"]), (&json!(["room:7"]), &json!(true)));
    node.publish("room:7", &json!("first"));
    assert_eq!(back.offsets(&node), [1]);
    // The ticket says so, too, to a process that does not know the session.
    let elsewhere = Node::new();
    let mut there = elsewhere.dial();
    there.say(&elsewhere, resume(&welcome, 6, json!({})));
    assert_eq!(there.welcome(&elsewhere)["subs"], json!(["room:7"]));
}

#[test]
fn subscribed_session_needs_no_answer_of_back_end() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    let welcome = phone.welcome(&node);
    let session = Target::Session(welcome["session"].as_str().expect("an id").to_owned());
    assert_eq!(node.hub.control().subscribe(node.now, session, channel("asks:1")), Ok(1));
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({})));
    assert_eq!(back.welcome(&node)["subs"], json!(["asks:1"]));
    assert!(back.questions.is_empty());
}

#[test]
fn rules_still_close_a_channel_to_subscribed_session() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    let welcome = phone.welcome(&node);
    assert_eq!(node.hub.control().subscribe(node.now, user("u1"), channel("closed:1")), Ok(1));
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({})));
    let welcome = back.welcome(&node);
    assert_eq!(welcome["channels"]["closed:1"]["error"]["code"], "permission_denied");
    assert_eq!(welcome.get("subs"), None);
}

#[test]
fn subscribing_beyond_the_limit_is_refused() {
    let node = Node::new();
    let _phone = node.user("u1", &[]);
    let subscribe = |name: &str| node.hub.control().subscribe(node.now, user("u1"), channel(name));
    assert!((0..LoginDetails::SUBS_MAX).all(|n| subscribe(&format!("room:{n}")) == Ok(1)));
    assert_eq!(subscribe("room:0"), Ok(0));
    assert_eq!(subscribe("one:more").expect_err("no room").code.as_str(), "limit");
    assert_eq!(subscribe("user:u1").expect_err("an inbox").code.as_str(), "bad_request");
}

#[test]
fn unsubscribed_login_is_not_subscribed_again() {
    let node = Node::new();
    let details = LoginDetails { subs: vec![channel("room:7")], ..LoginDetails::default() };
    let mut phone = node.log_in(tautline_hub::Identity { details: details.shared(), ..identity("u1", &[]) });
    assert_eq!(phone.welcome(&node)["subs"], json!(["room:7"]));
    assert_eq!(node.hub.control().unsubscribe(node.now, user("u1"), channel("room:7"), ""), 1);
    let heard = phone.hear(&node);
    assert_eq!(heard[0]["unsubscribed"]["channel"], "room:7");
    let elsewhere = Node::new();
    let mut back = elsewhere.dial();
    back.say(&elsewhere, resume(&heard[1]["ticket"], 5, json!({})));
    assert_eq!(back.welcome(&elsewhere).get("subs"), None, "nor by the ticket that it has now");
}
