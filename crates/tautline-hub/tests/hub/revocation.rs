//! Revoked logins end at once, and nothing brings them back.

use std::sync::Arc;

use crate::common::{BEGIN_WALL_MS, Node, Phone, identity, slow::SlowEngine};
use serde_json::{Value, json};
use tautline_engine::Retention;
use tautline_hub::{EngineLimits, Identity, LoginDetails, NodeLimits, RevokeLogins, Revoked};
use tautline_protocol::{UserId, packet::ErrorBody};

fn login(user: &str, issued_at_ms: u64, token: &str) -> Identity {
    let details = LoginDetails { token_id: Some(token.into()), ..LoginDetails::default() };
    Identity { issued_at_ms: Some(issued_at_ms), details: details.shared(), ..identity(user, &[]) }
}

fn user(id: &str, issued_before_ms: Option<u64>) -> RevokeLogins {
    RevokeLogins::User { user: UserId::parse(id).expect("valid"), issued_before_ms }
}

fn try_revoke(node: &Node, logins: &RevokeLogins, until: Option<u64>) -> Option<Result<Revoked, ErrorBody>> {
    let (done, outcome) = std::sync::mpsc::channel();
    node.hub.revoke(node.now, logins, until, move |result| drop(done.send(result)));
    outcome.try_recv().ok()
}

fn revoke(node: &Node, logins: &RevokeLogins) -> usize {
    try_revoke(node, logins, None).expect("answered at once").expect("revoked").sessions
}

fn resume(node: &Node, ticket: &Value) -> Phone {
    let mut phone = node.dial();
    phone.enter(node, json!({"hello": {"v": 1, "resume": {"ticket": ticket, "attempt": 9}}}));
    phone
}

fn is_challenged(node: &Node, ticket: &Value) -> bool {
    resume(node, ticket).hear(node)[0]["challenge"]["code"] == "ticket_revoked"
}

fn ticket(node: &Node, phone: &mut Phone) -> Value {
    phone.welcome(node)["ticket"].clone()
}

#[test]
fn revoked_user_loses_sessions_issued_before() {
    let node = Node::new();
    let (old, new) = (BEGIN_WALL_MS - 2, BEGIN_WALL_MS - 1);
    let (mut phone, mut pad) = (node.log_in(login("ann", old, "a")), node.log_in(login("ann", old, "b")));
    let (mut fresh, mut other) = (node.log_in(login("ann", new, "c")), node.log_in(login("bob", old, "d")));
    let tickets = [&mut phone, &mut pad].map(|phone| ticket(&node, phone));
    drop(pad);
    assert_eq!(revoke(&node, &user("ann", Some(new))), 2, "one is parked");
    assert_eq!(phone.bye(&node)["code"], "token_expired");
    assert_eq!(phone.close, Some(4101));
    assert!(tickets.iter().all(|ticket| is_challenged(&node, ticket)));
    for phone in [&mut fresh, &mut other] {
        let ticket = ticket(&node, phone);
        assert!(phone.hear_only(&node, "bye").is_empty());
        assert_eq!(resume(&node, &ticket).welcome(&node)["resumed"], true);
    }
}

#[test]
fn revocation_of_user_without_moment_ends_all_logins_so_far() {
    let mut node = Node::new();
    let mut phone = node.log_in(Identity { issued_at_ms: None, ..identity("ann", &[]) });
    assert_eq!(revoke(&node, &user("ann", None)), 1, "issued in this very millisecond");
    assert_eq!(phone.bye(&node)["code"], "token_expired");
    node.advance(1);
    let mut again = node.log_in(Identity { issued_at_ms: None, ..identity("ann", &[]) });
    assert_eq!(again.welcome(&node)["user"], "ann", "a login that was issued afterwards");
}

#[test]
fn login_dated_ahead_ends_with_its_user() {
    let mut node = Node::new();
    let ahead = |ms: u64| login("ann", BEGIN_WALL_MS.saturating_add(ms), "a");
    let mut phones = [1, 30_000, u64::MAX].map(|ms| node.log_in(ahead(ms)));
    let tickets = phones.each_mut().map(|phone| ticket(&node, phone));
    assert_eq!(revoke(&node, &user("ann", None)), 3, "whatever the clock of the back end says");
    assert!(phones.iter_mut().all(|phone| phone.bye(&node)["code"] == "token_expired"));
    assert!(tickets.iter().all(|ticket| is_challenged(&node, ticket)));
    node.advance(1);
    let mut refreshed = node.log_in(login("ann", BEGIN_WALL_MS + 1, "b"));
    refreshed.welcome(&node);
    refreshed.login = Ok(ahead(60_000));
    assert!(refreshed.ask(&node, json!({"id": 1, "auth": {"token": "…"}}))["ok"].is_object());
    assert_eq!(revoke(&node, &user("ann", None)), 1, "a refresh dates nothing ahead, either");
}

#[test]
fn revoked_login_code_may_be_followed_by_another() {
    let mut node = Node::new();
    revoke(&node, &user("ann", None));
    let code = json!({"code": "c", "provider": "wechat"});
    let hello = json!({"hello": {"v": 1, "auth": code}});
    let mut phone = node.dial();
    phone.login = Ok(login("ann", BEGIN_WALL_MS, "a"));
    phone.enter(&node, hello.clone());
    let bye = phone.bye(&node);
    assert_eq!((&bye["code"], &bye["reconnect"]), (&json!("unauthorized"), &json!("later")));
    assert_eq!(bye["retry_after_ms"], 1_000);
    node.advance(1_000);
    let mut again = node.dial();
    again.login = Ok(login("ann", BEGIN_WALL_MS + 1_000, "a"));
    again.enter(&node, hello);
    again.welcome(&node);
    again.login = Ok(login("ann", BEGIN_WALL_MS, "a"));
    let reply = again.ask(&node, json!({"id": 1, "auth": code}));
    assert_eq!(reply["error"]["code"], "permission_denied");
    assert_eq!(reply["error"]["retry_after_ms"], 1_000, "a refresh is told the same");
    let mut token = node.log_in(login("ann", BEGIN_WALL_MS, "a"));
    assert!(token.bye(&node).get("reconnect").is_none_or(|reconnect| reconnect == "never"));
}

#[test]
fn revoked_token_is_refused_with_its_tickets() {
    let node = Node::new();
    let mut phone = node.log_in(login("ann", 5, "t1"));
    let mut other = node.log_in(login("ann", 5, "t2"));
    let (void, good) = (ticket(&node, &mut phone), ticket(&node, &mut other));
    assert_eq!(revoke(&node, &RevokeLogins::Token("t1".to_owned())), 1);
    assert_eq!(phone.bye(&node)["code"], "token_expired");
    assert!(is_challenged(&node, &void));
    assert_eq!(node.log_in(login("ann", u64::MAX, "t1")).bye(&node)["code"], "unauthorized");
    assert_eq!(resume(&node, &good).welcome(&node)["resumed"], true);
}

#[test]
fn refresh_with_revoked_token_is_refused() {
    let node = Node::new();
    let mut phone = node.log_in(login("ann", 5, "t1"));
    revoke(&node, &RevokeLogins::Token("t2".to_owned()));
    phone.login = Ok(login("ann", 6, "t2"));
    let reply = phone.ask(&node, json!({"id": 1, "auth": {"token": "…"}}));
    assert_eq!(reply["error"]["code"], "permission_denied");
    assert!(phone.hear_only(&node, "bye").is_empty(), "the login of before is as good as before");
}

#[test]
fn revoked_session_ends_and_others_of_its_user_stay() {
    let node = Node::new();
    let (mut phone, mut pad) = (node.user("ann", &[]), node.user("ann", &[]));
    let welcome = phone.welcome(&node);
    let session = RevokeLogins::Session(welcome["session"].as_str().expect("an id").to_owned());
    assert_eq!(revoke(&node, &session), 1);
    assert_eq!(phone.bye(&node)["code"], "token_expired");
    assert!(is_challenged(&node, &welcome["ticket"]));
    assert!(pad.hear_only(&node, "bye").is_empty());
    let unknown = try_revoke(&node, &RevokeLogins::Session("no id".to_owned()), None);
    assert_eq!(unknown.expect("answered").expect_err("refused").code.as_str(), "bad_request");
}

#[test]
fn login_revoked_while_channels_load_gets_no_welcome() {
    let engine = SlowEngine::new(&NodeLimits::default());
    let node = Node::on(Arc::clone(&engine) as _, NodeLimits::default(), Retention::default(), 7);
    let mut phone = node.dial();
    phone.login = Ok(login("ann", 5, "t1"));
    phone.say(&node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
    assert!(try_revoke(&node, &user("ann", None), None).is_none(), "the engine has not saved it yet");
    engine.work();
    let heard = phone.hear(&node);
    assert!(heard.iter().all(|packet| packet["welcome"].is_null()), "{heard:?}");
    assert_eq!(heard.last().expect("a bye")["bye"]["code"], "token_expired");
    assert_eq!(node.hub.stats().sessions, 0, "nobody would ever come back to it");
}

#[test]
fn login_that_ends_while_channels_load_leaves_no_session() {
    let engine = SlowEngine::new(&NodeLimits::default());
    let mut node = Node::on(Arc::clone(&engine) as _, NodeLimits::default(), Retention::default(), 7);
    let mut phone = node.dial();
    let expires_at = Some(BEGIN_WALL_MS + 1_000);
    phone.login = Ok(Identity { expires_at, ..login("ann", 5, "t1") });
    phone.say(&node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
    node.advance(1_000);
    engine.work();
    assert_eq!(phone.bye(&node)["code"], "token_expired");
    assert_eq!(node.hub.stats().sessions, 0);
}

#[test]
fn revoked_session_stays_so_where_tickets_live_shorter_now() {
    let engine = SlowEngine::new(&NodeLimits::default());
    let node = |limits: NodeLimits| Node::on(Arc::clone(&engine) as _, limits, Retention::default(), 7);
    let before = node(NodeLimits::default());
    let mut phone = before.dial();
    phone.login = Ok(login("ann", 5, "t1"));
    phone.say(&before, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
    engine.work();
    let welcome = phone.welcome(&before);
    let (ticket, session) = (&welcome["ticket"], welcome["session"].as_str().expect("text"));
    let mut limits = NodeLimits::default();
    limits.protocol.ticket_ms = 2_000;
    let mut after = node(limits);
    try_revoke(&after, &RevokeLogins::Session(session.to_owned()), None);
    engine.work();
    assert!(is_challenged(&after, ticket));
    after.advance(4_000);
    let answer = resume(&after, ticket).hear(&after);
    assert!(answer[0]["challenge"].is_object(), "it is remembered for 2 s only: {answer:?}");
}

#[test]
fn revocations_survive_restart_of_the_node() {
    let engine = SlowEngine::new(&NodeLimits::default());
    let node = || Node::on(Arc::clone(&engine) as _, NodeLimits::default(), Retention::default(), 7);
    let before = node();
    let mut phone = before.dial();
    phone.login = Ok(login("ann", 5, "t1"));
    phone.say(&before, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
    engine.work();
    let ticket = ticket(&before, &mut phone);
    try_revoke(&before, &user("ann", None), None);
    try_revoke(&before, &RevokeLogins::Token("t9".to_owned()), None);
    engine.work();
    let after = node();
    assert!(is_challenged(&after, &ticket));
    for void in [login("ann", 5, "t2"), login("bob", 5, "t9")] {
        assert_eq!(after.log_in(void).bye(&after)["code"], "unauthorized");
    }
}

#[test]
fn expired_revocation_is_forgotten() {
    let mut node = Node::new();
    try_revoke(&node, &RevokeLogins::Token("t1".to_owned()), Some(BEGIN_WALL_MS + 10_000));
    node.advance(10_000);
    assert_eq!(node.log_in(login("ann", 5, "t1")).bye(&node)["code"], "unauthorized");
    node.advance(1);
    assert_eq!(node.log_in(login("ann", 5, "t1")).welcome(&node)["user"], "ann");
}

#[test]
fn revocation_without_room_is_refused_and_ends_nothing() {
    let node =
        Node::with(EngineLimits { revocations_max: 1, ..EngineLimits::default() }, Retention::default());
    let mut phone = node.log_in(login("ann", 5, "t2"));
    revoke(&node, &RevokeLogins::Token("t1".to_owned()));
    let refused = try_revoke(&node, &RevokeLogins::Token("t2".to_owned()), None).expect("answered");
    assert_eq!(refused.expect_err("no room").code.as_str(), "limit");
    assert!(phone.hear_only(&node, "bye").is_empty());
}

#[test]
fn guest_session_is_untouched_by_users_revocation() {
    let node = Node::new();
    let mut guest = node.guest();
    let ticket = ticket(&node, &mut guest);
    assert_eq!(revoke(&node, &user("ann", None)), 0);
    drop(guest);
    assert_eq!(resume(&node, &ticket).welcome(&node)["resumed"], true);
}
