//! What control finds: sessions by what is known of them, and users that are online.

use std::sync::Arc;

use crate::common::{Node, Phone, identity, resume};
use serde_json::{Value, json};
use tautline_hub::{
    HubLimits, LoginDetails, Retention, SessionFilter, SessionInfo, Target, UserState, UserStatus,
};
use tautline_protocol::UserId;

fn hello(sdk: &str, platform: &str) -> Value {
    let client = json!({"sdk": sdk, "platform": platform});
    json!({"hello": {"v": 1, "auth": {"token": "…"}, "client": client}})
}

fn enter(node: &Node, user: &str, address: &str, (sdk, platform): (&str, &str)) -> Phone {
    let mut phone = node.dial_own(address);
    let details = LoginDetails { labels: [("shop".into(), user.into())].into(), ..LoginDetails::default() };
    phone.login = Ok(tautline_hub::Identity { details: Some(Arc::new(details)), ..identity(user, &[]) });
    phone.enter(node, hello(sdk, platform));
    phone
}

fn find(node: &Node, filter: SessionFilter) -> Vec<SessionInfo> {
    node.hub.control().find(node.now, &Target::Matching(filter), None, 100).sessions
}

fn users_of(node: &Node, filter: SessionFilter) -> Vec<String> {
    let mut users: Vec<_> = find(node, filter).into_iter().filter_map(|info| info.user).collect();
    users.sort();
    users
}

fn only(node: &Node) -> SessionInfo {
    let mut found = find(node, SessionFilter::default());
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn sessions_are_found_by_each_part_and_all_together() {
    let node = Node::new();
    let _phones = [
        enter(&node, "ann", "192.0.2.7", ("tautline-js/0.1.0", "wechat")),
        enter(&node, "bob", "192.0.2.7", ("tautline-js/0.2.0", "alipay")),
        enter(&node, "eve", "2001:db8::1", ("tautline-rs/0.1.0", "wechat")),
    ];
    let some = |text: &str| Some(text.to_owned());
    let none = SessionFilter::default;
    for (filter, expected) in [
        (none(), &["ann", "bob", "eve"][..]),
        (SessionFilter { user: UserId::parse("bob").ok(), ..none() }, &["bob"]),
        (SessionFilter { labels: [("shop".into(), "eve".into())].into(), ..none() }, &["eve"]),
        (SessionFilter { labels: [("shop".into(), "e".into())].into(), ..none() }, &[]),
        (SessionFilter { address: "192.0.2.7".parse().ok(), ..none() }, &["ann", "bob"]),
        (SessionFilter { address: "2001:db8::ffff".parse().ok(), ..none() }, &["eve"]),
        (SessionFilter { platform: some("wechat"), ..none() }, &["ann", "eve"]),
        (SessionFilter { sdk: some("tautline-js"), ..none() }, &["ann", "bob"]),
        (SessionFilter { sdk: some("tautline-js/0.2.0"), ..none() }, &["bob"]),
        (SessionFilter { sdk: some("tautline"), ..none() }, &[]),
        (SessionFilter { node: some("n1"), ..none() }, &["ann", "bob", "eve"]),
        (SessionFilter { node: some("n2"), ..none() }, &[]),
        (SessionFilter { is_connected: Some(false), ..none() }, &[]),
        (SessionFilter { sdk: some("tautline-js"), platform: some("wechat"), ..none() }, &["ann"]),
    ] {
        assert_eq!(users_of(&node, filter.clone()), expected, "{filter:?}");
    }
}

#[test]
fn session_tells_what_its_hello_and_address_said() {
    let node = Node::new();
    let mut phone = enter(&node, "ann", "192.0.2.7", ("tautline-js/0.1.0", "wechat"));
    phone.say(&node, json!({"id": 1, "subscribe": {"channel": "party:1"}}));
    let info = only(&node);
    let at = node.now.wall_ms;
    let expected = json!({
        "session": info.session, "user": "ann", "labels": {"shop": "ann"}, "address": "192.0.2.7",
        "platform": "wechat", "sdk": "tautline-js/0.1.0", "node": "n1", "opened_at": at,
        "is_connected": true, "connected_at": at, "channels": 2,
    });
    assert_eq!(serde_json::to_value(&info).expect("json"), expected);
    phone.say(&node, json!({"id": 2, "unsubscribe": {"channel": "party:1"}}));
    assert_eq!(only(&node).channels, 1);
}

#[test]
fn guest_without_client_or_address_tells_neither() {
    let node = Node::new();
    let _phone = node.guest();
    let SessionInfo { user, address, platform, sdk, labels, channels, .. } = only(&node);
    assert_eq!((user, address, platform, sdk), (None, None, None, None));
    assert_eq!((labels.len(), channels), (0, 0));
}

#[test]
fn session_that_moves_tells_where_and_since_when() {
    let mut node = Node::new();
    let mut phone = enter(&node, "ann", "192.0.2.7", ("tautline-js/0.1.0", "wechat"));
    let (welcome, opened) = (phone.welcome(&node), node.now.wall_ms);
    node.advance(5_000);
    phone.peer.handle_lost(node.now);
    node.advance(5_000);
    let away = only(&node);
    assert_eq!((away.is_connected, away.opened_at, away.channels), (false, opened, 0));
    assert_eq!((away.connected_at, away.away_at), (None, Some(opened + 5_000)));
    assert_eq!(away.address, "192.0.2.7".parse().ok(), "it was last there");
    let mut back = node.dial_own("192.0.2.8");
    back.say(&node, resume(&welcome, 5, json!({})));
    let info = only(&node);
    assert_eq!((info.connected_at, info.away_at), (Some(opened + 10_000), None));
    assert_eq!((info.address, info.opened_at), ("192.0.2.8".parse().ok(), opened));
    assert_eq!((info.sdk, info.channels), (None, 1), "the second hello named no client");
}

fn user(id: &str) -> UserId {
    UserId::parse(id).expect("valid")
}

fn status(node: &Node, id: &str) -> UserStatus {
    node.hub.control().users(&[user(id)]).remove(0)
}

#[test]
fn user_is_online_until_its_last_connection_ends() {
    let mut node = Node::new();
    assert_eq!(status(&node, "ann").state, UserState::Unknown);
    let (mut phone, mut pad, _guest) = (node.user("ann", &[]), node.user("ann", &[]), node.guest());
    let online = |node: &Node| (status(node, "ann").state, status(node, "ann").connections);
    assert_eq!((online(&node), node.hub.stats().users_online), ((UserState::Online, 2), 1));
    phone.peer.handle_lost(node.now);
    assert_eq!((online(&node), node.hub.stats().users_online), ((UserState::Online, 1), 1));
    node.advance(7_000);
    pad.peer.handle_lost(node.now);
    let gone = status(&node, "ann");
    let expected = json!({
        "user": "ann", "state": "offline", "connections": 0, "last_seen": node.now.wall_ms,
    });
    assert_eq!(serde_json::to_value(&gone).expect("json"), expected);
    assert_eq!(node.hub.stats().users_online, 0);
    let _back = node.user("ann", &[]);
    assert_eq!((online(&node), status(&node, "ann").last_seen), ((UserState::Online, 1), None));
}

#[test]
fn users_beyond_what_is_remembered_are_unknown() {
    let node = Node::with(HubLimits { last_seen_max: 2, ..HubLimits::default() }, Retention::default());
    let ids = ["ann", "bob", "eve"];
    for id in ids {
        node.user(id, &[]).peer.handle_lost(node.now);
    }
    let found = node.hub.control().users(&ids.map(user));
    let states: Vec<_> = found.iter().map(|found| found.state).collect();
    assert_eq!(states, [UserState::Unknown, UserState::Offline, UserState::Offline]);
}

#[test]
fn subscriptions_are_counted_until_they_end() {
    let node = Node::new();
    let (mut phone, mut guest) = (node.user("ann", &[]), node.guest());
    for phone in [&mut phone, &mut guest] {
        phone.say(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    }
    assert_eq!(node.hub.stats().subscriptions, 3);
    guest.say(&node, json!({"id": 2, "unsubscribe": {"channel": "room:7"}}));
    assert_eq!(node.hub.stats().subscriptions, 2);
    drop(phone);
    assert_eq!(node.hub.stats().subscriptions, 0);
}
