//! What a user went through, as an operator reads it.

use serde_json::{Value, json};
use tautline_hub::{Ban, BanSubject, RateSet, Rates, StoryConfig, Target};
use tautline_protocol::{Limits, UserId};

use crate::common::{Node, identity, resume};

fn node() -> Node {
    let node = Node::new();
    node.hub.keep_stories(node.now, StoryConfig::default());
    node
}

/// The entries of a story, the oldest first.
fn story(node: &Node, user: &str) -> Vec<Value> {
    let page = node.hub.story(node.now, user, None, None, 500).expect("stories are kept");
    let mut entries: Vec<Value> =
        page.entries.iter().map(|entry| serde_json::to_value(entry).expect("JSON")).collect();
    entries.reverse();
    entries
}

fn kinds(node: &Node, user: &str) -> Vec<String> {
    story(node, user).iter().map(|entry| entry["kind"].as_str().expect("a kind").to_owned()).collect()
}

fn last(node: &Node, user: &str) -> Value {
    story(node, user).pop().expect("an entry")
}

#[test]
fn drop_is_told_with_its_cause_and_offline_time() {
    let mut node = node();
    let mut phone = node.user("ann", &[]);
    let welcome = phone.welcome(&node);
    drop(phone);
    node.advance(5_000);
    let mut hello = resume(&welcome, 2, json!({}));
    hello["hello"]["last_drop"] =
        json!({"cause": "background", "offline_ms": 4_800, "attempts": 2, "code": 1006, "reason": "<b>"});
    hello["hello"]["client"] = json!({"sdk": "tautline-js/1.0", "platform": "wechat"});
    let mut phone = node.dial_own("192.0.2.7");
    phone.enter(&node, hello);
    assert_eq!(kinds(&node, "ann"), ["opened", "away", "drop", "resumed"]);
    let entries = story(&node, "ann");
    assert_eq!(
        entries[2]["detail"],
        json!({"cause": "background", "offline_ms": 4_800, "attempts": 2, "code": 1006, "reason": "<b>"})
    );
    assert_eq!(entries[2]["at"], node.now.wall_ms);
    let resumed = &entries[3]["detail"];
    assert_eq!((&resumed["ip"], &resumed["platform"]), (&json!("192.0.2.7"), &json!("wechat")));
    assert_eq!(entries[3]["session"], welcome["session"]);
}

#[test]
fn endings_are_told_with_their_reason() {
    let mut node = node();
    let _phone = node.user("ann", &[]);
    let now = node.now;
    node.hub.control().kick(now, Target::User(UserId::parse("ann").unwrap()), "spam");
    assert_eq!(kinds(&node, "ann"), ["opened", "kicked"]);
    drop(node.user("bob", &[]));
    node.advance(node.hub.limits().park_ms);
    assert_eq!(kinds(&node, "bob"), ["opened", "away", "closed"]);
    assert_eq!(last(&node, "bob")["detail"], json!({"cause": "expired"}));
    let mut cleo = node.user("cleo", &[]);
    cleo.say(&node, json!({"bye": {}}));
    assert_eq!(last(&node, "cleo")["detail"], json!({"cause": "bye"}));
    let mut dan = node.user("dan", &[]);
    dan.say_text(&node, "no packet");
    assert_eq!(kinds(&node, "dan"), ["opened", "bye", "away"]);
    assert_eq!(story(&node, "dan")[1]["detail"]["code"], "bad_packet");
}

#[test]
fn requests_that_fail_are_told_and_payloads_are_not() {
    let node = node();
    let mut ann = node.user("ann", &[]);
    ann.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:1"}}));
    ann.ask(&node, json!({"id": 2, "subscribe": {"channel": "closed:1"}}));
    ann.ask(&node, json!({"id": 3, "publish": {"channel": "closed:1", "data": {"card": "4111"}}}));
    ann.ask(&node, json!({"id": 4, "unsubscribe": {"channel": "room:1"}}));
    ann.ask(&node, json!({"id": 5, "publish": {"channel": "room:1", "data": {"card": "4111"}}}));
    assert_eq!(
        kinds(&node, "ann"),
        ["opened", "subscribed", "subscribed", "publish_refused", "unsubscribed"]
    );
    let entries = story(&node, "ann");
    assert_eq!(entries[1]["detail"], json!({"channel": "room:1"}));
    assert_eq!(entries[2]["detail"]["error"], "permission_denied");
    assert_eq!(entries[3]["detail"]["channel"], "closed:1");
    assert!(!json!(entries).to_string().contains("4111"));
}

#[test]
fn call_is_told_with_its_time_and_outcome() {
    let mut node = node();
    let mut ann = node.user("ann", &[]);
    ann.say(&node, json!({"id": 1, "call": {"method": "buy", "data": {"card": "4111"}}}));
    node.advance(250);
    ann.settle_calls(&node, &json!({"receipt": 1}));
    assert_eq!(last(&node, "ann")["detail"], json!({"method": "buy", "ms": 250, "outcome": "ok"}));
    ann.say(&node, json!({"id": 2, "call": {"method": "x".repeat(500)}}));
    drop(ann);
    let told = story(&node, "ann").into_iter().rev().find(|entry| entry["kind"] == "call").unwrap();
    assert!(told["detail"]["method"].as_str().unwrap().len() <= 128, "cut");
}

#[test]
fn pause_gap_and_limit_are_told() {
    let rate = "1/m".parse().expect("a rate");
    let rates = Rates { user: RateSet { publishes: Some(rate), ..RateSet::default() }, ..Rates::default() };
    let limits = tautline_hub::NodeLimits { rates, ..Default::default() };
    let node = Node::with(limits, tautline_hub::Retention::default());
    node.hub.keep_stories(node.now, StoryConfig::default());
    let mut ann = node.user("ann", &[]);
    ann.say(&node, json!({"pause": {}}));
    ann.say(&node, json!({"ping": {}}));
    for id in 1..=2 {
        ann.ask(&node, json!({"id": id, "publish": {"channel": "room:1", "data": 1}}));
    }
    let foreign = json!({"channel": "room:1", "from": {"epoch": "other", "offset": 9}});
    ann.ask(&node, json!({"id": 3, "subscribe": foreign}));
    assert_eq!(kinds(&node, "ann"), ["opened", "hidden", "shown", "limit", "subscribed", "gap"]);
    assert_eq!(story(&node, "ann")[3]["detail"]["limit"], "publishes");
    assert_eq!(last(&node, "ann")["detail"], json!({"channel": "room:1", "reason": "new_epoch"}));
}

#[test]
fn refused_hello_of_a_known_user_is_told() {
    let node = node();
    let mut ann = node.user("ann", &[]);
    let welcome = ann.welcome(&node);
    let ban = Ban {
        subject: BanSubject::User(UserId::parse("ann").unwrap()),
        until: u64::MAX / 2,
        reason: "".into(),
    };
    node.hub.control().ban(node.now, ban, |_| {});
    assert_eq!(last(&node, "ann")["kind"], "banned");
    let mut again = node.dial();
    again.login = Ok(identity("ann", &[]));
    again.enter(&node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
    assert_eq!(last(&node, "ann")["detail"]["code"], "banned");
    let mut resumed = node.dial();
    resumed.enter(&node, resume(&welcome, 2, json!({})));
    assert_eq!(last(&node, "ann")["detail"]["code"], "ticket_revoked");
}

#[test]
fn story_is_read_page_by_page_and_by_session() {
    let node = node();
    let mut sessions = Vec::new();
    for _ in 0..5 {
        sessions.push(node.user("ann", &[]).welcome(&node)["session"].as_str().unwrap().to_owned());
    }
    let (mut before, mut ids) = (None, Vec::new());
    loop {
        let page = node.hub.story(node.now, "ann", None, before, 3).unwrap();
        assert!(page.entries.len() <= 3);
        ids.extend(page.entries.iter().map(|entry| entry.id));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(ids.len(), 10, "five times opened and away");
    assert!(ids.is_sorted_by(|newer, older| newer > older));
    let of_one = node.hub.story(node.now, "ann", Some(&sessions[1]), None, 100).unwrap();
    assert_eq!(of_one.entries.len(), 2);
    assert!(node.hub.story(node.now, "ann", Some("none"), None, 100).unwrap().entries.is_empty());
}

#[test]
fn guest_has_a_story_by_its_session() {
    let node = node();
    let session = node.guest().welcome(&node)["session"].as_str().unwrap().to_owned();
    assert_eq!(kinds(&node, &format!("guest:{session}")), ["opened", "away"]);
    assert!(kinds(&node, "guest:").is_empty() && kinds(&node, "nobody").is_empty());
}

#[test]
fn nothing_is_kept_without_configuration() {
    let node = Node::with(Limits::default(), tautline_hub::Retention::default());
    drop(node.user("ann", &[]));
    assert!(node.hub.story(node.now, "ann", None, None, 10).is_none());
    node.hub.keep_stories(node.now, StoryConfig::default());
    assert!(kinds(&node, "ann").is_empty(), "what was before is not there");
}
