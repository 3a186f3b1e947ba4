//! Questions to the app's back end: a request that waits for an answer holds up nothing else.

use std::sync::Arc;

use crate::common::{Node, Phone, identity, resume, slow::SlowEngine};
use serde_json::{Value, json, value::to_raw_value};
use tautline_engine::{Engine, MemoryEngine, Retention};
use tautline_hub::{Authorization, Disconnect, HubLimits, LoginRefused, NodeLimits, Output, Permission};
use tautline_protocol::{ByeCode, ErrorCode, Limits};

fn publish(id: u64, channel: &str, data: Value) -> Value {
    json!({"id": id, "publish": {"channel": channel, "data": data}})
}

fn subscribe(id: u64, channel: &str) -> Value {
    json!({"id": id, "subscribe": {"channel": channel, "from": "start"}})
}

/// The ids of the replies since the last call.
fn replied(phone: &mut Phone, node: &Node) -> Vec<u64> {
    phone.hear(node).iter().filter_map(|packet| packet["id"].as_u64()).collect()
}

/// The data of the publications in a channel's log.
fn log(node: &Node, channel: &str) -> Vec<Value> {
    let mut reader = node.user("reader", &[]);
    reader.say(node, json!({"id": 1, "history": {"channel": channel, "after": "start"}}));
    reader.decide(node, Authorization::ALLOW);
    let reply = reader.hear(node).into_iter().find(|packet| packet["id"] == 1).expect("a reply");
    let publications = reply["ok"]["publications"].as_array().expect("a list").iter();
    publications.map(|publication| publication["data"].clone()).collect()
}

#[test]
fn waiting_publish_holds_up_nothing_else() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    phone.say(&node, publish(1, "asks:1", json!("waits")));
    assert_eq!(phone.questions.len(), 1);
    phone.hear(&node);
    phone.say(&node, publish(2, "room:7", json!("goes on")));
    phone.say(&node, subscribe(3, "room:8"));
    phone.say(&node, json!({"id": 4, "call": {"method": "m"}}));
    phone.say(&node, json!({"ping": {}}));
    phone.settle_calls(&node, &json!(1));
    let heard = phone.hear(&node);
    let ids: Vec<_> = heard.iter().filter_map(|packet| packet["id"].as_u64()).collect();
    assert_eq!(ids, [2, 3, 4]);
    assert!(heard.iter().any(|packet| packet.get("pong").is_some()));
    let question = phone.decide(&node, Authorization::ALLOW);
    assert_eq!((question.channel.as_str(), question.permission), ("asks:1", Permission::Publish));
    assert_eq!(question.data.expect("the payload").get(), "\"waits\"");
    assert_eq!(question.identity.user.as_ref().expect("a user").as_str(), "u1");
    assert_eq!(replied(&mut phone, &node), [1]);
}

#[test]
fn every_permission_is_asked_for_by_name() {
    let node = Node::new();
    let mut phone = node.guest();
    let asks = [
        (subscribe(1, "each:1"), Permission::Subscribe),
        (publish(2, "each:2", json!(1)), Permission::Publish),
        (json!({"id": 3, "history": {"channel": "each:3"}}), Permission::History),
        (json!({"id": 4, "presence": {"channel": "each:4"}}), Permission::Presence),
    ];
    for (packet, permission) in asks {
        let id = packet["id"].as_u64().expect("a number");
        phone.say(&node, packet);
        assert!(!replied(&mut phone, &node).contains(&id));
        let denied = Authorization::Deny { code: ErrorCode::from("not_paid"), message: "pay first".into() };
        assert_eq!(phone.decide(&node, denied).permission, permission);
        let reply = phone.hear(&node).pop().expect("a reply");
        assert_eq!(reply, json!({"id": id, "error": {"code": "not_paid", "message": "pay first"}}));
    }
}

#[test]
fn permitted_subscriber_reads_history_and_presence_unasked() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    phone.say(&node, subscribe(1, "asks:1"));
    phone.decide(&node, Authorization::ALLOW);
    let history = phone.ask(&node, json!({"id": 2, "history": {"channel": "asks:1"}}));
    let presence = phone.ask(&node, json!({"id": 3, "presence": {"channel": "asks:1"}}));
    assert!(history["ok"].is_object() && presence["ok"]["count"] == 1, "{history} {presence}");
    phone.say(&node, publish(4, "asks:1", json!(1)));
    assert_eq!(phone.questions.len(), 1, "publishing is another permission");
}

#[test]
fn swapped_answers_keep_order_within_a_channel() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    for id in 1..=3 {
        phone.say(&node, publish(id, "asks:1", json!(id)));
    }
    phone.say(&node, publish(4, "asks:2", json!(4)));
    phone.hear(&node);
    for at in [3, 2, 1] {
        phone.questions.remove(at).1.answer(Authorization::ALLOW);
    }
    assert_eq!(replied(&mut phone, &node), [4], "another channel does not wait");
    phone.decide(&node, Authorization::deny("no"));
    assert_eq!(replied(&mut phone, &node), [1, 2, 3]);
    assert_eq!(log(&node, "asks:1"), [json!(2), json!(3)], "the denied one is not stored");
}

#[test]
fn requests_to_one_channel_take_effect_in_order() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    phone.say(&node, subscribe(1, "asks:1"));
    phone.say(&node, json!({"id": 2, "unsubscribe": {"channel": "asks:1"}}));
    assert!(!replied(&mut phone, &node).contains(&2), "it is behind the `subscribe`");
    phone.decide(&node, Authorization::ALLOW);
    assert_eq!(replied(&mut phone, &node), [1, 2]);
    node.publish("asks:1", &json!("unheard"));
    assert_eq!(phone.hear(&node), Vec::<Value>::new());
}

#[test]
fn unsubscribe_waits_for_subscribe_at_slow_engine() {
    let engine = SlowEngine::new(&NodeLimits::default());
    let node = Node::on(Arc::clone(&engine) as _, NodeLimits::default(), Retention::default(), 7);
    let mut phone = node.guest();
    phone.say(&node, subscribe(1, "asks:1"));
    phone.say(&node, json!({"id": 2, "unsubscribe": {"channel": "asks:1"}}));
    phone.hear(&node);
    phone.decide(&node, Authorization::ALLOW);
    assert_eq!(replied(&mut phone, &node), [0_u64; 0], "the engine has not answered the `subscribe`");
    engine.work();
    assert_eq!(replied(&mut phone, &node), [1, 2]);
    node.publish_later("asks:1", &json!("unheard"));
    engine.work();
    while node.hub.pump() {}
    assert_eq!(phone.hear(&node), Vec::<Value>::new());
}

#[test]
fn denied_subscribe_ends_running_subscription() {
    let node = Node::new();
    let mut phone = node.guest();
    phone.say(&node, subscribe(1, "asks:1"));
    phone.decide(&node, Authorization::Allow { valid_ms: Some(0) });
    assert_eq!(replied(&mut phone, &node), [1]);
    phone.say(&node, subscribe(2, "asks:1"));
    phone.decide(&node, Authorization::deny("no more"));
    assert_eq!(replied(&mut phone, &node), [2]);
    node.publish("asks:1", &json!("unheard"));
    assert_eq!(phone.hear(&node), Vec::<Value>::new());
}

#[test]
fn drain_refuses_waiting_publish_before_bye() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    phone.say(&node, publish(1, "asks:1", json!(1)));
    node.hub.drain(0);
    phone.hear(&node);
    phone.decide(&node, Authorization::deny("no"));
    let heard = phone.hear(&node);
    assert!(heard[0]["error"].is_object() && heard[1]["bye"]["code"] == "server_restart", "{heard:?}");
}

#[test]
fn dropped_reply_is_unavailable_with_a_delay() {
    let node = Node::new();
    let mut phone = node.guest();
    phone.say(&node, subscribe(1, "asks:1"));
    phone.hear(&node);
    drop(phone.questions.pop());
    assert!(phone.was_woken());
    let reply = phone.hear(&node).pop().expect("a reply");
    assert_eq!((&reply["id"], &reply["error"]["code"]), (&json!(1), &json!("unavailable")));
    assert!(reply["error"]["retry_after_ms"].as_u64().expect("a delay") > 0);
    phone.say(&node, publish(2, "asks:1", json!(1)));
    let later = Authorization::Unavailable { message: "later".into(), retry_after_ms: Some(7) };
    phone.decide(&node, later);
    assert_eq!(phone.hear(&node).pop().expect("a reply")["error"]["retry_after_ms"], 7);
}

#[test]
fn dropped_login_reply_closes_as_overloaded() {
    let node = Node::new();
    let mut phone = node.dial();
    phone.peer.handle_message(node.now, &json!({"hello": {"v": 1, "auth": {"token": "…"}}}).to_string());
    let Some(Output::Authenticate(question, reply)) = phone.peer.poll_output(node.now) else {
        panic!("a question");
    };
    assert!(!phone.peer.wants_input());
    drop((question, reply));
    let bye = phone.bye(&node);
    assert_eq!((&bye["code"], &bye["reconnect"]), (&json!("overloaded"), &json!("later")));
}

#[test]
fn answer_with_a_time_holds_until_then() {
    let mut node = Node::new();
    let mut phone = node.guest();
    phone.say(&node, publish(1, "asks:1", json!(1)));
    phone.decide(&node, Authorization::Allow { valid_ms: Some(1_000) });
    node.advance(999);
    phone.say(&node, publish(2, "asks:1", json!(2)));
    assert_eq!(phone.questions.len(), 0, "the answer still holds");
    phone.say(&node, publish(3, "asks:2", json!(3)));
    phone.say(&node, json!({"id": 4, "history": {"channel": "asks:1"}}));
    assert_eq!(phone.questions.len(), 2, "for this channel and this permission only");
    node.advance(1);
    phone.say(&node, publish(5, "asks:1", json!(5)));
    assert_eq!(phone.questions.len(), 3);
}

#[test]
fn permission_without_a_time_is_for_one_publish() {
    let node = Node::new();
    let mut phone = node.guest();
    for id in 1..=2 {
        phone.say(&node, publish(id, "asks:1", json!(id)));
        phone.decide(&node, Authorization::ALLOW);
    }
    assert_eq!(log(&node, "asks:1").len(), 2);
}

#[test]
fn resumed_subscription_is_not_asked_about_again() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    let welcome = phone.welcome(&node);
    phone.say(&node, subscribe(1, "asks:1"));
    phone.decide(&node, Authorization::ALLOW);
    let epoch = phone.hear(&node).pop().expect("a reply")["ok"]["epoch"].clone();
    phone.peer.handle_lost(node.now);
    node.publish("asks:1", &json!("missed"));
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({"asks:1": {"epoch": epoch, "offset": 0}})));
    assert_eq!(back.questions.len(), 0);
    let heard = back.hear(&node);
    assert_eq!(heard[0]["welcome"]["channels"]["asks:1"]["recovering"], 1);
    assert!(heard.iter().any(|packet| packet["pub"]["data"] == "missed"));
    back.say(&node, json!({"id": 2, "unsubscribe": {"channel": "asks:1"}}));
    back.say(&node, subscribe(3, "asks:1"));
    assert_eq!(back.questions.len(), 1, "the permission was for the life of the subscription");
}

#[test]
fn welcome_does_not_wait_for_the_back_end() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    let welcome = phone.welcome(&node);
    phone.peer.handle_lost(node.now);
    let mut back = node.dial();
    let cursor = json!({"epoch": "e", "offset": 0});
    back.say(&node, resume(&welcome, 5, json!({"asks:1": cursor, "room:7": cursor, "closed:1": cursor})));
    let channels = back.welcome(&node)["channels"].clone();
    assert!(channels.get("asks:1").is_none(), "left out, so the client subscribes to it");
    assert!(channels["room:7"].get("epoch").is_some());
    assert_eq!(channels["closed:1"]["error"]["code"], "permission_denied");
}

#[test]
fn publish_of_a_lost_connection_may_be_sent_again() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    let welcome = phone.welcome(&node);
    phone.say(&node, publish(1, "asks:1", json!("once")));
    phone.peer.handle_lost(node.now);
    phone.decide(&node, Authorization::ALLOW);
    assert_eq!(node.hub.stats().publications, 0, "the answer comes too late");
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({})));
    back.say(&node, json!({"id": 1, "again": true, "publish": {"channel": "asks:1", "data": "once"}}));
    back.hear(&node);
    back.decide(&node, Authorization::ALLOW);
    assert_eq!(replied(&mut back, &node), [1]);
    assert_eq!(log(&node, "asks:1"), [json!("once")]);
    assert_eq!(node.hub.stats().append_bytes, 0);
}

#[test]
fn newer_connection_is_told_when_the_older_gives_up() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    let welcome = phone.welcome(&node);
    phone.say(&node, publish(1, "asks:1", json!("lost")));
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({})));
    back.say(&node, json!({"id": 1, "again": true, "publish": {"channel": "asks:1", "data": "lost"}}));
    back.hear(&node);
    phone.decide(&node, Authorization::ALLOW);
    let reply = back.hear(&node).pop().expect("a reply");
    assert_eq!((&reply["id"], &reply["error"]["code"]), (&json!(1), &json!("unavailable")));
    assert_eq!(phone.bye(&node)["code"], "taken_over");
    assert_eq!(log(&node, "asks:1"), Vec::<Value>::new());
}

#[test]
fn requests_beyond_the_limit_are_not_read() {
    let node = Node::with(Limits { questions_connection_max: 2, ..Limits::default() }, Retention::default());
    let mut phone = node.guest();
    for id in 1..=2 {
        phone.say(&node, publish(id, "asks:1", json!(id)));
    }
    phone.say(&node, json!({"id": 3, "call": {"method": "m"}}));
    assert_eq!((phone.calls.len(), phone.peer.wants_input()), (1, true), "calls go on");
    phone.say(&node, publish(4, "asks:2", json!(4)));
    assert_eq!((phone.questions.len(), phone.peer.wants_input()), (2, false));
    phone.decide(&node, Authorization::ALLOW);
    assert_eq!((phone.questions.len(), phone.peer.wants_input()), (2, true));
}

#[test]
fn held_publications_count_as_unfinished_appends() {
    let node =
        Node::with(HubLimits { appends_bytes_max: 4_000, ..HubLimits::default() }, Retention::default());
    let mut phone = node.user("u1", &[]);
    phone.say(&node, publish(1, "asks:1", json!("x".repeat(1_000))));
    assert!(node.hub.stats().append_bytes >= 1_000);
    phone.hear(&node);
    let full = phone.ask(&node, publish(2, "asks:1", json!("x".repeat(3_000))));
    assert_eq!(full["error"]["code"], "overloaded");
    phone.decide(&node, Authorization::ALLOW);
    assert_eq!((node.hub.stats().append_bytes, node.hub.stats().publications), (0, 1));
}

#[test]
fn drain_answers_waiting_publish_before_bye() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    phone.say(&node, publish(1, "asks:1", json!(1)));
    node.hub.drain(0);
    phone.hear(&node);
    phone.decide(&node, Authorization::ALLOW);
    let heard = phone.hear(&node);
    assert!(heard[0]["ok"].is_object() && heard[1]["bye"]["code"] == "server_restart", "{heard:?}");
}

#[test]
fn refreshed_token_keeps_what_the_back_end_permitted() {
    let node = Node::new();
    let mut phone = node.user("u1", &["secret:1"]);
    phone.say(&node, subscribe(1, "asks:1"));
    phone.decide(&node, Authorization::ALLOW);
    phone.say(&node, subscribe(2, "secret:1"));
    phone.hear(&node);
    phone.login = Ok(identity("u1", &[]));
    phone.say(&node, json!({"id": 3, "auth": {"token": "…"}}));
    let ended = phone.hear_only(&node, "unsubscribed");
    assert_eq!(ended.iter().map(|it| &it["channel"]).collect::<Vec<_>>(), [&json!("secret:1")]);
}

#[test]
fn denied_repetition_after_a_restart_is_in_doubt() {
    let limits = NodeLimits::default();
    let engine = Arc::new(MemoryEngine::new(7, &limits.engine, limits.protocol.ticket_ms));
    let start = |seed| {
        Node::on(Arc::clone(&engine) as Arc<dyn Engine>, NodeLimits::default(), Retention::default(), seed)
    };
    let node = start(7);
    let mut phone = node.user("u1", &[]);
    let welcome = phone.welcome(&node);
    phone.say(&node, publish(1, "asks:1", json!("once")));
    phone.decide(&node, Authorization::ALLOW);
    let node = start(8);
    let mut back = node.dial();
    back.say(&node, resume(&welcome, 5, json!({})));
    back.hear(&node);
    back.say(&node, json!({"id": 1, "again": true, "publish": {"channel": "asks:1", "data": "once"}}));
    back.decide(&node, Authorization::deny("not any more"));
    assert_eq!(back.hear(&node).pop().expect("a reply")["error"]["code"], "in_doubt");
}

/// The back end puts this in the place of a publication.
fn rewrite(data: &Value, tags: Option<Value>) -> Authorization {
    let raw = |value: &Value| to_raw_value(value).expect("it is JSON");
    Authorization::Rewrite { data: Some(raw(data)), tags: tags.as_ref().map(raw) }
}

#[test]
fn rewritten_publication_is_what_the_log_has() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    phone.say(&node, publish(1, "asks:1", json!("hi")));
    phone.decide(&node, rewrite(&json!({"said": "hi"}), Some(json!({"by": "shop"}))));
    assert_eq!(replied(&mut phone, &node), [1]);
    phone.say(&node, subscribe(2, "asks:1"));
    phone.decide(&node, Authorization::ALLOW);
    let publication = phone.hear_only(&node, "pub").pop().expect("a publication");
    assert_eq!(publication["data"], json!({"said": "hi"}));
    assert_eq!((&publication["tags"], &publication["from"]), (&json!({"by": "shop"}), &json!("u1")));
}

#[test]
fn rewritten_publication_that_is_unfit_is_refused() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    let deep = (0..63).fold(json!(1), |inner, _| json!([inner]));
    let large = json!("x".repeat(node.hub.limits().message_bytes_max));
    for (id, unfit, code) in [
        (1, rewrite(&deep, None), "internal"),
        (2, rewrite(&json!(1), Some(json!(7))), "internal"),
        (3, rewrite(&large, None), "too_large"),
    ] {
        phone.say(&node, publish(id, "asks:1", json!("hi")));
        phone.decide(&node, unfit);
        let reply = phone.hear(&node).into_iter().find(|packet| packet["id"] == id).expect("a reply");
        assert_eq!(reply["error"]["code"], code, "{reply}");
    }
    assert_eq!(log(&node, "asks:1"), Vec::<Value>::new());
}

#[test]
fn skipped_publication_is_answered_and_not_appended() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    phone.say(&node, publish(1, "asks:1", json!("hi")));
    phone.decide(&node, Authorization::Skip);
    let reply = phone.hear(&node).into_iter().find(|packet| packet["id"] == 1).expect("a reply");
    assert_eq!((&reply["ok"]["offset"], &reply["ok"]["epoch"]), (&json!(0), &json!("")));
    assert_eq!(log(&node, "asks:1"), Vec::<Value>::new());
}

#[test]
fn subscribe_is_not_permitted_by_answers_to_a_publish() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    for (id, answer) in [(1, rewrite(&json!(1), None)), (2, Authorization::Skip)] {
        phone.say(&node, subscribe(id, "asks:1"));
        phone.decide(&node, answer);
        let reply = phone.hear(&node).into_iter().find(|packet| packet["id"] == id).expect("a reply");
        assert_eq!(reply["error"]["code"], "internal", "{reply}");
    }
}

#[test]
fn disconnect_ends_the_connection_and_the_publish() {
    for (code, close) in [(ByeCode::Kicked, 4103), (ByeCode::TokenExpired, 4101)] {
        let node = Node::new();
        let mut phone = node.user("u1", &[]);
        phone.say(&node, publish(1, "asks:1", json!("hi")));
        phone.decide(&node, disconnect(code));
        assert_eq!(phone.bye(&node)["message"], "not here");
        assert_eq!(phone.close, Some(close));
        assert_eq!(node.hub.stats().sessions, usize::from(code != ByeCode::Kicked));
        assert_eq!(log(&node, "asks:1"), Vec::<Value>::new());
    }
}

fn disconnect(code: ByeCode) -> Authorization {
    Authorization::Disconnect(Disconnect { code, message: "not here".into() })
}

#[test]
fn publish_answered_by_disconnect_is_not_asked_again() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    let welcome = phone.welcome(&node);
    phone.say(&node, publish(1, "asks:1", json!("hi")));
    phone.decide(&node, disconnect(ByeCode::TokenExpired));
    let heard = phone.hear(&node);
    assert_eq!(heard[0]["error"]["code"], "permission_denied", "{heard:?}");
    assert_eq!(heard[1]["bye"]["code"], "token_expired", "{heard:?}");
    // The reply was lost, and the client has logged in again.
    let mut back = node.dial();
    back.login = Ok(identity("u1", &[]));
    let mut hello = resume(&welcome, 2, json!({}));
    hello["hello"]["auth"] = json!({"token": "new"});
    back.enter(&node, hello);
    let again = json!({"id": 1, "again": true, "publish": {"channel": "asks:1", "data": "hi"}});
    assert_eq!(back.ask(&node, again)["error"]["code"], "permission_denied");
    assert_eq!(back.questions.len(), 0, "the back end has answered");
}

#[test]
fn every_kind_of_request_is_settled_by_disconnect() {
    for request in [
        subscribe(1, "each:1"),
        publish(1, "each:1", json!(1)),
        json!({"id": 1, "history": {"channel": "each:1"}}),
        json!({"id": 1, "presence": {"channel": "each:1"}}),
    ] {
        let node = Node::new();
        let mut phone = node.user("u1", &[]);
        phone.say(&node, request.clone());
        phone.decide(&node, disconnect(ByeCode::TokenExpired));
        let heard = phone.hear(&node);
        let replies = heard.iter().filter(|packet| packet["id"] == 1).count();
        assert_eq!((replies, phone.close), (1, Some(4101)), "{request}: {heard:?}");
    }
}

#[test]
fn disconnect_of_later_publish_leaves_earlier_one_open() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    let welcome = phone.welcome(&node);
    phone.say(&node, publish(1, "asks:1", json!("first")));
    phone.say(&node, publish(2, "asks:1", json!("second")));
    let (_, first) = phone.questions.remove(0);
    phone.decide(&node, disconnect(ByeCode::TokenExpired));
    assert_eq!(replied(&mut phone, &node), [2]);
    first.answer(Authorization::ALLOW);
    let mut back = node.dial();
    back.enter(&node, resume(&welcome, 2, json!({})));
    back.say(&node, json!({"id": 1, "again": true, "publish": {"channel": "asks:1", "data": "first"}}));
    back.decide(&node, Authorization::ALLOW);
    assert_eq!(log(&node, "asks:1"), [json!("first")], "and it is executed once");
}

#[test]
fn refused_refresh_may_end_the_connection() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    let kick = Disconnect { code: ByeCode::Kicked, message: "not here".into() };
    phone.login = Err(LoginRefused::Disconnect(kick));
    phone.say(&node, json!({"id": 1, "auth": {"token": "new"}}));
    let heard = phone.hear(&node);
    assert!(heard.iter().any(|packet| packet["error"]["code"] == "permission_denied"), "{heard:?}");
    assert_eq!((phone.close, node.hub.stats().sessions), (Some(4103), 0));
    let mut new = node.dial();
    new.login = phone.login.clone();
    new.enter(&node, json!({"hello": {"v": 1, "auth": {"token": "new"}}}));
    assert_eq!(new.bye(&node)["code"], "unauthorized");
}

#[test]
fn login_is_refreshed_by_a_code_in_its_session() {
    let node = Node::new();
    let mut phone = node.user("u1", &[]);
    let code = |id: u64| json!({"id": id, "auth": {"code": "c", "provider": "wechat"}});
    assert!(phone.ask(&node, code(1))["ok"]["ticket"].is_string());
    phone.login = Ok(identity("u2", &[]));
    assert_eq!(phone.ask(&node, code(2))["error"]["code"], "permission_denied");
    assert_eq!(node.hub.stats().sessions, 1);
}

#[test]
fn all_questions_name_the_software_of_the_client() {
    let node = Node::new();
    let mut phone = node.dial();
    phone.login = Ok(identity("u1", &[]));
    let client = json!({"sdk": "js/1", "platform": "wechat", "version": "8.0"});
    phone.enter(&node, json!({"hello": {"v": 1, "auth": {"token": "t"}, "client": client}}));
    phone.say(&node, publish(1, "asks:1", json!(1)));
    phone.say(&node, json!({"id": 2, "call": {"method": "sum"}}));
    let asked = phone.decide(&node, Authorization::ALLOW).client.expect("it said so");
    let called = phone.calls[0].client.clone().expect("it said so");
    assert_eq!((&*asked.sdk, &*asked.platform), ("js/1", "wechat"));
    assert_eq!(asked, called);
    phone.peer.handle_message(node.now, r#"{"id":3,"auth":{"token":"new"}}"#);
    while let Some(output) = phone.peer.poll_output(node.now) {
        if let Output::Authenticate(question, reply) = output {
            assert_eq!(question.client, Some(asked), "a refresh, too");
            return reply.answer(Ok(identity("u1", &[])));
        }
    }
    panic!("no question");
}
