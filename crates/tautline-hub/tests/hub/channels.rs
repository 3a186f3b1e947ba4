//! What the back end reads of channels, and many publications at once.

use std::sync::{Arc, mpsc};

use crate::common::{Node, slow::SlowEngine};
use serde_json::{Value, json, value::RawValue};
use tautline_engine::EngineError;
use tautline_hub::{
    CONTROL_PAGE_MAX, ChannelStanding, HistoryPage, HistorySpan, NodeLimits, PUBLISH_MANY_MAX, Publish,
    PublishOptions, Retention, Target,
};
use tautline_protocol::{
    ChannelName, Cursor, UserId,
    packet::{ErrorBody, server::Published},
};

fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).expect("valid")
}

fn history(node: &Node, span: HistorySpan, count_max: usize) -> Result<HistoryPage, ErrorBody> {
    let (tell, told) = mpsc::channel();
    let done = move |result| drop(tell.send(result));
    node.hub.control().history(node.now, &channel("closed:1"), span, count_max, done);
    told.try_recv().expect("answered at once")
}

fn numbers(page: &HistoryPage) -> Vec<u64> {
    let offset = |json: &RawValue| {
        serde_json::from_str::<Value>(json.get()).expect("json")["offset"].as_u64().expect("an offset")
    };
    page.publications.iter().map(|publication| offset(publication)).collect()
}

#[test]
fn back_end_reads_pages_of_a_closed_channel() {
    let node = Node::new();
    (1..=5).for_each(|n| node.publish("closed:1", &json!(n)));
    let newest = history(&node, HistorySpan::Newest, 2).expect("read");
    assert_eq!((numbers(&newest), newest.head, newest.more), (vec![4, 5], 5, true));
    let cursor = |offset| Cursor { epoch: newest.epoch.clone(), offset, at: None };
    for (span, expected, more) in [
        (HistorySpan::Oldest, &[1, 2][..], true),
        (HistorySpan::After(cursor(3)), &[4, 5], false),
        (HistorySpan::Before(cursor(3)), &[1, 2], false),
        (HistorySpan::Before(cursor(4)), &[2, 3], true),
    ] {
        let page = history(&node, span.clone(), 2).expect("read");
        assert_eq!((&numbers(&page)[..], page.more), (expected, more), "{span:?}");
    }
    let page = serde_json::to_value(history(&node, HistorySpan::Oldest, 1).expect("read")).expect("json");
    assert_eq!(page["publications"][0]["data"], 1);
    assert_eq!(numbers(&history(&node, HistorySpan::Oldest, 0).expect("read")), [1], "at least one");
}

#[test]
fn cursor_that_log_cannot_prove_is_a_gap() {
    let node = Node::new();
    node.publish("closed:1", &json!(1));
    let other = Cursor { epoch: "another".to_owned(), offset: 1, at: None };
    for span in [HistorySpan::After(other.clone()), HistorySpan::Before(other)] {
        assert_eq!(history(&node, span, 9).expect_err("not proven").code.as_str(), "gap");
    }
}

fn standing(node: &Node, names: &[ChannelName]) -> Vec<Result<ChannelStanding, ErrorBody>> {
    let (tell, told) = mpsc::channel();
    node.hub.control().standing(node.now, names, move |all| drop(tell.send(all)));
    told.try_recv().expect("answered at once")
}

#[test]
fn standing_tells_of_channels_in_use_and_others() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    phone.say(&node, json!({"id": 1, "subscribe": {"channel": "party:1"}}));
    node.publish("party:1", &json!(1));
    (1..=3).for_each(|n| node.publish("closed:1", &json!(n)));
    let names = ["party:1", "closed:1", "never:1"].map(channel);
    let all = standing(&node, &names);
    let all: Vec<_> = all.into_iter().map(|one| one.expect("read")).collect();
    let figures = |one: &ChannelStanding| (one.head, one.kept, one.subscribers, one.members);
    assert_eq!(figures(&all[0]), (1, 1, 1, Some(1)));
    assert_eq!(figures(&all[1]), (3, 3, 0, None), "no client uses it");
    assert_eq!(figures(&all[2]), (0, 0, 0, None));
    assert_eq!((all[1].at, all[1].channel.as_str()), (node.now.wall_ms, "closed:1"));
    let rosters = node.hub.control().rosters(&names);
    assert_eq!(rosters[0].as_ref().map(|roster| roster.count), Some(1));
    assert!(rosters[1].is_none());
    assert_eq!(standing(&node, &[]), []);
    let many = vec![channel("a"); CONTROL_PAGE_MAX + 1];
    assert_eq!(standing(&node, &many).len(), CONTROL_PAGE_MAX);
}

#[test]
fn failed_lookups_are_told_beside_the_others() {
    let limits = NodeLimits::default();
    let engine = SlowEngine::new(&limits);
    let node = Node::on(Arc::clone(&engine) as Arc<_>, limits, Retention::default(), 7);
    let (tell, told) = mpsc::channel();
    let names = ["a", "b"].map(channel);
    node.hub.control().standing(node.now, &names, move |all| drop(tell.send(all)));
    assert!(told.try_recv().is_err(), "the engine has not answered");
    engine.fail(&EngineError::Unavailable("no disk".to_owned()));
    let all: Vec<_> = told.try_recv().expect("answered");
    let codes: Vec<_> = all.iter().map(|one| one.as_ref().expect_err("failed").code.to_string()).collect();
    assert_eq!(codes, ["unavailable", "unavailable"]);
}

fn publish_many(node: &Node, all: &[Publish<'_>]) -> Vec<Result<Published, ErrorBody>> {
    let (tell, told) = mpsc::channel();
    node.hub.publish_many(node.now, all, move |all| drop(tell.send(all)));
    while node.hub.pump() {}
    told.try_recv().expect("answered at once")
}

fn publish<'a>(name: &str, options: PublishOptions<'a>) -> Publish<'a> {
    Publish { channel: channel(name), data: RawValue::NULL, options }
}

#[test]
fn many_publications_are_answered_one_by_one() {
    let node = Node::new();
    let mut phone = node.guest();
    phone.say(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    phone.hear(&node);
    let none = PublishOptions::default();
    let stale = Cursor { epoch: "another".to_owned(), offset: 9, at: None };
    let all = [
        publish("room:7", none),
        publish("room:7", PublishOptions { expect: Some(&stale), ..none }),
        publish("room:8", none),
        publish("room:7", PublishOptions { idempotency_key: Some("k"), ..none }),
        publish("room:7", PublishOptions { idempotency_key: Some("k"), ..none }),
    ];
    let outcomes: Vec<_> = publish_many(&node, &all)
        .into_iter()
        .map(|one| one.map(|published| published.offset).map_err(|error| error.code.to_string()))
        .collect();
    assert_eq!(outcomes, [Ok(1), Err("conflict".to_owned()), Ok(1), Ok(2), Ok(2)]);
    assert_eq!(phone.offsets(&node), [1, 2]);
    assert_eq!(publish_many(&node, &[]), []);
}

#[test]
fn too_many_publications_are_refused_all_together() {
    let node = Node::new();
    let all = vec![publish("room:7", PublishOptions::default()); PUBLISH_MANY_MAX + 1];
    let outcomes = publish_many(&node, &all);
    assert_eq!(outcomes.len(), all.len());
    assert!(outcomes.iter().all(|one| one.as_ref().is_err_and(|error| error.code.as_str() == "too_large")));
    assert_eq!(node.hub.stats().publications, 0);
}

fn forget(node: &Node, user: &str) -> usize {
    let (tell, told) = mpsc::channel();
    let user = UserId::parse(user).expect("valid");
    node.hub.control().forget_user(node.now, &user, move |result| drop(tell.send(result)));
    told.try_recv().expect("answered at once").expect("forgotten")
}

#[test]
fn forgotten_user_is_gone_from_rosters_inbox_and_positions() {
    let node = Node::new();
    let (mut phone, mut watcher) = (node.user("ann", &[]), node.guest());
    let welcome = phone.welcome(&node);
    for phone in [&mut phone, &mut watcher] {
        phone.say(&node, json!({"id": 1, "subscribe": {"channel": "party:1"}}));
    }
    let reply = phone.ask(&node, json!({"id": 2, "subscribe": {"channel": "ack:1"}}));
    node.publish("ack:1", &json!(1));
    node.publish("user:ann", &json!("secret"));
    assert_eq!(phone.offsets(&node), [1, 1]);
    let cursor = json!({"epoch": reply["ok"]["epoch"], "offset": 1});
    phone.say(&node, json!({"ping": {"acks": {"ack:1": cursor}}}));
    watcher.hear(&node);
    assert_eq!(forget(&node, "ann"), 1);
    while node.hub.pump() {}
    assert_eq!(phone.bye(&node)["code"], "kicked");
    assert_eq!(watcher.hear_only(&node, "leave").len(), 1);
    assert_eq!(forget(&node, "ann"), 0, "again");
    let user = UserId::parse("ann").expect("valid");
    let status = node.hub.control().users(&[user]).remove(0);
    assert_eq!((status.last_seen, status.connections), (None, 0));
    let mut back = node.dial();
    back.say(&node, crate::common::resume(&welcome, 5, json!({})));
    assert_eq!(back.hear_only(&node, "challenge").len(), 1, "no ticket helps");
    let mut anew = node.user("ann", &[]);
    assert_eq!(anew.offsets(&node), [0_u64; 0], "the inbox is empty");
    let reply = anew.ask(&node, json!({"id": 1, "subscribe": {"channel": "ack:1", "from": "acked"}}));
    assert_eq!(reply["ok"]["recovering"], 1, "there is no position");
    node.publish("user:ann", &json!("new"));
    assert_eq!(anew.offsets(&node), [1, 2], "that of ack:1, and the inbox goes on behind its head");
}

#[test]
fn users_that_were_kicked_or_said_goodbye_were_last_seen_then() {
    let mut node = Node::new();
    let (mut kicked, mut gone) = (node.user("ann", &[]), node.user("bob", &[]));
    node.advance(3_000);
    let at = node.now.wall_ms;
    let [ann, bob] = ["ann", "bob"].map(|id| UserId::parse(id).expect("valid"));
    node.hub.control().kick(node.now, Target::User(ann.clone()), "");
    kicked.hear(&node);
    gone.say(&node, json!({"bye": {}}));
    node.advance(3_000);
    let seen: Vec<_> = node.hub.control().users(&[ann, bob]).iter().map(|user| user.last_seen).collect();
    assert_eq!(seen, [Some(at), Some(at)]);
}
