//! Hello, tickets, challenges and take-over (protocol, section 3).

use crate::common::{Node, identity, resume};
use serde_json::json;
use tautline_engine::Retention;
use tautline_hub::{HubLimits, Identity, LoginRefused};
use tautline_protocol::UserId;

/// A key as clients generate it.
const KEY: &str = "b3f1c0de5ca1ab1e77aa01aa";

#[test]
fn guest_hello_is_welcomed_with_ticket() {
    let node = Node::new();
    let mut phone = node.guest();
    let welcome = phone.welcome(&node);
    assert_eq!(welcome["resumed"], false);
    assert_eq!(welcome["ping_ms"], 25_000);
    assert_eq!(welcome["ticket_expires_at"], node.now.wall_ms + 24 * 3600 * 1000);
    assert!(welcome.get("user").is_none() && welcome.get("requests_seen").is_none(), "{welcome}");
}

#[test]
fn ticket_resumes_session_with_subscriptions_and_missed_publications() {
    let node = Node::new();
    let mut phone = node.guest();
    let welcome = phone.welcome(&node);
    let reply = phone.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    let epoch = reply["ok"]["epoch"].clone();
    phone.peer.handle_lost(node.now);
    for n in 1..=3 {
        node.publish("room:7", &json!(n));
    }
    let mut again = node.dial();
    again.say(&node, resume(&welcome, 5, json!({"room:7": {"epoch": epoch, "offset": 1}})));
    let received = again.hear(&node);
    let back = &received[0]["welcome"];
    assert_eq!(back["session"], welcome["session"]);
    assert_eq!(back["resumed"], true);
    assert_eq!(back["requests_seen"], 1);
    assert_eq!(back["channels"]["room:7"]["recovering"], 2);
    let offsets: Vec<_> = received[1..].iter().map(|packet| packet["pub"]["offset"].clone()).collect();
    assert_eq!(offsets, [json!(2), json!(3)], "one round trip recovers everything");
}

#[test]
fn forged_ticket_is_challenged_then_login_succeeds() {
    let node = Node::new();
    let mut phone = node.dial();
    phone.say(&node, resume(&json!({"ticket": "AAAA"}), 5, json!({})));
    assert_eq!(phone.hear(&node)[0]["challenge"]["code"], "ticket_invalid");
    phone.say(&node, json!({"id": 1, "publish": {"channel": "room:7", "data": 1}}));
    assert!(phone.hear(&node).is_empty(), "requests behind the hello are dropped");
    phone.say(
        &node,
        json!({"hello": {"v": 1, "auth": {"guest": true},
        "resume": {"ticket": "AAAA", "attempt": 5, "cursors": {"room:7": {"epoch": "x", "offset": 3}}}}}),
    );
    let received = phone.hear(&node);
    assert_eq!(received[0]["welcome"]["resumed"], false);
    assert_eq!(received[1]["gap"]["reason"], "new_epoch", "cursors are honoured");
    assert_eq!(node.hub.stats().publications, 0);
}

#[test]
fn ticket_with_any_bit_changed_is_challenged() {
    let mut node = Node::new();
    let mut phone = node.user("u1", &[]);
    let welcome = phone.welcome(&node);
    let ticket = welcome["ticket"].as_str().expect("a ticket").to_owned();
    for bit in 0..ticket.len() * 7 {
        let mut bytes = ticket.clone().into_bytes();
        bytes[bit / 7] ^= 1 << (bit % 7);
        let changed = String::from_utf8(bytes).expect("seven bits");
        node.advance(1);
        let mut forger = node.dial();
        forger.login = Err(LoginRefused::Unauthorized("no login is shown".to_owned()));
        forger.say(&node, resume(&json!({"ticket": changed}), 5, json!({})));
        let answer = forger.hear(&node).remove(0);
        assert_eq!(answer["challenge"]["code"], "ticket_invalid", "bit {bit}: {answer}");
    }
    phone.say(&node, json!({"ping": {}}));
    assert_eq!(phone.hear_only(&node, "pong").len(), 1, "its owner is untouched");
}

#[test]
fn returning_clients_with_tickets_ask_for_no_login() {
    const CLIENTS: usize = 3_000;
    let mut node = Node::new();
    let mut welcomes = Vec::with_capacity(CLIENTS);
    for n in 0..CLIENTS {
        node.advance(1);
        welcomes.push(node.user(&format!("u{n}"), &[]).welcome(&node));
    }
    // The keys of tickets outlive the restart; sessions and logs do not.
    for mut after in [node, Node::new()] {
        for (n, welcome) in welcomes.iter().enumerate() {
            after.advance(1);
            let mut back = after.dial();
            back.login = Err(LoginRefused::Unavailable("the provider must not be asked".to_owned()));
            back.say(&after, resume(welcome, 5, json!({})));
            let answer = back.hear(&after).remove(0);
            assert_eq!(answer["welcome"]["user"], format!("u{n}"), "{answer}");
        }
    }
}

#[test]
fn expired_ticket_is_challenged() {
    let mut node = Node::new();
    let mut phone = node.guest();
    let welcome = phone.welcome(&node);
    node.advance(24 * 3600 * 1000);
    let mut again = node.dial();
    again.say(&node, resume(&welcome, 5, json!({})));
    assert_eq!(again.hear(&node)[0]["challenge"]["code"], "ticket_expired");
}

#[test]
fn ticket_never_outlives_its_login() {
    let node = Node::new();
    let mut phone = node.dial();
    let mut login = identity("u1", &[]);
    login.expires_at = Some(node.now.wall_ms + 1000);
    phone.login = Ok(login);
    phone.say(&node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
    assert_eq!(phone.welcome(&node)["ticket_expires_at"], node.now.wall_ms + 1000);
}

#[test]
fn connection_closes_when_its_login_expires() {
    let mut node = Node::new();
    let mut phone = node.dial();
    let mut login = identity("u1", &[]);
    login.expires_at = Some(node.now.wall_ms + 1000);
    phone.login = Ok(login);
    phone.say(&node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
    assert_eq!(phone.peer.poll_timeout(), node.now.mono_ms + 1000);
    node.advance(1000);
    phone.peer.handle_timeout(node.now);
    assert_eq!(phone.bye(&node)["code"], "token_expired");
    assert_eq!(phone.close, Some(4101));
}

#[test]
fn fresh_ticket_is_sent_at_half_lifetime() {
    let mut node = Node::new();
    let mut phone = node.guest();
    let first = phone.welcome(&node)["ticket"].clone();
    for _ in 0..12 * 60 {
        node.advance(60_000 - 1);
        phone.say(&node, json!({"ping": {}}));
        node.advance(1);
        phone.peer.handle_timeout(node.now);
    }
    let tickets = phone.hear_only(&node, "ticket");
    assert_eq!(tickets.len(), 1);
    assert_ne!(tickets[0]["ticket"], first);
}

#[test]
fn ticket_is_void_after_bye() {
    let node = Node::new();
    let mut phone = node.guest();
    let welcome = phone.welcome(&node);
    phone.say(&node, json!({"bye": {}}));
    assert_eq!(phone.close, Some(1000));
    assert_eq!(node.hub.stats().sessions, 0);
    let mut again = node.dial();
    again.say(&node, resume(&welcome, 5, json!({})));
    assert_eq!(again.hear(&node)[0]["challenge"]["code"], "ticket_revoked");
}

#[test]
fn newest_attempt_takes_over_late_one_refused() {
    let node = Node::new();
    let mut first = node.guest();
    let welcome = first.welcome(&node);
    let mut second = node.dial();
    second.say(&node, resume(&welcome, 9, json!({})));
    assert_eq!(second.welcome(&node)["resumed"], true);
    assert!(first.was_woken());
    assert_eq!(first.bye(&node)["code"], "taken_over");
    assert_eq!(first.close, Some(4105));
    let mut late = node.dial();
    late.say(&node, resume(&welcome, 9, json!({})));
    let bye = late.bye(&node);
    assert_eq!((&bye["code"], &bye["attempt"]), (&json!("taken_over"), &json!(9)));
    first.peer.handle_lost(node.now);
    second.say(&node, json!({"ping": {}}));
    assert_eq!(second.hear_only(&node, "pong").len(), 1, "the old one's end does not park the session");
}

#[test]
fn hello_repeated_by_key_opens_same_session() {
    let mut node = Node::new();
    let hello = json!({"hello": {"v": 1, "key": KEY, "auth": {"guest": true}}});
    let open = |node: &Node| {
        let mut phone = node.dial();
        phone.say(node, hello.clone());
        let welcome = phone.welcome(node);
        (phone, welcome)
    };
    let (lost, first) = open(&node);
    drop(lost);
    let (_second, again) = open(&node);
    assert_eq!(again["session"], first["session"]);
    assert_eq!((&again["resumed"], &again["requests_seen"]), (&json!(true), &json!(0)));
    assert_eq!(node.hub.stats().sessions, 1, "no second session is left behind");
    node.advance(60_000);
    let (_third, later) = open(&node);
    assert_ne!(later["session"], first["session"]);
    assert_eq!(later["resumed"], false);
}

#[test]
fn key_of_another_user_opens_new_session() {
    let node = Node::new();
    let mut sessions = Vec::new();
    for user in ["u1", "u2"] {
        let mut phone = node.dial();
        phone.login = Ok(identity(user, &[]));
        phone.say(&node, json!({"hello": {"v": 1, "key": KEY, "auth": {"token": "…"}}}));
        sessions.push(phone.welcome(&node)["session"].clone());
    }
    assert_ne!(sessions[0], sessions[1]);
}

#[test]
fn other_users_token_beside_ticket_begins_new_session() {
    let node = Node::new();
    let welcome = node.user("u1", &[]).welcome(&node);
    for (user, resumed) in [("u2", false), ("u1", true)] {
        let mut phone = node.dial();
        phone.login = Ok(identity(user, &[]));
        phone.say(
            &node,
            json!({"hello": {"v": 1, "auth": {"token": "…"},
            "resume": {"ticket": welcome["ticket"], "attempt": 5, "cursors": {}}}}),
        );
        assert_eq!(phone.welcome(&node)["resumed"], resumed, "{user}");
    }
}

#[test]
fn refused_login_gets_its_reason() {
    let node = Node::new();
    let cases = [
        (LoginRefused::Unauthorized("no such user".into()), "unauthorized", "never", 4102),
        (LoginRefused::NotYet { in_ms: 7 }, "unauthorized", "later", 4102),
        (LoginRefused::Expired, "token_expired", "now", 4101),
        (LoginRefused::Unavailable("later".into()), "overloaded", "later", 4002),
    ];
    for (refused, code, reconnect, close) in cases {
        let mut phone = node.dial();
        phone.login = Err(refused);
        phone.enter(&node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
        let bye = phone.bye(&node);
        assert_eq!((&bye["code"], &bye["reconnect"]), (&json!(code), &json!(reconnect)));
        assert_eq!(phone.close, Some(close));
    }
    let mut phone = node.dial();
    phone.enter(&node, json!({"hello": {"v": 1}}));
    assert_eq!(phone.bye(&node)["code"], "unauthorized");
}

#[test]
fn silent_peer_is_closed_before_and_after_welcome() {
    let mut node = Node::new();
    let mut mute = node.dial();
    let mut silent = node.guest();
    node.advance(10_000);
    mute.peer.handle_timeout(node.now);
    silent.peer.handle_timeout(node.now);
    assert_eq!(mute.bye(&node)["code"], "hello_timeout");
    assert_eq!(silent.close, None);
    node.advance(2 * 25_000 + 8_000 - 10_000 - 1);
    silent.peer.handle_timeout(node.now);
    assert!(silent.close.is_none() && silent.hear_only(&node, "bye").is_empty());
    node.advance(1);
    silent.peer.handle_timeout(node.now);
    assert_eq!(silent.bye(&node)["code"], "peer_silent");
    assert_eq!(silent.close, Some(4011));
}

#[test]
fn malformed_packet_closes_connection_naming_its_request() {
    let node = Node::new();
    let mut phone = node.guest();
    phone.hear(&node);
    phone.say_text(&node, "{\"id\":7,\"call\":");
    let received = phone.hear(&node);
    assert_eq!((&received[0]["id"], &received[0]["bye"]["code"]), (&json!(7), &json!("bad_packet")));
    assert_eq!(phone.close, Some(4201));
}

#[test]
fn draining_node_sends_bye_with_spread_retry() {
    let node = Node::new();
    let mut phones: Vec<_> = (0..50).map(|_| node.guest()).collect();
    node.hub.drain(10_000);
    let mut waits: Vec<_> = phones
        .iter_mut()
        .map(|phone| {
            let bye = phone.bye(&node);
            assert_eq!((&bye["code"], &bye["reconnect"]), (&json!("server_restart"), &json!("later")));
            bye["retry_after_ms"].as_u64().expect("a wait")
        })
        .collect();
    waits.sort_unstable();
    assert!(waits[0] < 2_500 && waits[49] > 7_500 && waits[49] <= 10_000, "{waits:?}");
    assert_eq!(node.guest().bye(&node)["code"], "server_restart");
    node.hub.reopen();
    assert_eq!(node.guest().welcome(&node)["resumed"], false);
}

#[test]
fn full_node_rejects_new_sessions_and_keeps_others() {
    let node = Node::with(HubLimits { sessions_max: 1, ..HubLimits::default() }, Retention::default());
    let mut first = node.guest();
    let welcome = first.welcome(&node);
    let bye = node.guest().bye(&node);
    assert_eq!(bye["code"], "overloaded");
    assert!(
        bye["retry_after_ms"].as_u64().is_some_and(|ms| ms >= 1000),
        "spread, so that clients do not return together: {bye}"
    );
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({})));
    assert_eq!(back.welcome(&node)["resumed"], true);
}

#[test]
fn expired_parked_session_resumes_by_ticket() {
    let mut node = Node::new();
    let mut phone = node.guest();
    let welcome = phone.welcome(&node);
    phone.peer.handle_lost(node.now);
    node.advance(119_999);
    assert_eq!(node.hub.stats().sessions, 1);
    node.advance(1);
    assert_eq!(node.hub.stats().sessions, 0);
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({})));
    let again = back.welcome(&node);
    assert_eq!((&again["session"], &again["resumed"]), (&welcome["session"], &json!(true)));
    assert_eq!(again["requests_seen"], 0, "the new ledger knows none of them");
}

#[test]
fn forgotten_session_resumes_above_ids_said_seen() {
    let mut node = Node::new();
    let mut phone = node.guest();
    let welcome = phone.welcome(&node);
    phone.peer.handle_lost(node.now);
    node.advance(120_000);
    // Away for longer than the parking time: the ledger is new, and the client reports the requests it has
    // settled.
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({})));
    let welcome = back.welcome(&node);
    assert_eq!(welcome["requests_seen"], 0);
    back.say(&node, json!({"ping": {}, "seen": 6}));
    back.peer.handle_lost(node.now);
    // The app was killed and has an older number in its storage: the welcome tells it where to continue.
    let mut restarted = node.dial();
    restarted.say(&node, resume(&welcome, 6, json!({})));
    let welcome = restarted.welcome(&node);
    assert_eq!(welcome["requests_seen"], 6);
    restarted.say(&node, json!({"id": 7, "subscribe": {"channel": "room:7"}}));
    assert_eq!(restarted.hear(&node)[0]["id"], 7);
}

#[test]
fn requests_may_follow_hello_in_the_same_message() {
    let node = Node::new();
    let mut phone = node.dial();
    phone.say_text(
        &node,
        "{\"hello\":{\"v\":1,\"auth\":{\"guest\":true}}}\n{\"id\":1,\"subscribe\":{\"channel\":\"a\"}}",
    );
    let received = phone.hear(&node);
    assert!(received[0].get("welcome").is_some() && received[1]["id"] == 1, "{received:?}");
}

#[test]
fn requests_behind_unresumed_hello_are_dropped() {
    let node = Node::new();
    let mut phone = node.dial();
    let hello =
        json!({"hello": {"v": 1, "auth": {"guest": true}, "resume": {"ticket": "AAAA", "attempt": 5}}});
    let publish = json!({"id": 1, "publish": {"channel": "a", "data": 1}});
    phone.say_text(&node, &format!("{hello}\n{publish}"));
    assert_eq!(phone.hear(&node).len(), 1, "a welcome and nothing else");
    assert_eq!(node.hub.stats().publications, 0);
}

#[test]
fn session_of_refused_hello_is_removed() {
    let mut node = Node::new();
    let mut phone = node.guest();
    let welcome = phone.welcome(&node);
    drop(phone);
    node.advance(120_000);
    let mut refused = node.dial();
    refused.say(&node, resume(&welcome, 0, json!({})));
    assert_eq!(refused.bye(&node)["code"], "taken_over", "attempts begin at 1");
    node.advance(120_000);
    assert_eq!(node.hub.stats().sessions, 0);
}

/// Regression from a mutant: a slot that is not returned exists as long as the channel.
#[test]
fn disconnected_client_keeps_no_subscriber_slot() {
    let node = Node::new();
    let here = || {
        let (done, outcome) = std::sync::mpsc::channel();
        let user = UserId::parse("u1").expect("valid");
        node.hub.inbox(node.now, &user, move |inbox| drop(done.send(inbox)));
        outcome.try_recv().expect("answered at once").expect("there is an inbox").connections
    };
    let stays = node.user("u1", &[]);
    for _ in 0..3 {
        let leaves = node.user("u1", &[]);
        assert_eq!(here(), 2);
        drop(leaves);
        assert_eq!(here(), 1);
    }
    drop(stays);
    assert_eq!(here(), 0);
}

/// A keyed hello; its login is the one in [`crate::common::Phone::login`].
fn keyed_hello() -> serde_json::Value {
    json!({"hello": {"v": 1, "key": KEY, "auth": {"token": "…"}}})
}

fn code_of(reply: &serde_json::Value) -> &serde_json::Value {
    &reply["error"]["code"]
}

#[test]
fn refused_late_hello_does_not_replace_login() {
    let node = Node::new();
    let welcome = node.user("u1", &[]).welcome(&node);
    let hello = |attempt: u64| {
        json!({"hello": {"v": 1, "auth": {"token": "…"},
            "resume": {"ticket": welcome["ticket"], "attempt": attempt, "cursors": {}}}})
    };
    let mut live = node.dial();
    live.login = Ok(identity("u1", &["secret:new"]));
    live.say(&node, hello(9));
    assert_eq!(live.welcome(&node)["resumed"], true);
    let mut late = node.dial();
    late.login = Ok(identity("u1", &["secret:old"]));
    late.say(&node, hello(8));
    assert_eq!(late.bye(&node)["code"], "taken_over");
    let new = live.ask(&node, json!({"id": 1, "publish": {"channel": "secret:new", "data": 1}}));
    assert_eq!(new["ok"]["offset"], 1, "{new}");
    let old = live.ask(&node, json!({"id": 2, "publish": {"channel": "secret:old", "data": 1}}));
    assert_eq!(code_of(&old), "permission_denied");
}

#[test]
fn hello_repeated_by_key_brings_its_own_login() {
    let node = Node::new();
    let mut first = node.dial();
    first.login = Ok(identity("u1", &["secret:old"]));
    first.say(&node, keyed_hello());
    first.welcome(&node);
    let mut second = node.dial();
    let mut login = identity("u1", &["secret:new"]);
    login.expires_at = Some(node.now.wall_ms + 5_000);
    second.login = Ok(login);
    second.say(&node, keyed_hello());
    let welcome = second.welcome(&node);
    assert_eq!(welcome["resumed"], true);
    assert_eq!(welcome["ticket_expires_at"], node.now.wall_ms + 5_000);
    let new = second.ask(&node, json!({"id": 1, "publish": {"channel": "secret:new", "data": 1}}));
    assert_eq!(new["ok"]["offset"], 1, "{new}");
    let old = second.ask(&node, json!({"id": 2, "publish": {"channel": "secret:old", "data": 1}}));
    assert_eq!(code_of(&old), "permission_denied");
}

#[test]
fn repeated_request_in_new_session_is_in_doubt() {
    let mut node = Node::new();
    let hello = json!({"hello": {"v": 1, "key": KEY, "auth": {"guest": true}}});
    let behind = |again: bool| {
        let call = json!({"id": 1, "again": again, "call": {"method": "buy"}});
        let counted = json!({"id": 2, "again": again, "call": {"method": "count"}});
        let publish = json!({"id": 3, "again": again, "publish": {"channel": "room:7", "data": 1}});
        format!("{hello}\n{call}\n{counted}\n{publish}")
    };
    let mut lost = node.dial();
    lost.say_text(&node, &behind(false));
    assert_eq!(lost.calls.len(), 2);
    let first = lost.welcome(&node)["session"].clone();
    drop(lost);
    node.advance(200_000);
    let mut back = node.dial();
    back.say_text(&node, &behind(true));
    let received = back.hear(&node);
    assert_eq!(received[0]["welcome"]["resumed"], false);
    assert_ne!(received[0]["welcome"]["session"], first, "this session has never executed a request");
    for (reply, id) in received[1..].iter().zip(1..) {
        assert_eq!((&reply["id"], code_of(reply)), (&json!(id), &json!("in_doubt")), "{received:?}");
    }
    assert_eq!(received.len(), 4);
    assert!(back.calls.is_empty());
    assert_eq!(node.hub.stats().publications, 1);
    back.say(&node, json!({"id": 4, "call": {"method": "buy"}}));
    assert_eq!(back.calls.len(), 1, "a new request is executed");
}

#[test]
fn repeated_request_in_session_resumed_by_key_executes() {
    let node = Node::new();
    let mut lost = node.dial();
    lost.say(&node, keyed_hello());
    drop(lost);
    let mut back = node.dial();
    back.say_text(
        &node,
        &format!("{}\n{}", keyed_hello(), json!({"id": 1, "again": true, "call": {"method": "buy"}})),
    );
    assert_eq!(back.welcome(&node)["resumed"], true);
    assert_eq!(back.calls.len(), 1, "the complete ledger shows that this request never arrived");
}

#[test]
fn late_auth_of_superseded_connection_changes_nothing() {
    let node = Node::new();
    let mut old = node.user("u1", &["secret:a"]);
    let welcome = old.welcome(&node);
    // Not drained: the token is still being checked.
    old.peer.handle_message(node.now, &json!({"id": 1, "auth": {"token": "…"}}).to_string());
    let asked = old.peer.poll_output(node.now);
    let Some(tautline_hub::Output::Authenticate(_, reply)) = asked else { panic!("a question") };
    let mut new = node.dial();
    new.login = Ok(identity("u1", &["secret:b"]));
    let hello = json!({"hello": {"v": 1, "auth": {"token": "…"},
        "resume": {"ticket": welcome["ticket"], "attempt": 5, "cursors": {}}}});
    new.say(&node, hello);
    new.welcome(&node);
    reply.answer(Ok(identity("u1", &["secret:a"])));
    old.drain(&node);
    let reply = new.ask(&node, json!({"id": 2, "publish": {"channel": "secret:b", "data": 1}}));
    assert_eq!(reply["ok"]["offset"], 1, "{reply}");
}

#[test]
fn auth_that_cannot_be_checked_now_is_unavailable() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    let cases = [
        (LoginRefused::Unavailable("later".into()), "unavailable", true),
        (LoginRefused::NotYet { in_ms: 7 }, "permission_denied", true),
        (LoginRefused::Unauthorized("no".into()), "permission_denied", false),
    ];
    for (id, (refused, code, passes)) in (1..).zip(cases) {
        phone.login = Err(refused);
        let reply = phone.ask(&node, json!({"id": id, "auth": {"token": "…"}}));
        assert_eq!(code_of(&reply), code);
        assert_eq!(reply["error"].get("retry_after_ms").is_some(), passes, "{reply}");
    }
}

#[test]
fn token_not_valid_yet_gets_retry_delay() {
    let node = Node::new();
    for (in_ms, retry_after_ms) in [(7, 7), (3_600_000, 60_000)] {
        let mut phone = node.dial();
        phone.login = Err(LoginRefused::NotYet { in_ms });
        phone.say(&node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
        assert_eq!(phone.bye(&node)["retry_after_ms"], retry_after_ms);
    }
}

#[test]
fn owner_outbids_stolen_ticket_with_highest_attempt() {
    let mut node = Node::new();
    let welcome = node.guest().welcome(&node);
    for highest in [1u64 << 52, node.now.wall_ms + 3 * 86_400_000] {
        let mut thief = node.dial();
        thief.say(&node, resume(&welcome, highest, json!({})));
        assert_eq!(thief.welcome(&node)["resumed"], true);
        node.advance(100);
        let mut owner = node.dial();
        owner.say(&node, resume(&welcome, node.now.wall_ms, json!({})));
        let received = owner.bye(&node)["attempt"].as_u64().expect("the highest");
        assert!(received <= node.now.wall_ms + 48 * 3_600_000, "{received}");
        let mut owner = node.dial();
        owner.say(&node, resume(&welcome, received + 1, json!({})));
        assert_eq!(owner.welcome(&node)["resumed"], true);
        assert_eq!(thief.bye(&node)["code"], "taken_over");
    }
}

#[test]
fn phone_with_clock_ahead_always_resumes() {
    let mut node = Node::new();
    let welcome = node.guest().welcome(&node);
    const DAY: u64 = 86_400_000;
    for ahead in [DAY, 400 * DAY] {
        for _ in 0..3 {
            let mut phone = node.dial();
            phone.say(&node, resume(&welcome, node.now.wall_ms + ahead, json!({})));
            assert_eq!(phone.welcome(&node)["resumed"], true, "{ahead}");
            node.advance(1);
        }
    }
    // The server's clock is also set back.
    node.now.wall_ms -= 30 * DAY;
    let mut phone = node.dial();
    phone.say(&node, resume(&welcome, node.now.wall_ms + 400 * DAY, json!({})));
    assert_eq!(phone.welcome(&node)["resumed"], true);
}

#[test]
fn short_key_or_huge_attempt_is_no_hello() {
    let node = Node::new();
    for hello in [
        json!({"hello": {"v": 1, "key": "", "auth": {"guest": true}}}),
        json!({"hello": {"v": 1, "key": "a", "auth": {"guest": true}}}),
        json!({"hello": {"v": 1, "resume": {"ticket": "AAAA", "attempt": u64::MAX}}}),
    ] {
        let mut phone = node.dial();
        phone.say(&node, hello);
        assert_eq!(phone.bye(&node)["code"], "bad_packet");
    }
}

#[test]
fn ticket_of_removed_login_source_is_challenged() {
    let node = Node::new();
    let tickets = [7, 0].map(|source| {
        let mut phone = node.dial();
        phone.login = Ok(Identity { source, ..identity("u1", &[]) });
        phone.say(&node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
        phone.welcome(&node)
    });
    // The test node accepts the source 0.
    for (ticket, is_good) in tickets.iter().zip([false, true]) {
        let mut back = node.dial();
        back.say(&node, resume(ticket, 5, json!({})));
        let received = back.hear(&node);
        assert_eq!(received[0].get("welcome").is_some(), is_good, "{received:?}");
        assert!(is_good || received[0]["challenge"]["code"] == "ticket_revoked", "{received:?}");
    }
}

#[test]
fn replaced_login_sources_hold_for_the_next_resume() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    let ticket = phone.welcome(&node);
    let come_back = || {
        let mut back = node.dial();
        back.say(&node, resume(&ticket, 5, json!({})));
        back.hear(&node)[0].clone()
    };
    node.hub.set_login_sources(vec![7]);
    assert_eq!(come_back()["challenge"]["code"], "ticket_revoked");
    phone.say(&node, json!({"ping": {}}));
    assert_eq!(phone.hear_only(&node, "pong").len(), 1, "its connection stays");
    node.hub.set_login_sources(vec![7, 0]);
    assert!(come_back().get("welcome").is_some());
}

#[test]
fn ticket_of_unknown_source_beside_login_begins_anew() {
    let node = Node::new();
    let mut phone = node.dial();
    phone.login = Ok(Identity { source: 7, ..identity("u1", &[]) });
    phone.say(&node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
    let welcome = phone.welcome(&node);
    let mut back = node.dial();
    back.login = Ok(identity("u1", &[]));
    back.say(
        &node,
        json!({"hello": {"v": 1, "auth": {"token": "…"},
            "resume": {"ticket": welcome["ticket"], "attempt": 5, "cursors": {}}}}),
    );
    assert_eq!(back.welcome(&node)["resumed"], false);
}
