//! Events on an engine that is slow or in doubt, and of nodes that are killed: each is told once.

use std::sync::{Arc, mpsc};

use serde_json::{Value, json};
use tautline_engine::{Engine, EngineError};
use tautline_hub::{BanSubject, HubLimits, NodeLimits, PublishOptions, Retention};
use tautline_protocol::{
    ChannelName,
    packet::{ErrorBody, server::Published},
};

use crate::{
    common::{Node, resume, slow::SlowEngine},
    events::{KEPT, PARK_MS, log, recording, store_all},
};

/// A node on an engine that answers later, with the publications that its events tell of.
struct SlowNode {
    node: Node,
    engine: Arc<SlowEngine>,
}

impl SlowNode {
    fn new(events: &[&str]) -> Self {
        let limits = NodeLimits::default();
        let engine = SlowEngine::new(&limits);
        let node = Node::on(Arc::clone(&engine) as Arc<dyn Engine>, limits, Retention::default(), 7);
        let node = recording(node, vec![log("all", events, &["*", "user:*"])]);
        engine.work();
        Self { node, engine }
    }

    fn publish(&self, channel: &str, key: Option<&str>) {
        let data = serde_json::value::RawValue::from_string("1".to_owned()).expect("json");
        let options = PublishOptions { idempotency_key: key, ..PublishOptions::default() };
        let channel = ChannelName::parse(channel).expect("valid");
        self.node.hub.publish(self.node.now, &channel, &data, options, drop);
    }

    /// The channels of the events, once the engine has done all that it was asked for.
    fn channels(&mut self) -> Vec<String> {
        self.node.advance(1_000);
        store_all(&self.node, &self.engine);
        let channel = |body: &Value| body["data"]["channel"].as_str().expect("a name").to_owned();
        self.stored().iter().map(channel).collect()
    }

    fn kinds(&self) -> Vec<String> {
        let kind = |body: &Value| body["type"].as_str().expect("a type").to_owned();
        self.stored().iter().map(kind).collect()
    }

    fn stored(&self) -> Vec<Value> {
        let (done, page) = mpsc::channel();
        let log = self.node.hub.event_log("all").expect("recorded");
        log.read(self.node.now, 0, (10_000, usize::MAX), move |page| drop(done.send(page)));
        self.engine.work();
        let page = page.try_recv().expect("answered").expect("read");
        let body = |body: &str| serde_json::from_str::<Value>(body).expect("json");
        page.events.iter().map(|event| body(&event.body)).collect()
    }
}

#[test]
fn publication_in_doubt_is_told_when_it_proves_appended() {
    let mut slow = SlowNode::new(&["message.published"]);
    slow.publish("room:7", None);
    slow.publish("room:8", Some("order-8"));
    slow.publish("user:ann", None);
    slow.engine.doubt();
    assert_eq!(slow.channels(), ["room:7", "room:8", "user:ann"]);
    assert_eq!(slow.channels().len(), 3, "and once");
}

#[test]
fn publication_in_doubt_that_never_happened_is_not_told() {
    let mut slow = SlowNode::new(&["message.published"]);
    slow.publish("room:7", None);
    slow.engine.fail(&EngineError::InDoubt("the connection is gone".to_owned()));
    assert_eq!(slow.channels(), [""; 0]);
    slow.publish("room:7", None);
    slow.engine.work();
    assert_eq!(slow.channels(), ["room:7"]);
}

#[test]
fn doubt_outlasts_an_unavailable_engine() {
    let mut slow = SlowNode::new(&["message.published"]);
    slow.publish("room:7", None);
    slow.engine.doubt();
    for _ in 0..100 {
        slow.node.advance(1_000);
        slow.engine.fail(&EngineError::Unavailable("the disk is full".to_owned()));
    }
    assert_eq!(slow.channels(), ["room:7"]);
}

/// The channels told by the second of two nodes, after a publication with a key was repeated there `times` times. The
/// first was killed before it could store an event.
fn told_after_repetitions(last_run_ms: u64, times: usize) -> Vec<String> {
    let first = SlowNode::new(&["message.published"]);
    first.publish("room:7", Some("order-8"));
    first.engine.work_on("room:7");
    first.engine.forget();
    let SlowNode { node, engine } = first;
    std::mem::forget(node);
    engine.last_run_ms.store(last_run_ms, std::sync::atomic::Ordering::SeqCst);
    let node = Node::on(Arc::clone(&engine) as Arc<dyn Engine>, NodeLimits::default(), KEPT, 8);
    let now = tautline_protocol::Now::new(node.now.mono_ms, node.now.wall_ms + 5_000);
    let node = recording(Node { now, ..node }, vec![log("all", &["message.published"], &["*"])]);
    let mut second = SlowNode { node, engine };
    for _ in 0..times {
        second.publish("room:7", Some("order-8"));
        second.engine.work();
    }
    second.channels()
}

#[test]
fn repeated_key_of_a_killed_node_is_told_once() {
    assert_eq!(told_after_repetitions(crate::common::BEGIN_WALL_MS, 3), ["room:7"]);
}

#[test]
fn repetition_without_a_known_end_before_is_not_told() {
    assert_eq!(told_after_repetitions(0, 3), [""; 0]);
}

/// The answers to publications, as they come.
fn answers(
    slow: &SlowNode,
    count: usize,
    key: Option<&'static str>,
) -> mpsc::Receiver<Result<Published, ErrorBody>> {
    let (told, answers) = mpsc::channel();
    let data = serde_json::value::RawValue::from_string("1".to_owned()).expect("json");
    for _ in 0..count {
        let (told, channel) = (told.clone(), ChannelName::parse("room:7").expect("valid"));
        let options = PublishOptions { idempotency_key: key, ..PublishOptions::default() };
        let done = move |outcome| drop(told.send(outcome));
        slow.node.hub.publish(slow.node.now, &channel, &data, options, done);
    }
    answers
}

#[test]
fn publications_answered_before_a_kill_are_told() {
    // Killed after any number of the engine's jobs.
    for jobs in 0..40 {
        let slow = SlowNode::new(&["message.published"]);
        let answers = answers(&slow, 12, None);
        for _ in 0..jobs {
            while slow.node.hub.pump() {}
            slow.engine.work_once();
        }
        let answered = answers.try_iter().filter(Result::is_ok).count();
        slow.engine.forget();
        let told = slow.stored().len();
        assert!(told >= answered, "{jobs} jobs: {answered} answered, {told} told");
        assert!(jobs < 30 || answered == 12, "{jobs} jobs: {answered}");
        std::mem::forget(slow);
    }
}

#[test]
fn subscribers_do_not_wait_for_the_event() {
    let slow = SlowNode::new(&["message.published"]);
    let mut phone = slow.node.guest();
    slow.engine.work();
    phone.say(&slow.node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
    slow.engine.work();
    phone.hear(&slow.node);
    let answers = answers(&slow, 1, None);
    slow.engine.work_on("room:7");
    while slow.node.hub.pump() {}
    assert_eq!((phone.offsets(&slow.node), answers.try_iter().count()), (vec![1], 0));
    slow.engine.work();
    assert_eq!(answers.try_iter().count(), 1);
}

#[test]
fn answer_comes_late_where_events_cannot_be_stored() {
    let mut slow = SlowNode::new(&["message.published"]);
    let answers = answers(&slow, 1, None);
    slow.engine.work_on("room:7");
    for _ in 0..5 {
        while slow.node.hub.pump() {}
        slow.engine.fail(&EngineError::Unavailable("the disk is full".to_owned()));
        assert_eq!(answers.try_iter().count(), 0);
        slow.node.advance(1_000);
    }
    assert_eq!(answers.try_iter().count(), 1, "after `events_answer_ms`");
}

#[test]
fn answer_to_a_dropped_event_waits_for_its_count() {
    for jobs in 0..30 {
        let limits = NodeLimits::from(HubLimits { events_bytes_max: 600, ..HubLimits::default() });
        let engine = SlowEngine::new(&limits);
        let node = Node::on(Arc::clone(&engine) as Arc<dyn Engine>, limits, Retention::default(), 7);
        let node = recording(node, vec![log("all", &["message.published"], &["*"])]);
        let mut slow = SlowNode { node, engine };
        let answers = answers(&slow, 12, None);
        for job in 0..jobs {
            while slow.node.hub.pump() {}
            slow.engine.work_once();
            if job == 20 {
                // A tick, which finds room to say how many were dropped.
                slow.node.advance(1_000);
            }
        }
        let answered = answers.try_iter().filter(Result::is_ok).count() as u64;
        slow.engine.forget();
        let told: u64 = slow.stored().iter().map(|body| body["data"]["count"].as_u64().unwrap_or(1)).sum();
        assert!(told >= answered, "{jobs} jobs: {answered} answered, {told} told");
        assert!(jobs < 28 || answered == 12, "{jobs} jobs: {answered}");
        std::mem::forget(slow);
    }
}

#[test]
fn repetition_is_answered_when_its_event_is_stored() {
    let first = SlowNode::new(&["message.published"]);
    first.publish("room:7", Some("order-8"));
    first.engine.work_on("room:7");
    first.engine.forget();
    let SlowNode { node, engine } = first;
    std::mem::forget(node);
    engine.last_run_ms.store(crate::common::BEGIN_WALL_MS, std::sync::atomic::Ordering::SeqCst);
    let node = Node::on(Arc::clone(&engine) as Arc<dyn Engine>, NodeLimits::default(), KEPT, 8);
    let now = tautline_protocol::Now::new(node.now.mono_ms, node.now.wall_ms + 5_000);
    let node = recording(Node { now, ..node }, vec![log("all", &["message.published"], &["*"])]);
    let slow = SlowNode { node, engine };
    let answers = answers(&slow, 1, Some("order-8"));
    slow.engine.work();
    assert_eq!(answers.try_iter().count(), 0, "its event is on its way");
    store_all(&slow.node, &slow.engine);
    assert_eq!((answers.try_iter().count(), slow.stored().len()), (1, 1));
}

#[test]
fn retry_of_a_doubtful_publication_that_succeeds_is_told_once() {
    // The first attempt never happened; the retry does, before the look for it or while that is under way.
    for is_looked_for in [false, true] {
        let mut slow = SlowNode::new(&["message.published"]);
        slow.publish("room:7", Some("order-8"));
        slow.engine.fail(&EngineError::InDoubt("the connection is gone".to_owned()));
        slow.publish("room:7", Some("order-8"));
        if is_looked_for {
            slow.node.advance(1_000);
        }
        slow.engine.work();
        assert_eq!(slow.channels(), ["room:7"], "{is_looked_for}");
        assert_eq!(slow.channels().len(), 1, "{is_looked_for}");
    }
}

#[test]
fn publication_in_doubt_twice_is_told_once() {
    let mut slow = SlowNode::new(&["message.published"]);
    slow.publish("room:7", Some("order-8"));
    slow.publish("room:7", Some("order-8"));
    slow.engine.doubt();
    assert_eq!(slow.channels(), ["room:7"]);
    assert_eq!(slow.channels().len(), 1);
}

#[test]
fn repeated_client_request_in_doubt_notes_nothing() {
    let mut slow = SlowNode::new(&["message.published"]);
    let in_doubt = EngineError::InDoubt("the connection is gone".to_owned());
    let publish = |again| json!({"id": 1, "again": again, "publish": {"channel": "room:7", "data": 1}});
    let mut ann = slow.node.guest();
    slow.engine.work();
    let welcome = ann.welcome(&slow.node);
    ann.say(&slow.node, publish(false));
    assert_eq!(slow.engine.appends(), ["room:7"]);
    slow.engine.fail(&in_doubt);
    slow.node.advance(1_000);
    assert_eq!(slow.engine.appends(), ["room:7"], "the first one is looked for");
    // No log says that it never had the request; after a minute it is given up.
    for _ in 0..61 {
        slow.engine.work();
        slow.node.advance(1_000);
    }
    slow.engine.work();
    ann.peer.handle_lost(slow.node.now);
    slow.node.advance(PARK_MS);
    assert_eq!(slow.engine.appends(), [""; 0]);
    slow.engine.work();

    let mut back = slow.node.dial();
    back.say(&slow.node, resume(&welcome, 5, json!({})));
    slow.engine.work();
    back.say(&slow.node, publish(true));
    assert_eq!(slow.engine.appends(), ["room:7"]);
    slow.engine.fail(&in_doubt);
    slow.node.advance(1_000);
    assert_eq!(slow.engine.appends(), [""; 0]);
}

#[test]
fn doubts_beyond_the_limit_are_reported_lost() {
    let mut slow = SlowNode::new(&["message.published"]);
    for _ in 0..101 {
        (0..100).for_each(|_| slow.publish("room:7", None));
        slow.engine.fail(&EngineError::InDoubt("the connection is gone".to_owned()));
    }
    slow.node.advance(1_000);
    store_all(&slow.node, &slow.engine);
    let told = slow.stored();
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["type"], &told[0]["data"]["count"]), (&json!("events.lost"), &json!(100)));
}

#[test]
fn journal_waits_for_the_events_it_accounts_for() {
    let slow = SlowNode::new(&["session.*"]);
    store_all(&slow.node, &slow.engine);
    let mut ann = slow.node.guest();
    slow.engine.work();
    ann.drain(&slow.node);
    while slow.node.hub.pump() {}
    let appends = slow.engine.appends();
    assert_eq!(appends, ["$events:all"], "the line of the journal comes behind it");
    slow.engine.work();
    while slow.node.hub.pump() {}
    assert_eq!(slow.engine.appends(), ["$sessions"]);
    drop(ann);
}

#[test]
fn session_that_the_journal_misses_is_closed_after_a_kill() {
    for has_earlier_line in [true, false] {
        let slow = SlowNode::new(&["session.*", "user.*"]);
        if has_earlier_line {
            store_all(&slow.node, &slow.engine);
        }
        let mut ann = slow.node.user("ann", &[]);
        slow.engine.work();
        ann.drain(&slow.node);
        // Killed when the events are stored, and the lines of the journal are not.
        for _ in 0..3 {
            while slow.node.hub.pump() {}
            slow.engine.work_on("$events:all");
        }
        slow.engine.fail(&EngineError::Unavailable("killed".to_owned()));
        let SlowNode { node, engine } = slow;
        std::mem::forget((node, ann));

        let limits = NodeLimits::default();
        let node = Node::on(Arc::clone(&engine) as Arc<dyn Engine>, limits, Retention::default(), 8);
        let mut node = recording(node, vec![log("all", &["session.*", "user.*"], &["*"])]);
        store_all(&node, &engine);
        node.advance(PARK_MS);
        store_all(&node, &engine);
        let told = SlowNode { node, engine }.kinds();
        assert_eq!(told, ["session.opened", "user.online", "user.offline", "session.closed"]);
    }
}

#[test]
fn session_that_the_journal_misses_survives_two_kills() {
    let slow = SlowNode::new(&["session.*", "user.*"]);
    store_all(&slow.node, &slow.engine);
    let mut ann = slow.node.user("ann", &[]);
    slow.engine.work();
    ann.drain(&slow.node);
    for _ in 0..3 {
        while slow.node.hub.pump() {}
        slow.engine.work_on("$events:all");
    }
    slow.engine.fail(&EngineError::Unavailable("killed".to_owned()));
    let SlowNode { node, engine } = slow;
    std::mem::forget((node, ann));

    let on = |seed| {
        let limits = NodeLimits::default();
        let node = Node::on(Arc::clone(&engine) as Arc<dyn Engine>, limits, Retention::default(), seed);
        recording(node, vec![log("all", &["session.*", "user.*"], &["*"])])
    };
    // Killed when its journal is stored, and before the session ends.
    let second = on(8);
    store_all(&second, &engine);
    std::mem::forget(second);

    let mut third = on(9);
    store_all(&third, &engine);
    third.advance(PARK_MS);
    store_all(&third, &engine);
    let told = SlowNode { node: third, engine: Arc::clone(&engine) }.kinds();
    assert_eq!(told, ["session.opened", "user.online", "user.offline", "session.closed"]);
}

#[test]
fn ban_changes_beyond_those_that_wait_are_refused() {
    let slow = SlowNode::new(&["session.*"]);
    let (done, answers) = mpsc::channel();
    let lift = |subject: &str| {
        let done = done.clone();
        let subject: BanSubject = subject.parse().expect("valid");
        slow.node.hub.control().lift_ban(subject, move |answer| drop(done.send(answer)));
    };
    // One is being saved, and 16 wait for it.
    (0..17).for_each(|_| lift("user:ann"));
    assert!(answers.try_recv().is_err(), "the engine has not answered");
    lift("user:ann");
    let refused = answers.try_recv().expect("answered at once").expect_err("refused");
    assert_eq!(refused.code, tautline_protocol::ErrorCode::Overloaded);
    lift("user:bob");
    slow.engine.work();
    assert_eq!(answers.try_iter().filter(Result::is_ok).count(), 18);
    lift("user:ann");
    slow.engine.work();
    assert_eq!(answers.try_recv(), Ok(Ok(false)), "there is room again");
}
