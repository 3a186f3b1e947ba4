//! Events in their logs: what happens is written down, in order, once, and survives a restart.

use std::sync::{Arc, mpsc};

use serde_json::{Value, json};
use tautline_engine::{Engine, EngineError};
use tautline_hub::{
    Ban, BanSubject, CallKey, EventLogConfig, EventPage, EventSet, EventsConfig, HubLimits, InvalidEvents,
    MemoryEngine, NodeLimits, PublishOptions, Retention, Target,
};
use tautline_protocol::{ChannelName, Pattern, TraceId};

use crate::common::{Node, Phone, identity, resume, slow::SlowEngine};

pub const KEPT: Retention = Retention { count: 1_000_000, bytes: usize::MAX, age_ms: u64::MAX };
pub const PARK_MS: u64 = 120_000;

pub fn log(name: &str, events: &[&str], channels: &[&str]) -> EventLogConfig {
    let events = events.iter().map(|pattern| EventSet::parse(pattern).expect("it names some"));
    EventLogConfig {
        name: name.to_owned(),
        events: events.fold(EventSet::default(), EventSet::union),
        channels: channels.iter().map(|pattern| Pattern::parse(pattern).expect("valid")).collect(),
        retention: KEPT,
    }
}

pub fn recording(node: Node, logs: Vec<EventLogConfig>) -> Node {
    node.hub.record_events(node.now, &EventsConfig { logs }).expect("valid");
    node
}

/// A node that records these kinds of events of all channels in the log `all`.
fn node(events: &[&str]) -> Node {
    recording(Node::new(), vec![log("all", events, &["*", "user:*"])])
}

fn page(node: &Node, name: &str, after: u64) -> EventPage {
    while node.hub.pump() {}
    let (done, page) = mpsc::channel();
    let log = node.hub.event_log(name).expect("recorded");
    log.read(node.now, after, (10_000, usize::MAX), move |page| drop(done.send(page)));
    page.try_recv().expect("answered at once").expect("read")
}

/// The bodies of all events of a log.
fn events(node: &Node, name: &str) -> Vec<Value> {
    let page = page(node, name, 0);
    page.events.iter().map(|event| serde_json::from_str(&event.body).expect("json")).collect()
}

pub fn kinds(node: &Node) -> Vec<String> {
    let events = events(node, "all");
    events.iter().map(|event| event["type"].as_str().expect("a type").to_owned()).collect()
}

fn subscribe(phone: &mut Phone, node: &Node, channel: &str) {
    let reply = phone.ask(node, json!({"id": 1, "subscribe": {"channel": channel}}));
    assert!(reply.get("ok").is_some(), "{reply}");
}

#[test]
fn session_events_tell_a_life_in_order() {
    let mut node = node(&["session.*"]);
    let mut ann = node.user("ann", &[]);
    let welcome = ann.welcome(&node);
    ann.peer.handle_lost(node.now);
    node.advance(3_000);
    let mut again = node.dial();
    again.say(&node, resume(&welcome, 1, json!({})));
    again.say(&node, json!({"bye": {}}));
    let events = events(&node, "all");
    let of = |event: &Value| {
        (event["type"].clone(), event["data"]["cause"].clone(), event["data"]["offline_ms"].clone())
    };
    let all: Vec<_> = events.iter().map(of).collect();
    assert_eq!(
        all,
        [
            (json!("session.opened"), json!(null), json!(null)),
            (json!("session.away"), json!("disconnected"), json!(null)),
            (json!("session.resumed"), json!(null), json!(3_000)),
            (json!("session.closed"), json!("bye"), json!(null)),
        ]
    );
    for event in &events {
        assert_eq!(event["data"]["session"], welcome["session"]);
        assert_eq!((&event["data"]["user"], &event["data"]["node"]), (&json!("ann"), &json!("n1")));
    }
}

#[test]
fn every_end_of_a_session_has_its_cause() {
    let mut node = node(&["session.closed"]);
    let (kicked, banned) = (node.user("kim", &[]), node.user("bob", &[]));
    let mut expired = node.guest();
    node.hub.control().kick(
        node.now,
        Target::User(identity("kim", &[]).user.expect("a user")),
        "away with you",
    );
    let bob = BanSubject::User(identity("bob", &[]).user.expect("a user"));
    let ban = Ban { subject: bob, until: u64::MAX >> 1, reason: "part of the test".into() };
    node.hub.control().ban(node.now, ban, drop);
    expired.peer.handle_lost(node.now);
    node.advance(PARK_MS);
    let causes: Vec<_> = events(&node, "all").iter().map(|event| event["data"]["cause"].clone()).collect();
    assert_eq!(causes, ["kicked", "banned", "expired"]);
    assert_eq!(events(&node, "all")[2]["data"]["offline_ms"], PARK_MS);
    drop((kicked, banned));
}

#[test]
fn refused_hello_leaves_no_session_event() {
    let node = node(&["session.*"]);
    node.hub.drain(0);
    let mut phone = node.dial();
    phone.say(&node, json!({"hello": {"v": 1, "auth": {"guest": true}}}));
    assert_eq!(kinds(&node), [""; 0]);
}

#[test]
fn refused_resume_does_not_close_the_session_of_a_killed_node() {
    let limits = NodeLimits::default();
    let engine = Arc::new(MemoryEngine::new(7, &limits.engine, limits.protocol.ticket_ms));
    let first = restart(&engine, 1, 0);
    let ann = first.user("ann", &[]).welcome(&first);
    while first.hub.pump() {}
    std::mem::forget(first);

    let second = restart(&engine, 2, 5_000);
    second.hub.drain(0);
    let mut phone = second.dial();
    phone.say(&second, resume(&ann, 1, json!({})));
    second.hub.reopen();
    phone = second.dial();
    phone.say(&second, resume(&ann, 2, json!({})));
    assert_eq!(kinds(&second).last().map(String::as_str), Some("session.resumed"));
    assert!(!kinds(&second).contains(&"session.closed".to_owned()));
}

#[test]
fn channel_is_occupied_once_and_vacated_once() {
    let node = node(&["channel.*"]);
    let (mut ann, mut bob) = (node.guest(), node.guest());
    subscribe(&mut ann, &node, "room:7");
    subscribe(&mut bob, &node, "room:7");
    ann.peer.handle_lost(node.now);
    bob.ask(&node, json!({"id": 2, "unsubscribe": {"channel": "room:7"}}));
    subscribe(&mut bob, &node, "room:7");
    assert_eq!(kinds(&node), ["channel.occupied", "channel.vacated", "channel.occupied"]);
    assert_eq!(events(&node, "all")[1]["data"], json!({"channel": "room:7", "node": "n1"}));
}

#[test]
fn publications_are_recorded_by_pattern_and_in_order() {
    let logs = vec![
        log("rooms", &["message.published"], &["room:*"]),
        log("everything", &["message.published"], &["*"]),
        log("inboxes", &["message.published"], &["user:*"]),
    ];
    let node = recording(Node::new(), logs);
    for (n, channel) in ["room:7", "news", "user:ann", "room:7"].into_iter().enumerate() {
        node.publish_later(channel, &json!(n));
    }
    let of = |name| events(&node, name).iter().map(|event| event["data"]["data"].clone()).collect::<Vec<_>>();
    assert_eq!(of("rooms"), [json!(0), json!(3)]);
    assert_eq!(of("everything"), [json!(0), json!(1), json!(3)], "a star does not open inboxes");
    assert_eq!(of("inboxes"), [json!(2)]);
    assert_eq!(events(&node, "rooms")[1]["data"]["offset"], 2);
}

#[test]
fn client_names_no_log_of_the_gateway() {
    let node = node(&["session.*"]);
    let mut phone = node.guest();
    for request in [
        json!({"id": 1, "subscribe": {"channel": "$events:all"}}),
        json!({"id": 2, "publish": {"channel": "$events:all", "data": 1}}),
        json!({"id": 3, "history": {"channel": "$sessions", "limit": 1}}),
    ] {
        let reply = phone.ask(&node, request);
        assert_eq!(reply["error"]["code"], "bad_request", "{reply}");
    }
    assert!(ChannelName::parse("$events:all").is_err());
}

#[test]
fn same_page_has_the_same_bytes_later() {
    let mut node = node(&["session.*", "user.*"]);
    let phones: Vec<_> = (0..20).map(|n| node.user(&format!("u{n}"), &[])).collect();
    let first = page(&node, "all", 7);
    assert_eq!(first.events.first().map(|event| event.offset), Some(8));
    node.advance(1_000);
    drop(phones);
    node.advance(60_000);
    let later = page(&node, "all", 7);
    assert_eq!(later.events[..first.events.len()], first.events);
    assert!(later.events.len() > first.events.len());
}

/// Runs the engine until it has stored all events.
pub fn store_all(node: &Node, engine: &SlowEngine) {
    loop {
        while node.hub.pump() {}
        if engine.work() == 0 {
            return;
        }
    }
}

#[test]
fn events_wait_for_a_slow_engine_and_are_stored_once() {
    let limits = NodeLimits::default();
    let engine = SlowEngine::new(&limits);
    let node = Node::on(Arc::clone(&engine) as Arc<dyn Engine>, limits, Retention::default(), 7);
    let mut node = recording(node, vec![log("all", &["message.published"], &["*"])]);
    let data = serde_json::value::RawValue::from_string("1".to_owned()).expect("json");
    for n in 0..600 {
        let channel = ChannelName::parse(&format!("room:{n}")).expect("valid");
        node.hub.publish(node.now, &channel, &data, PublishOptions::default(), drop);
    }
    engine.work();
    assert_eq!(node.hub.events_waiting(), 600);
    // The engine appends the first one, and is unavailable before it can say so.
    while node.hub.pump() {}
    engine.doubt();
    assert_eq!(node.hub.events_waiting(), 600);
    node.advance(1_000);
    store_all(&node, &engine);
    assert_eq!(node.hub.events_waiting(), 0);
    let (done, page) = mpsc::channel();
    let log = node.hub.event_log("all").expect("recorded");
    log.read(node.now, 0, (10_000, usize::MAX), move |page| drop(done.send(page)));
    engine.work();
    let page = page.try_recv().expect("answered").expect("read");
    let channels: Vec<String> = page
        .events
        .iter()
        .map(|event| {
            serde_json::from_str::<Value>(&event.body).expect("json")["data"]["channel"]
                .as_str()
                .expect("a name")
                .to_owned()
        })
        .collect();
    assert_eq!(channels, (0..600).map(|n| format!("room:{n}")).collect::<Vec<_>>());
}

#[test]
fn events_beyond_the_room_become_one_lost_event() {
    let limits = NodeLimits::from(HubLimits { events_bytes_max: 1_000, ..HubLimits::default() });
    let engine = SlowEngine::new(&limits);
    let node = Node::on(Arc::clone(&engine) as Arc<dyn Engine>, limits, Retention::default(), 7);
    let mut node = recording(node, vec![log("all", &["channel.*"], &["*"])]);
    let mut phone = node.guest();
    engine.work();
    phone.drain(&node);
    let mut happened = 0;
    for n in 0..30 {
        phone.say(&node, json!({"id": n + 1, "subscribe": {"channel": format!("room:{n}")}}));
        engine.work();
        phone.drain(&node);
        happened += 1;
    }
    store_all(&node, &engine);
    node.advance(1_000);
    store_all(&node, &engine);
    let (done, page) = mpsc::channel();
    let log = node.hub.event_log("all").expect("recorded");
    let lost = log.figures().lost;
    log.read(node.now, 0, (10_000, usize::MAX), move |page| drop(done.send(page)));
    engine.work();
    let bodies: Vec<Value> = page
        .try_recv()
        .expect("answered")
        .expect("read")
        .events
        .iter()
        .map(|event| serde_json::from_str(&event.body).expect("json"))
        .collect();
    let told: Vec<_> = bodies.iter().filter(|body| body["type"] == "events.lost").collect();
    assert_eq!(told.len(), 1, "{bodies:#?}");
    assert_eq!(told[0]["data"]["count"], lost);
    assert_eq!(bodies.len() as u64 - 1 + lost, happened, "none is silent");
}

#[test]
fn unavailable_engine_delays_events_until_it_recovers() {
    let limits = NodeLimits::default();
    let engine = SlowEngine::new(&limits);
    let node = Node::on(Arc::clone(&engine) as Arc<dyn Engine>, limits, Retention::default(), 7);
    let mut node = recording(node, vec![log("all", &["message.published"], &["*"])]);
    node.publish_later("room:7", &json!(1));
    engine.work();
    for _ in 0..3 {
        while node.hub.pump() {}
        engine.fail(&EngineError::Unavailable("the disk is full".to_owned()));
        assert_eq!(node.hub.events_waiting(), 1);
        node.advance(1_000);
    }
    while node.hub.pump() {}
    engine.work();
    assert_eq!(node.hub.events_waiting(), 0);
}

/// Two nodes, one after the other, on one engine that outlives the first, which is killed.
fn restart(engine: &Arc<MemoryEngine>, seed: u8, wall_ms: u64) -> Node {
    let engine = Arc::clone(engine) as Arc<dyn Engine>;
    let mut node = Node::on(engine, NodeLimits::default(), Retention::default(), seed);
    node.now = tautline_protocol::Now::new(node.now.mono_ms, node.now.wall_ms + wall_ms);
    recording(node, vec![log("all", &["session.*", "user.*"], &["*"])])
}

#[test]
fn killed_node_closes_its_sessions_after_restart() {
    let limits = NodeLimits::default();
    let engine = Arc::new(MemoryEngine::new(7, &limits.engine, limits.protocol.ticket_ms));
    let first = restart(&engine, 1, 0);
    let (mut ann, mut bob) = (first.user("ann", &[]), first.user("bob", &[]));
    let (ann, bob) = (ann.welcome(&first), bob.welcome(&first));
    while first.hub.pump() {}
    // Nothing of it runs any more: no connection is parked, no session ends.
    std::mem::forget(first);

    let mut second = restart(&engine, 2, 5_000);
    let mut phone = second.dial();
    phone.say(&second, resume(&ann, 1, json!({})));
    second.advance(PARK_MS);
    let told: Vec<_> = events(&second, "all")
        .iter()
        .map(|event| {
            let data = &event["data"];
            let who = if data["session"] == ann["session"] || data["user"] == "ann" { "ann" } else { "bob" };
            format!(
                "{who} {} {}",
                event["type"].as_str().expect("a type"),
                data["cause"].as_str().unwrap_or("-")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "ann session.opened -",
            "ann user.online -",
            "bob session.opened -",
            "bob user.online -",
            "ann session.resumed -",
            "bob user.offline -",
            "bob session.closed node_lost",
        ]
    );
    drop(bob);
}

/// Runs the clock to the moment at which an inbox is due, and the events that are then told of it.
fn unread_events(node: &mut Node) -> Vec<Value> {
    let wait_ms = HubLimits::default().inbox_unread_ms;
    node.advance(wait_ms);
    let all = events(node, "all");
    all.into_iter().filter(|event| event["type"] == "inbox.unread").collect()
}

/// Acknowledges everything in the inbox of a user.
fn acknowledge(phone: &mut Phone, node: &Node, user: &str) {
    let (done, inbox) = mpsc::channel();
    let id = identity(user, &[]).user.expect("a user");
    node.hub.inbox(node.now, &id, move |inbox| drop(done.send(inbox)));
    let inbox = inbox.try_recv().expect("answered at once").expect("read");
    let cursor = json!({"epoch": inbox.epoch, "offset": inbox.sent});
    phone.drain(node);
    phone.say(node, json!({"ping": {"acks": {format!("user:{user}"): cursor}}}));
}

#[test]
fn unread_inbox_of_an_absent_user_is_told_once() {
    let mut node = node(&["inbox.unread"]);
    node.publish("user:ann", &json!("your order"));
    node.advance(1_000);
    node.publish("user:ann", &json!("is ready"));
    let told = unread_events(&mut node);
    let epoch = told[0]["data"]["epoch"].clone();
    assert_eq!(
        told.iter().map(|event| event["data"].clone()).collect::<Vec<_>>(),
        [json!({
            "user": "ann", "node": "n1", "unread": 2, "since": crate::common::BEGIN_WALL_MS,
            "epoch": epoch, "acknowledged": 0, "offset": 2,
        })]
    );
    node.publish("user:ann", &json!("still"));
    assert_eq!(unread_events(&mut node).len(), 1, "the user has not read what was told");

    let mut ann = node.user("ann", &[]);
    acknowledge(&mut ann, &node, "ann");
    drop(ann);
    node.publish("user:ann", &json!("the next order"));
    let told = unread_events(&mut node);
    assert_eq!(told.len(), 2, "a new stretch");
    let data = &told[1]["data"];
    assert_eq!((&data["unread"], &data["acknowledged"], &data["offset"]), (&json!(1), &json!(3), &json!(4)));
    assert!(data["last_seen"].is_number(), "{data}");
}

#[test]
fn inbox_that_is_read_or_watched_is_not_unread() {
    let mut node = node(&["inbox.unread"]);
    let mut ann = node.user("ann", &[]);
    node.publish("user:ann", &json!(1));
    assert_eq!(unread_events(&mut node).len(), 0, "its user is online");
    acknowledge(&mut ann, &node, "ann");
    drop(ann);
    assert_eq!(unread_events(&mut node).len(), 0, "it has read everything");
    node.publish("user:ann", &json!(2));
    let ann = node.user("ann", &[]);
    assert_eq!(unread_events(&mut node).len(), 0, "it is online again");
    drop(ann);
    // As long as a user without connection counts as online, and then until the next look at the inbox.
    node.advance(HubLimits::default().user_offline_ms);
    assert_eq!(unread_events(&mut node).len(), 1, "it has gone without reading");
}

#[test]
fn unread_inbox_is_told_after_a_restart() {
    let limits = NodeLimits::default();
    let engine = Arc::new(MemoryEngine::new(7, &limits.engine, limits.protocol.ticket_ms));
    let on = |seed, wall_ms| {
        let node = Node::on(Arc::clone(&engine) as Arc<dyn Engine>, limits.clone(), KEPT, seed);
        let now = tautline_protocol::Now::new(node.now.mono_ms, node.now.wall_ms + wall_ms);
        recording(Node { now, ..node }, vec![log("all", &["inbox.unread"], &["*"])])
    };
    let first = on(1, 0);
    first.publish("user:ann", &json!(1));
    while first.hub.pump() {}
    std::mem::forget(first);
    let mut second = on(2, 60_000);
    let told = unread_events(&mut second);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["data"]["since"], crate::common::BEGIN_WALL_MS);
    std::mem::forget(second);
    let mut third = on(3, 3_600_000);
    assert_eq!(unread_events(&mut third).len(), 1, "what was told is not told again");
}

#[test]
fn unread_rest_of_a_read_stretch_has_its_own_time() {
    const BETWEEN_MS: u64 = 200_000;
    let mut node = node(&["inbox.unread"]);
    node.publish("user:ann", &json!(1));
    node.advance(BETWEEN_MS);
    let mut ann = node.user("ann", &[]);
    acknowledge(&mut ann, &node, "ann");
    drop(ann);
    node.publish("user:ann", &json!(2));
    node.advance(HubLimits::default().inbox_unread_ms - BETWEEN_MS);
    assert_eq!(kinds(&node), [""; 0], "the second one is not old enough");
    node.advance(BETWEEN_MS - 2_000);
    assert_eq!(kinds(&node), [""; 0]);
    node.advance(2_000);
    let told = events(&node, "all");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["data"]["since"], crate::common::BEGIN_WALL_MS + BETWEEN_MS);
}

#[test]
fn stretch_after_a_restart_has_its_own_time() {
    let limits = NodeLimits::default();
    let engine = Arc::new(MemoryEngine::new(7, &limits.engine, limits.protocol.ticket_ms));
    let on = |seed, wall_ms| {
        let node = Node::on(Arc::clone(&engine) as Arc<dyn Engine>, limits.clone(), KEPT, seed);
        let now = tautline_protocol::Now::new(node.now.mono_ms, node.now.wall_ms + wall_ms);
        recording(Node { now, ..node }, vec![log("all", &["inbox.unread"], &["*"])])
    };
    let mut first = on(1, 0);
    first.publish("user:ann", &json!(1));
    assert_eq!(unread_events(&mut first).len(), 1);
    let mut ann = first.user("ann", &[]);
    acknowledge(&mut ann, &first, "ann");
    // The position is saved after a moment.
    first.advance(60_000);
    while first.hub.pump() {}
    std::mem::forget((ann, first));
    let mut second = on(2, 3_600_000);
    second.publish("user:ann", &json!(2));
    let pushed_at = second.now.wall_ms;
    let told = unread_events(&mut second);
    assert_eq!((told.len(), &told[1]["data"]["since"]), (2, &json!(pushed_at)), "{told:#?}");
}

#[test]
fn publication_event_has_the_trace_of_its_request() {
    let node = node(&["message.published"]);
    let mut ann = node.user("ann", &[]);
    let welcome = ann.welcome(&node);
    ann.ask(&node, json!({"id": 9, "publish": {"channel": "room:7", "data": 1}}));
    let (data, channel) = (serde_json::value::to_raw_value(&2).expect("json"), "room:7");
    let channel = ChannelName::parse(channel).expect("valid");
    let options = PublishOptions { trace: Some(TraceId::new(0xfeed)), ..PublishOptions::default() };
    node.hub.publish(node.now, &channel, &data, options, drop);
    node.hub.publish(node.now, &channel, &data, PublishOptions::default(), drop);
    let traces: Vec<_> = events(&node, "all").iter().map(|event| event["traceparent"].clone()).collect();
    let key = format!("{}:9", welcome["session"].as_str().expect("an id"));
    let of_phone = CallKey::parse(&key).expect("a key").trace_id();
    assert_eq!(traces, [json!(of_phone.header(1)), json!(TraceId::new(0xfeed).header(2)), json!(null)]);
}

#[test]
fn forgotten_user_has_no_unread_inbox() {
    let mut node = node(&["inbox.unread"]);
    node.publish("user:ann", &json!(1));
    node.hub.control().forget_user(node.now, &identity("ann", &[]).user.expect("a user"), drop);
    assert_eq!(unread_events(&mut node).len(), 0);
}

#[test]
fn node_without_webhooks_records_nothing() {
    let node = recording(Node::new(), Vec::new());
    let mut phone = node.guest();
    subscribe(&mut phone, &node, "room:7");
    assert!(node.hub.event_log("all").is_none());
    assert_eq!((node.hub.events_waiting(), node.hub.pump()), (0, false));
}

#[test]
fn unfit_log_names_are_refused() {
    let record = |names: &[&str]| {
        let logs = names.iter().map(|name| log(name, &["*"], &["*"])).collect();
        Node::new().hub.record_events(Node::new().now, &EventsConfig { logs })
    };
    for name in ["", "Shop", "a.b", "a:b", "a b", &"x".repeat(65)] {
        assert_eq!(record(&[name]), Err(InvalidEvents::Name(name.to_owned())), "{name}");
    }
    assert_eq!(record(&["shop", "shop"]), Err(InvalidEvents::NameTwice("shop".to_owned())));
    let node = node(&["*"]);
    let again = EventsConfig { logs: vec![log("b", &["*"], &["*"])] };
    assert_eq!(node.hub.record_events(node.now, &again), Err(InvalidEvents::Twice));
}

/// Where something of a value is, and of which type.
fn shape(at: &str, value: &Value, shape_of: &mut Vec<String>) {
    match value {
        // What apps put there is theirs.
        Value::Object(members)
            if !at.ends_with("data.data") && !at.ends_with("tags") && !at.ends_with("labels") =>
        {
            members.iter().for_each(|(name, value)| shape(&format!("{at}.{name}"), value, shape_of));
        }
        Value::Object(_) => shape_of.push(format!("{at}: object")),
        Value::String(_) => shape_of.push(format!("{at}: string")),
        Value::Number(_) => shape_of.push(format!("{at}: number")),
        other => panic!("{at}: {other}"),
    }
}

fn shapes(events: &[Value]) -> std::collections::BTreeSet<Vec<String>> {
    let shape_of = |event: &Value| {
        let mut all = vec![event["type"].as_str().expect("a type").to_owned()];
        shape("", event, &mut all);
        all.sort_unstable();
        all
    };
    events.iter().map(shape_of).collect()
}

/// One event of each kind, with all that it can have.
fn one_of_each() -> Vec<Value> {
    let mut node = node(&["*"]);
    let mut ann = node.dial();
    let mut login = identity("ann", &[]);
    let labels = [("team".into(), "kitchen".into())].into();
    login.details = tautline_hub::LoginDetails { labels, ..Default::default() }.shared();
    ann.login = Ok(login);
    ann.enter(&node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
    let welcome = ann.welcome(&node);
    subscribe(&mut ann, &node, "room:7");
    ann.say(&node, json!({"id": 2, "publish": {"channel": "room:7", "data": {"text": "hi"}}}));
    ann.peer.handle_lost(node.now);
    node.advance(3_000);
    let mut again = node.dial();
    again.say(&node, resume(&welcome, 1, json!({})));
    again.peer.handle_lost(node.now);
    node.publish_later("user:ann", &json!("your order"));
    node.advance(HubLimits::default().inbox_unread_ms);
    node.advance(HubLimits::default().inbox_unread_ms);
    let mut all = events(&node, "all");
    // The inbox's own, without a sender, and what a session has only once.
    all.retain(|event| event["type"] != "message.published" || event["data"]["from"] == "ann");
    all.retain(|event| {
        !event["data"]["channel"].as_str().is_some_and(|channel| channel.starts_with("user:"))
    });
    all
}

#[test]
fn guide_shows_the_bodies_that_the_code_makes() {
    let guide = include_str!("../../../../docs/guide/webhooks.md");
    let blocks = guide.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    let all = blocks.flat_map(|block| serde_json::Deserializer::from_str(block).into_iter::<Value>());
    let is_event = |value: &Value| value["type"].as_str().is_some_and(|kind| EventSet::parse(kind).is_ok());
    let mut shown: Vec<Value> =
        all.map(|value| value.expect("the guide has JSON")).filter(is_event).collect();
    // This one has no phone and no clock: `events_beyond_the_room_become_one_lost_event` makes it.
    let lost = shown.iter().position(|event| event["type"] == "events.lost").expect("it is shown");
    let lost = shapes(&[shown.swap_remove(lost)]);
    assert_eq!(
        lost,
        shapes(&[json!({"type": "events.lost", "timestamp": "", "data": {"count": 1, "reason": ""}})])
    );
    assert_eq!(shapes(&shown), shapes(&one_of_each()));
    assert_eq!(shown.len() + 1, tautline_hub::EventKind::ALL.len(), "one of each kind");
}
