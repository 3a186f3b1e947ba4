//! Bans of users and addresses.

use std::sync::{Arc, mpsc};

use crate::common::{Node, Phone, assert_no_session, identity, resume, slow::SlowEngine};
use serde_json::{Value, json};
use tautline_engine::{EngineError, Revocation};
use tautline_hub::{Ban, BanSubject, EngineLimits, Identity, NodeLimits, Retention};
use tautline_protocol::packet::ErrorBody;

fn subject(text: &str) -> BanSubject {
    text.parse().expect("valid")
}

fn try_ban(node: &Node, text: &str, until: u64) -> Result<usize, ErrorBody> {
    let (tell, told) = mpsc::channel();
    let ban = Ban { subject: subject(text), until, reason: "spam".into() };
    node.hub.control().ban(node.now, ban, move |result| drop(tell.send(result)));
    told.try_recv().expect("answered at once")
}

fn ban(node: &Node, text: &str) -> usize {
    try_ban(node, text, Revocation::FOREVER).expect("saved")
}

fn lift(node: &Node, text: &str) -> bool {
    let (tell, told) = mpsc::channel();
    node.hub.control().lift_ban(subject(text), move |result| drop(tell.send(result)));
    told.try_recv().expect("answered at once").expect("saved")
}

fn hello() -> Value {
    json!({"hello": {"v": 1, "auth": {"token": "…"}}})
}

fn user_at(node: &Node, user: &str, address: &str) -> Phone {
    let mut phone = node.dial_own(address);
    phone.login = Ok(identity(user, &[]));
    phone.enter(node, hello());
    phone
}

#[test]
fn banned_user_stays_out_until_its_time() {
    let mut node = Node::new();
    let (mut phone, mut other) = (node.user("u1", &[]), node.user("u2", &[]));
    let welcome = phone.welcome(&node);
    assert_eq!(try_ban(&node, "user:u1", node.now.wall_ms + 10_000).expect("saved"), 1);
    let bye = phone.bye(&node);
    assert_eq!((&bye["code"], &bye["reconnect"]), (&json!("banned"), &json!("never")));
    other.hear(&node);
    assert_eq!(other.close, None);
    let mut back = node.dial();
    back.login = Ok(identity("u1", &[]));
    back.say(&node, resume(&welcome, 5, json!({})));
    assert_eq!(back.hear_only(&node, "challenge").len(), 1, "no ticket helps");
    back.say(&node, hello());
    assert_eq!((&back.bye(&node)["code"], back.close), (&json!("banned"), Some(4104)));
    node.advance(10_001);
    let mut free = node.user("u1", &[]);
    assert_eq!(free.welcome(&node)["user"], "u1");
}

#[test]
fn banned_address_closes_its_connections_and_new_ones() {
    let node = Node::new();
    let [mut phone, mut guest, mut other] =
        ["192.0.2.7", "192.0.2.7", "192.0.2.8"].map(|address| user_at(&node, "u1", address));
    guest.hear(&node);
    let welcome = phone.welcome(&node);
    assert_eq!(ban(&node, "address:192.0.2.7"), 2);
    for phone in [&mut phone, &mut guest] {
        assert_eq!((&phone.bye(&node)["code"], phone.close), (&json!("banned"), Some(4104)));
    }
    other.hear(&node);
    assert_eq!(other.close, None);
    let mut back = node.dial_own("192.0.2.7");
    back.say(&node, resume(&welcome, 5, json!({})));
    assert_eq!(back.bye(&node)["code"], "banned", "no ticket helps there");
    let mut elsewhere = node.dial_own("192.0.2.8");
    elsewhere.say(&node, resume(&welcome, 6, json!({})));
    assert_eq!(elsewhere.welcome(&node)["resumed"], true, "the session goes on from elsewhere");
}

#[test]
fn ban_of_ipv6_address_covers_its_network() {
    let node = Node::new();
    assert_eq!(ban(&node, "address:2001:db8:1:2::1"), 0);
    assert_eq!(user_at(&node, "u1", "2001:db8:1:2::9").bye(&node)["code"], "banned");
    assert_eq!(user_at(&node, "u1", "2001:db8:1:3::1").welcome(&node)["user"], "u1");
}

#[test]
fn address_banned_while_its_hello_waits_is_refused() {
    let limits = NodeLimits::default();
    let engine = SlowEngine::new(&limits);
    let node = Node::on(Arc::clone(&engine) as Arc<_>, limits, Retention::default(), 7);
    let mut phone = user_at(&node, "u1", "192.0.2.7");
    assert!(phone.hear(&node).is_empty(), "the engine has not answered");
    let banned = Ban { subject: subject("address:192.0.2.7"), until: u64::MAX, reason: "".into() };
    node.hub.control().ban(node.now, banned, |_| {});
    engine.work();
    assert_eq!(phone.bye(&node)["code"], "banned");
    assert_no_session(&node);
}

#[test]
fn user_banned_while_its_hello_waits_leaves_no_session() {
    let limits = NodeLimits::default();
    let engine = SlowEngine::new(&limits);
    let node = Node::on(Arc::clone(&engine) as Arc<_>, limits, Retention::default(), 7);
    let log = crate::events::log("all", &["session.*", "user.*"], &[]);
    let node = crate::events::recording(node, vec![log]);
    let mut phone = user_at(&node, "u1", "192.0.2.7");
    let banned = Ban { subject: subject("user:u1"), until: u64::MAX, reason: "".into() };
    node.hub.control().ban(node.now, banned, |_| {});
    engine.work();
    assert_eq!(phone.bye(&node)["code"], "banned");
    assert_no_session(&node);
    let figures = node.hub.event_log("all").expect("recorded").figures();
    assert_eq!((figures.waiting, figures.stored), (0, None), "no event tells of it");
}

#[test]
fn login_that_expires_while_its_hello_waits_leaves_no_session() {
    let limits = NodeLimits::default();
    let engine = SlowEngine::new(&limits);
    let mut node = Node::on(Arc::clone(&engine) as Arc<_>, limits, Retention::default(), 7);
    let mut phone = node.dial();
    let login = Identity { expires_at: Some(node.now.wall_ms + 1_000), ..identity("u1", &[]) };
    phone.login = Ok(login);
    phone.enter(&node, hello());
    node.advance(1_001);
    engine.work();
    assert_eq!(phone.bye(&node)["code"], "token_expired");
    assert_no_session(&node);
}

#[test]
fn lifted_ban_lets_the_subject_in_again() {
    let node = Node::new();
    for (text, address) in [("user:u1", "192.0.2.8"), ("address:192.0.2.7", "192.0.2.7")] {
        ban(&node, text);
        assert_eq!(user_at(&node, "u1", address).bye(&node)["code"], "banned", "{text}");
        assert!(lift(&node, text) && !lift(&node, text));
        assert_eq!(user_at(&node, "u1", address).welcome(&node)["user"], "u1", "{text}");
    }
}

#[test]
fn bans_are_listed_in_pages_with_their_reasons() {
    let node = Node::new();
    try_ban(&node, "user:b", node.now.wall_ms + 9).expect("saved");
    for text in ["address:192.0.2.7", "user:a"] {
        ban(&node, text);
    }
    let first = node.hub.control().bans(None, 2);
    let expected = json!({
        "bans": [
            {"user": "a", "reason": "spam"},
            {"user": "b", "until": node.now.wall_ms + 9, "reason": "spam"},
        ],
        "next": "user:b",
    });
    assert_eq!(serde_json::to_value(&first).expect("json"), expected);
    let last = node.hub.control().bans(first.next.as_deref(), 2);
    let expected = json!({"bans": [{"address": "192.0.2.7", "reason": "spam"}], "next": null});
    assert_eq!(serde_json::to_value(&last).expect("json"), expected);
}

#[test]
fn ban_beyond_the_limit_is_refused_and_ends_nothing() {
    let node = Node::with(EngineLimits { bans_max: 1, ..EngineLimits::default() }, Retention::default());
    ban(&node, "user:u1");
    let mut phone = node.user("u2", &[]);
    let refused = try_ban(&node, "user:u2", u64::MAX).expect_err("there is no room");
    assert_eq!(refused.code.as_str(), "limit");
    assert_eq!(phone.welcome(&node)["user"], "u2");
    assert_eq!(phone.close, None);
    let long = Ban { subject: subject("user:u1"), until: 9, reason: "x".repeat(257).into() };
    let (tell, told) = mpsc::channel();
    node.hub.control().ban(node.now, long, move |result| drop(tell.send(result)));
    assert_eq!(told.recv().expect("answered").expect_err("too long").code.as_str(), "too_large");
}

#[test]
fn ban_that_engine_cannot_save_holds_until_restart() {
    let limits = NodeLimits::default();
    let engine = SlowEngine::new(&limits);
    let node = Node::on(Arc::clone(&engine) as Arc<_>, limits, Retention::default(), 7);
    let (tell, told) = mpsc::channel();
    let banned = Ban { subject: subject("user:u1"), until: u64::MAX, reason: "".into() };
    node.hub.control().ban(node.now, banned, move |result| drop(tell.send(result)));
    assert!(told.try_recv().is_err(), "the engine has not answered");
    engine.fail(&EngineError::Unavailable("no disk".to_owned()));
    assert_eq!(told.recv().expect("answered").expect_err("not saved").code.as_str(), "unavailable");
    assert_eq!(user_at(&node, "u1", "192.0.2.7").bye(&node)["code"], "banned");
}

#[test]
fn changes_of_a_subject_are_saved_one_by_one() {
    let limits = NodeLimits::default();
    let engine = SlowEngine::new(&limits);
    let node =
        Node::on(Arc::clone(&engine) as Arc<dyn tautline_engine::Engine>, limits, Retention::default(), 7);
    let (tell, told) = mpsc::channel();
    let set = |text: &str, what: &'static str| {
        let tell = tell.clone();
        let ban = Ban { subject: subject(text), until: Revocation::FOREVER, reason: "spam".into() };
        node.hub
            .control()
            .ban(node.now, ban, move |result| tell.send((what, result.is_ok())).expect("the test listens"));
    };
    set("user:u1", "ban");
    let tell_lift = tell.clone();
    node.hub.control().lift_ban(subject("user:u1"), move |result| {
        assert_eq!(result, Ok(true));
        tell_lift.send(("lift", true)).expect("the test listens");
    });
    set("user:u2", "another");
    set("user:u1", "again");
    assert_eq!(engine.waiting(), 2, "the first change of each subject");
    engine.work();
    assert_eq!(
        told.try_iter().collect::<Vec<_>>(),
        [("ban", true), ("another", true), ("lift", true), ("again", true)]
    );
    assert_eq!(engine.waiting(), 0);
}

#[test]
fn refused_save_lets_the_next_change_of_its_subject_through() {
    let limits = NodeLimits::default();
    let engine = SlowEngine::new(&limits);
    let node =
        Node::on(Arc::clone(&engine) as Arc<dyn tautline_engine::Engine>, limits, Retention::default(), 7);
    let (tell, told) = mpsc::channel();
    for _ in 0..2 {
        let tell = tell.clone();
        let ban = Ban { subject: subject("user:u1"), until: Revocation::FOREVER, reason: "".into() };
        node.hub
            .control()
            .ban(node.now, ban, move |result| tell.send(result.is_ok()).expect("the test listens"));
    }
    engine.fail(&EngineError::Unavailable("the disk is full".to_owned()));
    engine.work();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [false, true]);
}
