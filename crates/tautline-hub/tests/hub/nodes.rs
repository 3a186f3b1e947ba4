//! Two nodes on one engine: sessions that move, and acts that reach all nodes.

use std::sync::Arc;

use serde_json::{Value, json};
use tautline_engine::{Ban, NodeEvent, Revocation, RevokedLogins};
use tautline_hub::{RevokeLogins, Target};
use tautline_protocol::{ChannelName, UserId, packet::ErrorBody};

use crate::common::{Node, Phone, cluster::Cluster, resume};

fn two() -> (Arc<Cluster>, Node, Node) {
    let cluster = Cluster::new();
    let (one, other) = (cluster.node(), cluster.node());
    (cluster, one, other)
}

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("valid")
}

fn saved<T>(outcome: Result<T, ErrorBody>) {
    outcome.map(drop).expect("saved");
}

/// Dials a node and says that the session resumes there.
fn come(node: &Node, welcome: &Value, attempt: u64) -> Phone {
    let mut phone = node.dial();
    phone.say(node, resume(welcome, attempt, json!({})));
    phone
}

#[test]
fn session_resumes_on_another_node() {
    let (cluster, one, other) = two();
    let mut phone = one.user("u1", &[]);
    let welcome = phone.welcome(&one);
    let mut moved = come(&other, &welcome, 5);
    assert!(moved.hear(&other).is_empty(), "the other node is asked first");
    cluster.answer(Some(&one));
    let resumed = moved.welcome(&other);
    assert_eq!((&resumed["resumed"], &resumed["session"]), (&json!(true), &welcome["session"]));
    let bye = phone.bye(&one);
    assert_eq!((&bye["code"], &bye["attempt"]), (&json!("taken_over"), &json!(5)));
    assert_eq!((one.hub.stats().sessions, other.hub.stats().sessions), (0, 1));
    // It is this node's now: coming back to it asks nobody.
    let mut again = come(&other, &resumed, 6);
    assert_eq!(again.welcome(&other)["resumed"], true);
}

#[test]
fn unseen_reply_moves_with_its_session() {
    let (cluster, one, other) = two();
    let mut phone = one.guest();
    let welcome = phone.welcome(&one);
    phone.say(&one, json!({"id": 1, "call": {"method": "m"}}));
    phone.settle_calls(&one, &json!("first"));
    let mut moved = come(&other, &welcome, 5);
    cluster.answer(Some(&one));
    assert_eq!(moved.welcome(&other)["requests_seen"], 1);
    moved.say(&other, json!({"id": 1, "again": true, "call": {"method": "m"}}));
    assert!(moved.calls.is_empty(), "it is not executed again");
    assert_eq!(moved.hear(&other)[0]["ok"]["data"], "first");
    assert!(other.hub.stats().reply_bytes > 0, "a reply that came along is counted");
    moved.say(&other, json!({"seen": 1, "ping": {}}));
    assert_eq!(other.hub.stats().reply_bytes, 0);
    moved.say(&other, json!({"id": 2, "again": true, "call": {"method": "m"}}));
    assert_eq!(moved.calls.len(), 1, "the other node had never received it");
}

#[test]
fn call_running_on_left_node_is_in_doubt() {
    let (cluster, one, other) = two();
    let mut phone = one.guest();
    let welcome = phone.welcome(&one);
    phone.say(&one, json!({"id": 1, "call": {"method": "m"}}));
    let mut moved = come(&other, &welcome, 5);
    cluster.answer(Some(&one));
    moved.welcome(&other);
    moved.say(&other, json!({"id": 1, "again": true, "call": {"method": "m"}}));
    assert_eq!(moved.hear(&other)[0]["error"]["code"], "in_doubt");
    phone.settle_calls(&one, &json!("late"));
    assert!(moved.calls.is_empty() && moved.hear(&other).is_empty(), "it was settled once");
}

#[test]
fn dead_node_leaves_publish_to_log_and_call_in_doubt() {
    let (cluster, one, other) = two();
    let mut phone = one.guest();
    let welcome = phone.welcome(&one);
    let published = phone.ask(&one, json!({"id": 1, "publish": {"channel": "room:7", "data": 1}}));
    phone.say(&one, json!({"id": 2, "call": {"method": "m"}}));
    let mut moved = come(&other, &welcome, 5);
    cluster.answer(None);
    moved.welcome(&other);
    let again = json!({"id": 1, "again": true, "publish": {"channel": "room:7", "data": 1}});
    assert_eq!(moved.ask(&other, again)["ok"], published["ok"], "the log has it");
    let unsent = json!({"id": 3, "again": true, "publish": {"channel": "room:7", "data": 3}});
    assert_eq!(moved.ask(&other, unsent)["ok"]["offset"], 2, "the log proves that it was not executed");
    moved.say(&other, json!({"id": 2, "again": true, "call": {"method": "m"}}));
    assert_eq!(moved.hear(&other)[0]["error"]["code"], "in_doubt");
}

#[test]
fn paused_node_dismisses_sessions_of_others() {
    let (cluster, one, other) = two();
    let (mut phone, mut stays) = (one.guest(), one.guest());
    let welcome = phone.welcome(&one);
    let mut moved = come(&other, &welcome, 5);
    cluster.answer(None);
    moved.welcome(&other);
    cluster.deliver(1, &one);
    assert_eq!(phone.bye(&one)["code"], "taken_over");
    phone.say(&one, json!({"id": 1, "call": {"method": "m"}}));
    assert!(phone.calls.is_empty(), "a connection that is not the session's does nothing");
    stays.say(&one, json!({"id": 1, "call": {"method": "m"}}));
    assert_eq!((stays.calls.len(), one.hub.stats().sessions), (1, 1));
}

#[test]
fn older_attempt_than_other_nodes_is_refused() {
    let (cluster, one, other) = two();
    let mut phone = one.guest();
    let welcome = phone.welcome(&one);
    let mut moved = come(&other, &welcome, 5);
    cluster.answer(Some(&one));
    moved.welcome(&other);
    let mut late = come(&one, &welcome, 5);
    let bye = late.bye(&one);
    assert_eq!((&bye["code"], &bye["attempt"]), (&json!("taken_over"), &json!(5)));
    moved.say(&other, json!({"id": 1, "call": {"method": "m"}}));
    assert_eq!(moved.calls.len(), 1, "the session is still there");
}

#[test]
fn claim_overtaken_by_another_node_takes_no_session() {
    let (cluster, one, other) = two();
    let mut phone = one.guest();
    let welcome = phone.welcome(&one);
    phone.peer.handle_lost(one.now);
    cluster.hold_claims();
    // The first claim holds, and its answer comes after another node has claimed and has been served.
    let mut first = come(&one, &welcome, 5);
    let mut moved = come(&other, &welcome, 6);
    let held = first.hear(&one);
    assert!(held.is_empty(), "{held:?}");
    cluster.swap_claims();
    cluster.answer(Some(&one));
    moved.welcome(&other);
    cluster.answer(None);
    let bye = first.bye(&one);
    assert_eq!((&bye["code"], &bye["attempt"]), (&json!("taken_over"), &json!(6)));
    assert_eq!((one.hub.stats().sessions, other.hub.stats().sessions), (0, 1));
}

#[test]
fn session_that_comes_back_does_not_find_its_old_ledger() {
    let (cluster, one, other) = two();
    let mut phone = one.guest();
    let welcome = phone.welcome(&one);
    let mut moved = come(&other, &welcome, 5);
    // The first node is never told, and keeps what it had.
    cluster.answer(None);
    let welcome = moved.welcome(&other);
    moved.say(&other, json!({"id": 1, "call": {"method": "m"}}));
    moved.settle_calls(&other, &json!("here"));
    let mut back = come(&one, &welcome, 6);
    cluster.answer(Some(&other));
    assert_eq!(back.welcome(&one)["requests_seen"], 1);
    back.say(&one, json!({"id": 1, "again": true, "call": {"method": "m"}}));
    assert!(back.calls.is_empty());
    assert_eq!(back.hear(&one)[0]["ok"]["data"], "here");
    assert_eq!(phone.bye(&one)["code"], "taken_over");
}

#[test]
fn login_changed_by_control_moves_with_its_session() {
    let (cluster, one, other) = two();
    let mut phone = one.user("u1", &[]);
    let welcome = phone.welcome(&one);
    let news = ChannelName::parse("news").expect("valid");
    let subscribed = one.hub.control().subscribe(one.now, Target::User(user("u1")), news);
    assert_eq!(subscribed.expect("room"), 1);
    let mut moved = come(&other, &welcome, 5);
    cluster.answer(Some(&one));
    assert_eq!(moved.welcome(&other)["subs"], json!(["news"]));
}

#[test]
fn claim_that_fails_has_the_client_come_later() {
    let (cluster, one, other) = two();
    let welcome = one.guest().welcome(&one);
    let mut phone = come(&other, &welcome, 5);
    cluster.lose();
    let bye = phone.bye(&other);
    assert_eq!(bye["code"], "overloaded");
    assert!(bye["retry_after_ms"].is_u64(), "{bye}");
    assert_eq!(other.hub.stats().sessions, 0);
}

#[test]
fn acts_of_one_node_reach_sessions_of_another() {
    let (cluster, one, other) = two();
    let control = one.hub.control();
    let mut kicked = other.user("u1", &[]);
    assert_eq!(control.kick(one.now, Target::User(user("u1")), "out"), 0, "this node has none of them");
    cluster.deliver(2, &other);
    assert_eq!(kicked.bye(&other)["message"], "out");
    let mut closed = other.user("u2", &[]);
    control.disconnect(one.now, Target::User(user("u2")));
    cluster.deliver(2, &other);
    assert_eq!(closed.bye(&other)["reconnect"], "later");
    let mut reader = other.guest();
    reader.ask(&other, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    let session = Target::Session(reader.welcome_session(&other));
    let room = ChannelName::parse("room:7").expect("valid");
    control.unsubscribe(one.now, session, room, "closed");
    cluster.deliver(2, &other);
    assert_eq!(reader.hear_only(&other, "unsubscribed").len(), 1);
}

#[test]
fn ban_and_its_end_reach_another_node() {
    let (cluster, one, other) = two();
    let mut phone = other.user("u1", &[]);
    let ban =
        Ban { subject: "user:u1".parse().expect("valid"), until: Revocation::FOREVER, reason: "".into() };
    one.hub.control().ban(one.now, ban.clone(), saved);
    cluster.deliver(2, &other);
    assert_eq!(phone.bye(&other)["code"], "banned");
    assert_eq!(other.user("u1", &[]).bye(&other)["code"], "banned");
    one.hub.control().lift_ban(ban.subject, |done| assert!(done.expect("saved")));
    cluster.deliver(2, &other);
    other.user("u1", &[]).welcome(&other);
}

#[test]
fn bans_of_two_nodes_end_the_same_on_both() {
    let (cluster, one, other) = two();
    let ban =
        Ban { subject: "user:u1".parse().expect("valid"), until: Revocation::FOREVER, reason: "".into() };
    // One keeps out, the other lets in, before either has heard of it; the engine took the ban first.
    one.hub.control().ban(one.now, ban.clone(), saved);
    other.hub.control().lift_ban(ban.subject, saved);
    cluster.deliver(1, &one);
    cluster.deliver(2, &other);
    for node in [&one, &other] {
        assert!(node.hub.control().bans(None, 9).bans.is_empty());
    }
}

#[test]
fn revocation_reaches_another_node() {
    let (cluster, one, other) = two();
    let mut phone = other.user("u1", &[]);
    let welcome = phone.welcome(&other);
    let logins = RevokeLogins::User { user: user("u1"), issued_before_ms: None };
    one.hub.revoke(one.now, &logins, None, saved);
    cluster.deliver(2, &other);
    assert_eq!(phone.bye(&other)["code"], "token_expired");
    let mut back = come(&other, &welcome, 5);
    assert_eq!(back.hear_only(&other, "challenge")[0]["code"], "ticket_revoked");
}

#[test]
fn ticket_of_ended_session_is_void_on_other_nodes() {
    let (cluster, one, other) = two();
    let mut phone = one.guest();
    let welcome = phone.welcome(&one);
    phone.say(&one, json!({"bye": {}}));
    cluster.deliver(2, &other);
    let mut back = come(&other, &welcome, 5);
    assert_eq!(back.hear_only(&other, "challenge")[0]["code"], "ticket_revoked");
}

#[test]
fn node_that_missed_messages_takes_what_is_kept() {
    let (_cluster, node, _) = two();
    let (mut revoked, mut banned, mut stays) = (node.guest(), node.user("u1", &[]), node.guest());
    let ban = |name: &str| Ban { subject: name.parse().expect("valid"), until: u64::MAX, reason: "".into() };
    node.hub.control().ban(node.now, ban("user:gone"), saved);
    let session = revoked.welcome_session(&node);
    let id = u128::from_be_bytes(decode(&session));
    let subject = RevokedLogins::Session(id);
    let revocations = vec![Revocation { subject, until: Revocation::FOREVER }];
    let bans = vec![ban("user:u1")];
    let missed =
        |are_all| NodeEvent::Missed { revocations: revocations.clone(), bans: bans.clone(), are_all };
    let subjects = || node.hub.control().bans(None, 9).bans.len();
    node.hub.on_node_event(node.now, missed(false));
    assert_eq!(subjects(), 2, "an engine that has lost data does not let anybody in");
    node.hub.on_node_event(node.now, missed(true));
    assert_eq!(subjects(), 1);
    assert_eq!(revoked.bye(&node)["code"], "token_expired");
    assert_eq!(banned.bye(&node)["code"], "banned");
    stays.hear(&node);
    assert_eq!(stays.close, None);
}

#[test]
fn node_that_missed_claims_has_its_clients_come_back() {
    let (_cluster, node, _) = two();
    let mut phone = node.guest();
    node.hub.on_node_event(node.now, NodeEvent::ClaimsMissed);
    let bye = phone.bye(&node);
    assert_eq!((&bye["code"], &bye["retry_after_ms"]), (&json!("server_restart"), &json!(0)));
}

fn decode(session: &str) -> [u8; 16] {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    BASE64_URL_SAFE_NO_PAD.decode(session).expect("an id").try_into().expect("16 bytes")
}
