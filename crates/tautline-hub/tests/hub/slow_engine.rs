//! A slow, failing or forgetful engine: outputs that the hub holds back meanwhile, and sends afterwards.

use std::sync::Arc;

use crate::common::{Node, Phone, identity, resume, slow::SlowEngine};
use serde_json::{Value, json};
use tautline_engine::{Engine, EngineError, Retention};
use tautline_hub::{
    Access, ChannelRule, ControlMessage, EngineLimits, HubLimits, NodeLimits, RulePattern, Target,
};
use tautline_protocol::{ChannelName, Limits};

fn slow() -> (Arc<SlowEngine>, Node) {
    slow_within(NodeLimits::default())
}

fn slow_within(limits: impl Into<NodeLimits>) -> (Arc<SlowEngine>, Node) {
    let limits = limits.into();
    let engine = SlowEngine::new(&limits);
    let node = Node::on(Arc::clone(&engine) as Arc<dyn Engine>, limits, Retention::default(), 7);
    (engine, node)
}

/// Another node on the same logs, as after a restart.
fn next_node(engine: &Arc<SlowEngine>) -> Node {
    Node::on(Arc::clone(engine) as Arc<dyn Engine>, Limits::default(), Retention::default(), 8)
}

/// A guest that reads room 7 from its start.
fn reader(engine: &SlowEngine, node: &Node) -> Phone {
    let mut phone = node.guest();
    phone.say(node, json!({"id": 1, "subscribe": {"channel": "room:7", "from": "start"}}));
    engine.work();
    phone.drain(node);
    phone
}

fn publish(id: u64, data: &Value) -> Value {
    json!({"id": id, "publish": {"channel": "room:7", "data": data}})
}

fn write(engine: &SlowEngine, node: &Node, count: u64) {
    let mut writer = node.guest();
    (1..=count).for_each(|id| writer.say(node, publish(id, &json!(id))));
    engine.work();
}

#[test]
fn login_that_expires_before_welcome_is_refused() {
    let (engine, mut node) = slow();
    let mut phone = node.dial();
    let mut login = identity("u1", &[]);
    login.expires_at = Some(node.now.wall_ms + 1_000);
    phone.login = Ok(login);
    phone.say(&node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
    node.advance(1_000);
    engine.work();
    let heard = phone.hear(&node);
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0]["bye"]["code"], "token_expired");
    assert_eq!(phone.close, Some(4101));
}

#[test]
fn publication_is_invisible_until_engine_appended_it() {
    let (engine, node) = slow();
    let mut phone = reader(&engine, &node);
    phone.hear(&node);
    phone.say(&node, publish(2, &json!("x")));
    assert!(phone.hear(&node).is_empty());
    assert_eq!(engine.work(), 1);
    assert!(phone.was_woken());
    let heard = phone.hear(&node);
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard.iter().any(|packet| packet["ok"]["offset"] == 1), "{heard:?}");
    assert!(heard.iter().any(|packet| packet["pub"]["offset"] == 1), "{heard:?}");
}

#[test]
fn hello_waits_for_channel_lookups() {
    let (engine, node) = slow();
    write(&engine, &node, 3);
    let mut phone = reader(&engine, &node);
    let welcome = phone.welcome(&node);
    drop(phone);
    let mut back = node.dial();
    let cursors = json!({"room:7": {"epoch": "3", "offset": 1}, "room:8": {"epoch": "3", "offset": 0}});
    back.say(&node, resume(&welcome, 5, cursors));
    back.say(&node, json!({"id": 2, "publish": {"channel": "room:8", "data": "behind the hello"}}));
    assert!(back.hear(&node).is_empty() && !back.peer.wants_input());
    engine.work();
    let heard = back.hear(&node);
    assert_eq!(heard[0]["welcome"]["channels"]["room:7"]["recovering"], 2, "{heard:?}");
    assert_eq!(heard[0]["welcome"]["channels"]["room:8"]["offset"], 0);
    while engine.work() > 0 {
        back.drain(&node);
    }
    let offsets = back.offsets(&node);
    assert_eq!(offsets.iter().filter(|offset| **offset > 1).count(), 2, "2 and 3 of room 7: {offsets:?}");
}

#[test]
fn disconnect_during_lookup_leaves_nothing_behind() {
    let (engine, node) = slow();
    let mut phone = node.dial();
    phone.login = Ok(identity("u1", &[]));
    phone.say(&node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
    assert_eq!(engine.waiting(), 1);
    drop(phone);
    engine.work();
    assert_eq!((node.hub.stats().connections, node.hub.stats().sessions), (0, 0));
}

#[test]
fn requests_take_effect_in_order_with_slow_engine() {
    let (engine, node) = slow();
    let mut phone = node.guest();
    phone.hear(&node);
    let subscribe = json!({"id": 2, "subscribe": {"channel": "room:7"}});
    let history = json!({"id": 3, "history": {"channel": "room:7"}});
    phone.say_text(&node, &format!("{}\n{subscribe}\n{history}", publish(1, &json!("x"))));
    assert_eq!(engine.waiting(), 1, "only the publish");
    for _ in 0..3 {
        engine.work();
        phone.drain(&node);
    }
    let heard = phone.hear(&node);
    let ok = |id: u64| heard.iter().find(|packet| packet["id"] == id).map(|packet| packet["ok"].clone());
    assert_eq!(ok(2).expect("subscribed")["offset"], 1, "from now on means after the own publication");
    assert_eq!(ok(3).expect("a page")["publications"].as_array().map(Vec::len), Some(1));
    assert!(heard.iter().all(|packet| packet.get("pub").is_none()), "{heard:?}");
}

#[test]
fn unavailable_engine_request_may_be_retried() {
    let (engine, node) = slow();
    let mut phone = node.guest();
    phone.hear(&node);
    let down = EngineError::Unavailable("the disk is not there".to_owned());
    phone.say(&node, publish(1, &json!("x")));
    engine.fail(&down);
    phone.say(&node, json!({"id": 2, "history": {"channel": "room:7"}}));
    engine.fail(&down);
    let replies = phone.hear(&node);
    assert_eq!(replies.len(), 2);
    for reply in replies {
        assert_eq!(reply["error"]["code"], "unavailable", "{reply}");
        assert!(reply["error"]["retry_after_ms"].as_u64() > Some(0), "{reply}");
    }
}

#[test]
fn subscription_survives_brief_engine_outage() {
    let (engine, node) = slow();
    let down = EngineError::Unavailable("the disk is not there".to_owned());
    let mut phone = node.guest();
    phone.say(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    engine.fail(&down);
    let bye = phone.bye(&node);
    assert_eq!((&bye["code"], &bye["reconnect"]), (&json!("overloaded"), &json!("later")));
    let mut user = node.dial();
    user.login = Ok(identity("u1", &[]));
    user.say(&node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
    engine.fail(&down);
    let bye = user.bye(&node);
    assert_eq!((&bye["code"], &bye["reconnect"]), (&json!("overloaded"), &json!("later")));
}

#[test]
fn unanswered_append_is_in_doubt() {
    let (engine, node) = slow();
    let mut phone = node.guest();
    phone.hear(&node);
    phone.say(&node, publish(1, &json!("x")));
    engine.forget();
    assert_eq!(phone.hear(&node)[0]["error"]["code"], "in_doubt");
}

#[test]
fn live_readers_receive_publication_stored_in_doubt() {
    let (engine, node) = slow();
    write(&engine, &node, 1);
    let mut ann = reader(&engine, &node);
    engine.work();
    ann.hear(&node);
    let mut bob = node.guest();
    bob.hear(&node);
    bob.say(&node, publish(1, &json!("stored regardless")));
    engine.doubt();
    assert_eq!(bob.hear(&node)[0]["error"]["code"], "in_doubt");
    engine.work();
    let heard = ann.hear(&node);
    assert_eq!(heard[0]["pub"]["data"], "stored regardless", "{heard:?}");
    assert_eq!(heard[0]["pub"]["offset"], 2);
}

#[test]
fn publish_repeated_while_pending_is_stored_once() {
    let (engine, node) = slow();
    let mut phone = node.guest();
    let welcome = phone.welcome(&node);
    phone.say(&node, publish(1, &json!("x")));
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({})));
    back.hear(&node);
    let mut again = publish(1, &json!("x"));
    again["again"] = json!(true);
    back.say(&node, again);
    assert_eq!(engine.work(), 1);
    assert_eq!(back.hear(&node)[0]["ok"]["offset"], 1);
    assert!(phone.hear(&node).iter().all(|packet| packet.get("ok").is_none()));
}

#[test]
fn slow_readers_share_pages_within_bounds() {
    let limits = NodeLimits {
        protocol: Limits { batch_bytes_max: 256, ..Limits::default() },
        hub: HubLimits { tail_entries_max: 1, ..HubLimits::default() },
        ..NodeLimits::default()
    };
    let (engine, node) = slow_within(limits);
    write(&engine, &node, 12);
    let (mut ann, mut bob) = (reader(&engine, &node), reader(&engine, &node));
    let mut jobs = 0;
    loop {
        ann.drain(&node);
        bob.drain(&node);
        match engine.work() {
            0 => break,
            done => jobs += done,
        }
    }
    let all: Vec<u64> = (1..=12).collect();
    assert_eq!((ann.offsets(&node), bob.offsets(&node)), (all.clone(), all));
    assert!(jobs <= 8, "{jobs} jobs for two readers of few pages: pages are shared");
}

#[test]
fn log_rollback_is_gap_then_reads_from_head() {
    let (engine, mut node) = slow();
    write(&engine, &node, 2);
    let older = engine.logs.lock().expect("not poisoned").clone();
    let mut phone = reader(&engine, &node);
    write(&engine, &node, 3);
    while engine.work() > 0 {
        phone.drain(&node);
    }
    assert_eq!(phone.offsets(&node), [1, 2, 3, 4, 5]);
    *engine.logs.lock().expect("not poisoned") = older;
    node.advance(5);
    write(&engine, &node, 1);
    let gap = phone.hear_only(&node, "gap").pop().expect("a gap");
    assert_eq!(
        (&gap["reason"], &gap["after"], &gap["cursor"]["offset"]),
        (&json!("ahead"), &json!(5), &json!(3))
    );
    write(&engine, &node, 1);
    assert_eq!(phone.offsets(&node), [4]);
}

#[test]
fn draining_node_answers_running_requests_before_bye() {
    let (engine, node) = slow();
    let mut phone = node.guest();
    phone.hear(&node);
    phone.say(&node, publish(1, &json!("x")));
    phone.say(&node, json!({"id": 2, "call": {"method": "slow"}}));
    node.hub.drain(0);
    assert!(phone.hear(&node).is_empty(), "two requests are running");
    phone.say(&node, json!({"id": 3, "call": {"method": "late"}}));
    assert_eq!(phone.calls.len(), 1, "no new call starts");
    engine.work();
    phone.settle_calls(&node, &json!("done"));
    let heard = phone.hear(&node);
    assert_eq!((&heard[0]["id"], &heard[1]["id"]), (&json!(1), &json!(2)), "{heard:?}");
    assert_eq!(heard[2]["bye"]["code"], "server_restart");
    assert_eq!(phone.close, Some(4001));
}

#[test]
fn positions_survive_hub_restart() {
    let (engine, mut node) = slow();
    let hello = json!({"hello": {"v": 1, "auth": {"token": "…"}}});
    let mut phone = node.dial();
    phone.login = Ok(identity("u1", &[]));
    phone.say(&node, hello.clone());
    engine.work();
    node.publish_later("user:u1", &json!(1));
    node.publish_later("user:u1", &json!(2));
    engine.work();
    assert_eq!(phone.offsets(&node), [1, 2]);
    phone.say(&node, json!({"ping": {"acks": {"user:u1": {"epoch": "3", "offset": 1}}}}));
    node.advance(1_000);
    engine.work();
    let next = next_node(&engine);
    let mut new_phone = next.dial();
    new_phone.login = Ok(identity("u1", &[]));
    new_phone.say(&next, hello);
    while engine.work() > 0 {
        new_phone.drain(&next);
    }
    assert_eq!(new_phone.offsets(&next), [2]);
}

#[test]
fn next_node_repeats_idempotent_call_under_its_key() {
    let (engine, node) = slow();
    let mut phone = node.guest();
    let welcome = phone.welcome(&node);
    phone.say(&node, json!({"id": 1, "call": {"method": "count"}}));
    let first = phone.calls[0].key;
    let next = next_node(&engine);
    let mut back = next.dial();
    back.say(&next, resume(&welcome, 5, json!({})));
    back.say(&next, json!({"id": 1, "again": true, "call": {"method": "count"}}));
    assert_eq!(back.calls[0].key, first);
    back.say(&next, json!({"id": 2, "again": true, "call": {"method": "pay"}}));
    assert_eq!(back.calls.len(), 1, "any other method is in doubt");
}

#[test]
fn abandoned_pages_do_not_delay_other_readers() {
    let limits = HubLimits { pages_max: 4, tail_entries_max: 1, ..HubLimits::default() };
    let (engine, node) = slow_within(limits);
    let mut greedy = node.guest();
    greedy.say(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    engine.work();
    (1..=50).for_each(|n| node.publish_later("room:7", &json!(n)));
    engine.work();
    greedy.drain(&node);
    let subscribed = greedy.hear(&node).into_iter().find(|packet| packet["id"] == 1).expect("subscribed");
    for n in 0..40 {
        let from = json!({"epoch": subscribed["ok"]["epoch"], "offset": n});
        greedy.say(&node, json!({"id": n + 2, "subscribe": {"channel": "room:7", "from": from}}));
        engine.work();
        greedy.drain(&node);
    }
    let mut modest = reader(&engine, &node);
    engine.work();
    assert_eq!(modest.offsets(&node).len(), 50);
}

#[test]
fn greedy_publisher_gets_half_of_pending_append_bytes() {
    let (engine, mut node) = slow_within(HubLimits { appends_bytes_max: 256 * 1024, ..HubLimits::default() });
    let data = json!("x".repeat(8_000));
    let mut greedy = node.guest_at("6.6.6.6");
    (1..=40).for_each(|id| greedy.say(&node, publish(id, &data)));
    let refused = greedy.hear_only(&node, "error");
    assert_eq!(refused.len(), 40 - 15, "half of the unreserved part");
    assert!(refused.iter().all(|error| error["code"] == "overloaded" && error["retry_after_ms"] == 1000));
    for n in 0..1_000 {
        node.advance(u64::from(n % 4 == 0));
        let mut phone = node.guest_at(&format!("10.0.{}.{}", n / 250, n % 250));
        phone.say(&node, publish(1, &json!(1)));
        assert!(phone.hear_only(&node, "error").is_empty(), "guest {n}");
    }
    engine.work();
    greedy.say(&node, publish(41, &data));
    engine.work();
    assert_eq!(greedy.hear_only(&node, "ok").len(), 16, "there is room again");
}

#[test]
fn greedy_user_gets_half_of_position_budget() {
    let (engine, mut node) = slow_within(EngineLimits { acks_max: 80, ..EngineLimits::default() });
    let subscribe = |node: &Node, phone: &mut Phone, id: usize, channel: &str| {
        phone.say(node, json!({"id": id, "subscribe": {"channel": channel}}));
        engine.work();
        phone.drain(node);
    };
    let mut greedy = node.dial();
    greedy.login = Ok(identity("greedy", &[]));
    let hello = json!({"hello": {"v": 1, "auth": {"token": "…"}}});
    greedy.say(&node, hello.clone());
    engine.work();
    let mut acks = serde_json::Map::new();
    for n in 0..80 {
        let channel = format!("ack:{n}");
        subscribe(&node, &mut greedy, n + 1, &channel);
        acks.insert(channel, json!({"epoch": "3", "offset": 0}));
    }
    greedy.say(&node, json!({"ping": {"acks": acks}}));
    for n in 0..30 {
        node.now = node.now.plus_ms(1);
        let mut phone = node.dial();
        phone.login = Ok(identity(&format!("u{n}"), &[]));
        phone.say(&node, hello.clone());
        engine.work();
        subscribe(&node, &mut phone, 1, "ack:1");
        phone.say(&node, json!({"ping": {"acks": {"ack:1": {"epoch": "3", "offset": 0}}}}));
    }
    node.advance(1_000);
    assert_eq!(engine.updates(), 36 + 30, "half of the unreserved part, and all others");
}

#[test]
fn pages_of_departed_reader_are_freed_at_once() {
    let limits = HubLimits { pages_max: 1, tail_entries_max: 1, ..HubLimits::default() };
    let (engine, node) = slow_within(limits);
    write(&engine, &node, 50);
    for leave in ["unsubscribe", "hang up"] {
        let mut gone = reader(&engine, &node);
        engine.work();
        match leave {
            "unsubscribe" => {
                gone.peer.handle_message(node.now, r#"{"id":2,"unsubscribe":{"channel":"room:7"}}"#)
            }
            _ => gone.peer.handle_lost(node.now),
        }
        let mut modest = node.guest();
        // A different page from the departed reader's.
        let from = json!({"epoch": "3", "offset": 10});
        modest.say(&node, json!({"id": 1, "subscribe": {"channel": "room:7", "from": from}}));
        engine.work();
        modest.drain(&node);
        engine.work();
        assert_eq!(modest.offsets(&node).len(), 40, "{leave}");
        modest.peer.handle_lost(node.now);
    }
}

#[test]
fn bye_during_resume_lookup_voids_resume() {
    let (engine, node) = slow();
    let mut phone = node.guest();
    let welcome = phone.welcome(&node);
    let mut other = node.dial();
    other.say(&node, resume(&welcome, 5, json!({"room:8": {"epoch": "x", "offset": 1}})));
    assert!(other.hear(&node).is_empty(), "the lookup is still pending");
    phone.say(&node, json!({"bye": {}}));
    engine.work();
    assert_eq!(other.hear(&node)[0]["challenge"]["code"], "ticket_revoked");
    assert_eq!(node.hub.stats().sessions, 0, "the session is removed");
}

#[test]
fn bye_closes_after_revocation_is_saved() {
    let (engine, node) = slow();
    let mut phone = node.guest();
    let welcome = phone.welcome(&node);
    phone.say(&node, json!({"bye": {}}));
    assert_eq!(phone.close, None, "a crash could still undo it");
    engine.work();
    assert!(phone.was_woken());
    phone.drain(&node);
    assert_eq!(phone.close, Some(1000));
    let node = next_node(&engine);
    let mut thief = node.dial();
    thief.say(&node, resume(&welcome, 5, json!({})));
    assert_eq!(thief.hear(&node)[0]["challenge"]["code"], "ticket_revoked");
}

#[test]
fn bye_closes_when_revocation_cannot_be_saved() {
    for silent in [false, true] {
        let (engine, mut node) = slow();
        let mut phone = node.guest();
        let welcome = phone.welcome(&node);
        phone.say(&node, json!({"bye": {}}));
        if silent {
            node.advance(node.hub.limits().silence_ms());
            phone.peer.handle_timeout(node.now);
        } else {
            engine.fail(&EngineError::Full("no room".to_owned()));
        }
        phone.drain(&node);
        assert_eq!(phone.close, Some(1000), "silent: {silent}");
        let mut again = node.dial();
        again.say(&node, resume(&welcome, 5, json!({})));
        assert_eq!(again.hear(&node)[0]["challenge"]["code"], "ticket_revoked", "this node knows it");
    }
}

/// So that an engine whose jobs wait lets holders take turns, and one address does not hold up what others ask.
#[test]
fn what_an_address_asks_is_asked_for_it() {
    let (engine, node) = slow();
    let address = node.hub.holder(b"6.6.6.6");
    let mut phone = node.dial_from("6.6.6.6");
    let cursors = json!({"room:7": {"epoch": "e", "offset": 1}, "room:8": {"epoch": "e", "offset": 1}});
    let resume = json!({"ticket": "none", "attempt": 1, "cursors": cursors});
    phone.enter(&node, json!({"hello": {"v": 1, "auth": {"guest": true}, "resume": resume}}));
    assert_eq!(engine.holders(), [address, address], "looks of a hello");
    engine.work();
    phone.say(&node, json!({"id": 1, "subscribe": {"channel": "room:9"}}));
    assert_eq!(engine.holders(), [address]);
    engine.work();
    phone.say(&node, json!({"id": 2, "history": {"channel": "room:7"}}));
    assert_eq!(engine.holders(), [address]);
    engine.work();
    phone.say(&node, publish(3, &json!(3)));
    assert_eq!(engine.holders(), [address]);
    engine.work();
}

/// The welcome of a session that is resumed while the engine is slow and `meanwhile` happens.
fn resumed_while(engine: &SlowEngine, node: &Node, phone: Phone, meanwhile: impl FnOnce(&str)) -> Value {
    let mut phone = phone;
    engine.work();
    let welcome = phone.welcome(node);
    drop(phone);
    let mut back = node.dial();
    // Its own channel is in memory no more, so that the engine is asked.
    let cursors = json!({"room:1": {"epoch": "k1", "offset": 9}, "secret:1": {"epoch": "k1", "offset": 9}});
    back.say(node, resume(&welcome, 2, cursors));
    meanwhile(welcome["session"].as_str().expect("a session"));
    while engine.work() > 0 {
        back.drain(node);
    }
    back.welcome(node)
}

#[test]
fn channel_of_the_login_since_the_lookup_is_looked_up() {
    let (engine, node) = slow();
    let phone = node.user("u1", &[]);
    let welcome = resumed_while(&engine, &node, phone, |session| {
        let subscribe = ControlMessage::Subscribe {
            target: Target::Session(session.to_owned()),
            channel: ChannelName::parse("room:new").expect("valid"),
        };
        assert_eq!(node.hub.on_control(node.now, &subscribe), 1);
    });
    assert_eq!(welcome["subs"], json!(["room:new"]), "{welcome}");
    assert!(welcome["channels"]["room:new"]["epoch"].is_string(), "{welcome}");
}

#[test]
fn channel_permitted_since_the_lookup_is_no_final_refusal() {
    let (engine, node) = slow();
    let phone = node.user("u1", &[]);
    let welcome = resumed_while(&engine, &node, phone, |_| {
        let pattern = RulePattern::parse("secret:*").expect("valid");
        let open = ChannelRule { subscribe: Access::Any, ..ChannelRule::closed(pattern) };
        let rest = RulePattern::parse("*").expect("valid");
        let rest = ChannelRule { subscribe: Access::Any, ..ChannelRule::closed(rest) };
        node.hub.set_rules(vec![open, rest]);
    });
    assert!(welcome["channels"]["room:1"]["epoch"].is_string(), "{welcome}");
    assert!(welcome["channels"]["secret:1"]["epoch"].is_string(), "{welcome}");
}

#[test]
fn channels_beyond_the_limit_are_refused_for_good() {
    let limits = Limits { channels_max: 2, ..Limits::default() };
    let (engine, node) = slow_within(NodeLimits { protocol: limits, ..NodeLimits::default() });
    let phone = node.user("u1", &[]);
    let welcome = resumed_while(&engine, &node, phone, |_| {
        let rest = RulePattern::parse("*").expect("valid");
        node.hub.set_rules(vec![ChannelRule { subscribe: Access::Any, ..ChannelRule::closed(rest) }]);
    });
    assert_eq!(welcome["channels"]["secret:1"]["error"]["code"], "limit", "{welcome}");
}
