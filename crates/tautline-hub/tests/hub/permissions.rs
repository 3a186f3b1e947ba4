//! Who may do what: places in patterns, a word for each permission, grants of tokens, `info`.

use crate::common::{Node, Phone, closed, identity};
use serde_json::{Value, json, value::RawValue};
use tautline_hub::{Access, ChannelRule, Identity, LoginDetails, Permission, PresenceMode};
use tautline_protocol::{ChannelName, Pattern};

const REQUESTS: [&str; 4] = ["subscribe", "publish", "history", "presence"];

/// The permissions that a client has in a channel with a roster and a subscriber.
fn permitted(node: &Node, phone: &mut Phone, channel: &str) -> Vec<&'static str> {
    let mut id = 1_000;
    let mut may = |verb: &&str| {
        id += 1;
        let body = if *verb == "publish" {
            json!({"channel": channel, "data": 1})
        } else {
            json!({"channel": channel})
        };
        let reply = phone.ask(node, json!({"id": id, *verb: body}));
        let code = reply["error"]["code"].as_str().unwrap_or_default();
        assert!(reply["ok"].is_object() || ["permission_denied", "not_found"].contains(&code), "{reply}");
        code != "permission_denied"
    };
    REQUESTS.into_iter().filter(&mut may).collect()
}

fn rule(pattern: &str, subscribe: Access, publish: Access) -> ChannelRule {
    ChannelRule { subscribe, publish, presence: PresenceMode::Events, ..closed(pattern) }
}

fn node_with_orders() -> Node {
    Node::ruled(vec![rule("order:$user:*", Access::User, Access::User)])
}

fn with_details(user: &str, details: LoginDetails) -> Identity {
    Identity { details: details.shared(), ..identity(user, &[]) }
}

fn info(text: &str) -> LoginDetails {
    let json = RawValue::from_string(text.to_owned()).expect("json");
    LoginDetails { info: Some(json.into()), ..LoginDetails::default() }
}

#[test]
fn order_channel_opens_to_the_named_user_only() {
    let node = node_with_orders();
    assert_eq!(permitted(&node, &mut node.user("42", &[]), "order:42:7"), REQUESTS);
    assert_eq!(
        permitted(&node, &mut node.user("43", &["*"]), "order:42:7"),
        [""; 0],
        "whatever its token says"
    );
    assert_eq!(permitted(&node, &mut node.guest(), "order:42:7"), [""; 0]);
}

#[test]
fn user_id_with_separator_reaches_no_order() {
    let node = node_with_orders();
    for user in ["42:7", "4", "421", ":42", "42:", "$user", "order:42"] {
        for channel in ["order:42:7", "order:42:7:1", "order:42", "order::42:7"] {
            assert_eq!(permitted(&node, &mut node.user(user, &[]), channel), [""; 0], "{user} {channel}");
        }
    }
}

#[test]
fn dialog_opens_to_both_named_users() {
    let node = Node::ruled(vec![rule("dialog:$user:$user", Access::User, Access::User)]);
    for (user, count) in [("ann", 4), ("bob", 4), ("eve", 0)] {
        let may = permitted(&node, &mut node.user(user, &[]), "dialog:ann:bob");
        assert_eq!(may.len(), count, "{user}");
    }
}

#[test]
fn guest_channel_opens_to_its_own_session_only() {
    let node = Node::ruled(vec![rule("cart:$guest", Access::Guest, Access::Guest)]);
    let (mut ann, mut bob) = (node.guest(), node.guest());
    let session = ann.welcome(&node)["session"].as_str().expect("an id").to_owned();
    let cart = format!("cart:{session}");
    assert_eq!(permitted(&node, &mut ann, &cart), REQUESTS);
    assert_eq!(permitted(&node, &mut bob, &cart), [""; 0]);
    assert_eq!(permitted(&node, &mut node.user(&session, &[]), &cart), [""; 0], "a user is no guest");
}

#[test]
fn guest_channel_is_restored_with_its_session() {
    let mut node = Node::ruled(vec![rule("cart:$guest", Access::Guest, Access::Guest)]);
    let mut ann = node.guest();
    let welcome = ann.welcome(&node);
    let cart = format!("cart:{}", welcome["session"].as_str().expect("an id"));
    let cursor = ann.ask(&node, json!({"id": 1, "subscribe": {"channel": cart}}))["ok"].clone();
    drop(ann);
    node.advance(1_000);
    let cursor = json!({"epoch": cursor["epoch"], "offset": cursor["offset"]});
    let resume = json!({"ticket": welcome["ticket"], "attempt": 9, "cursors": {cart.as_str(): cursor}});
    let mut again = node.dial();
    again.enter(&node, json!({"hello": {"v": 1, "resume": resume}}));
    assert_eq!(again.welcome(&node)["channels"][&cart]["recovering"], 0);
}

#[test]
fn user_rule_without_place_opens_to_all_users() {
    let node = Node::ruled(vec![rule("members", Access::User, Access::None)]);
    assert_eq!(permitted(&node, &mut node.user("u1", &[]), "members"), ["subscribe", "history", "presence"]);
    assert_eq!(permitted(&node, &mut node.guest(), "members"), [""; 0]);
}

#[test]
fn each_permission_has_a_word_of_its_own() {
    let by_word = |history_access, presence_access| {
        let rule = rule("room:*", Access::Any, Access::None);
        Node::ruled(vec![ChannelRule { history_access, presence_access, ..rule }])
    };
    let (none, any) = (Some(Access::None), Some(Access::Any));
    for (history, presence, expected) in [
        (None, None, &["subscribe", "history", "presence"][..]),
        (none, any, &["subscribe", "presence"]),
        (any, none, &["subscribe", "history"]),
        (none, none, &["subscribe"]),
    ] {
        let node = by_word(history, presence);
        assert_eq!(permitted(&node, &mut node.guest(), "room:7"), expected);
    }
    let archive = ChannelRule { history_access: any, ..rule("archive", Access::None, Access::None) };
    let node = Node::ruled(vec![archive]);
    assert_eq!(permitted(&node, &mut node.guest(), "archive"), ["history"]);
}

#[test]
fn grant_opens_one_permission_of_its_channels() {
    let words = |subscribe| ChannelRule {
        history_access: Some(Access::Token),
        presence_access: Some(Access::Token),
        ..rule("room:*", subscribe, Access::Token)
    };
    let node = Node::ruled(vec![words(Access::Token)]);
    for permission in Permission::ALL {
        let grants = vec![(permission, Pattern::parse("room:*").expect("valid"))];
        let login = with_details("u1", LoginDetails { grants, ..LoginDetails::default() });
        assert_eq!(permitted(&node, &mut node.log_in(login.clone()), "room:7"), [permission.as_str()]);
    }
    assert_eq!(
        permitted(&node, &mut node.user("u1", &["room:*"]), "room:7"),
        REQUESTS,
        "`channels` opens all"
    );
}

#[test]
fn channel_without_rule_opens_to_no_client() {
    let node = node_with_orders();
    assert_eq!(permitted(&node, &mut node.user("42", &["*"]), "lobby"), [""; 0]);
    assert_eq!(permitted(&node, &mut node.user("42", &["*"]), "user:43"), [""; 0]);
    assert_eq!(
        permitted(&node, &mut node.user("42", &["*"]), "user:42"),
        ["subscribe", "history", "presence"]
    );
}

#[test]
fn subscriber_that_may_not_see_presence_gets_no_events() {
    let quiet =
        ChannelRule { presence_access: Some(Access::Token), ..rule("room:*", Access::Any, Access::None) };
    let node = Node::ruled(vec![quiet]);
    let (mut guest, mut moderator) = (node.guest(), node.user("u1", &["room:*"]));
    for phone in [&mut guest, &mut moderator] {
        phone.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    }
    let mut other = node.user("u2", &[]);
    other.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    assert_eq!(guest.hear_only(&node, "join"), [json!(null); 0]);
    assert_eq!(moderator.hear_only(&node, "join").len(), 1);
    drop((guest, moderator));
    other.ask(&node, json!({"id": 2, "unsubscribe": {"channel": "room:7"}}));
    assert_eq!(node.hub.stats().presence_bytes, 0, "no change waits for a subscriber that is not told");
}

#[test]
fn refreshed_login_without_presence_ends_events() {
    let by_token =
        ChannelRule { presence_access: Some(Access::Token), ..rule("room:*", Access::Any, Access::None) };
    let node = Node::ruled(vec![by_token]);
    let (mut ann, mut bob) = (node.user("ann", &["room:*"]), node.user("bob", &[]));
    ann.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    bob.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    assert_eq!(ann.hear_only(&node, "join").len(), 1);
    ann.login = Ok(identity("ann", &[]));
    ann.ask(&node, json!({"id": 2, "auth": {"token": "…"}}));
    bob.ask(&node, json!({"id": 2, "unsubscribe": {"channel": "room:7"}}));
    assert_eq!(ann.hear_only(&node, "leave"), [json!(null); 0]);
    ann.login = Ok(identity("ann", &["room:*"]));
    ann.ask(&node, json!({"id": 3, "auth": {"token": "…"}}));
    bob.ask(&node, json!({"id": 3, "subscribe": {"channel": "room:7"}}));
    assert_eq!(ann.hear_only(&node, "join").len(), 1);
}

#[test]
fn info_is_shown_in_join_and_roster() {
    let node = Node::ruled(vec![rule("room:*", Access::Any, Access::None)]);
    let mut ann = node.guest();
    ann.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    let mut bob = node.log_in(with_details("bob", info("{\"name\":\n\"Bob\"}")));
    bob.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    assert_eq!(ann.hear_only(&node, "join")[0]["info"], json!({"name": "Bob"}));
    let roster = ann.ask(&node, json!({"id": 2, "presence": {"channel": "room:7"}}));
    let members = roster["ok"]["members"].as_array().expect("members");
    let shown: Vec<_> = members.iter().map(|member| (&member["user"], &member["info"])).collect();
    assert!(shown.contains(&(&json!("bob"), &json!({"name": "Bob"}))), "{shown:?}");
    assert!(shown.contains(&(&Value::Null, &Value::Null)), "{shown:?}");
    bob.ask(&node, json!({"id": 2, "unsubscribe": {"channel": "room:7"}}));
    assert_eq!(ann.hear_only(&node, "leave")[0]["info"], Value::Null, "it was said in the join");
}

#[test]
fn info_survives_resume_on_a_node_without_the_session() {
    let rules = || vec![rule("room:*", Access::Any, Access::None)];
    let (node, other) = (Node::ruled(rules()), Node::ruled(rules()));
    let mut bob = node.log_in(with_details("bob", info("7")));
    let ticket = bob.welcome(&node)["ticket"].clone();
    let mut again = other.dial();
    again.enter(&other, json!({"hello": {"v": 1, "resume": {"ticket": ticket, "attempt": 9}}}));
    again.ask(&other, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    let roster = again.ask(&other, json!({"id": 2, "presence": {"channel": "room:7"}}));
    assert_eq!(roster["ok"]["members"][0]["info"], 7);
}

#[test]
fn login_over_its_bounds_is_refused() {
    let node = node_with_orders();
    let patterns = |count: usize| vec!["room:*"; count];
    let long_info = info(&format!("\"{}\"", "x".repeat(2_000)));
    let channel = ChannelName::parse("news").expect("valid");
    let subs = LoginDetails { subs: vec![channel; 33], ..LoginDetails::default() };
    for login in [identity("u", &patterns(1_025)), with_details("u", long_info), with_details("u", subs)] {
        let bye = node.log_in(login).bye(&node);
        assert_eq!(bye["code"], "unauthorized", "{bye}");
    }
    assert!(node.log_in(identity("u", &patterns(1_024))).welcome(&node)["ticket"].is_string());
}
