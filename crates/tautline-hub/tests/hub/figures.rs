//! The figures that operators see: each counts what it says, once.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{Node, identity, resume};
use serde_json::json;
use tautline_engine::{Retention, meter::JobKind};
use tautline_hub::{HubLimits, LimitFigures, LoginRefused, PatternFigures};

fn resumes(node: &Node) -> Vec<(&'static str, &'static str, u64)> {
    node.hub.counters().resumes.into_iter().filter(|(_, _, count)| *count > 0).collect()
}

fn limit(node: &Node, name: &str) -> LimitFigures {
    node.hub.limit_figures().into_iter().find(|figures| figures.limit == name).expect("a known limit")
}

fn of_rooms(node: &Node) -> PatternFigures {
    let (mut patterns, is_whole) = node.hub.pattern_figures(1_000);
    assert!(is_whole);
    patterns.retain(|figures| figures.pattern == "*");
    patterns.pop().expect("rooms have no rule of their own")
}

#[test]
fn slowest_reader_lags_by_what_it_has_not_read() {
    let node = Node::new();
    let [mut quick, mut slow] = [node.guest(), node.guest()];
    for phone in [&mut quick, &mut slow] {
        phone.ask(&node, json!({"id": 1, "subscribe": {"channel": "room:7"}}));
        phone.hear(&node);
    }
    for n in 1..=5 {
        node.publish("room:7", &json!(n));
        quick.hear(&node);
    }
    let figures = of_rooms(&node);
    assert_eq!((figures.channels, figures.subscribers, figures.slowest_lag), (1, 2, 5));
    assert!(figures.tail_bytes > 0);
    assert_eq!(slow.offsets(&node), [1, 2, 3, 4, 5]);
    assert_eq!(of_rooms(&node).slowest_lag, 0);
}

#[test]
fn channels_beyond_one_look_are_seen_by_the_next() {
    let node = Node::new();
    let mut phone = node.guest();
    for number in 0..300 {
        phone.ask(&node, json!({"id": number + 1, "subscribe": {"channel": format!("room:{number}")}}));
    }
    let (mut seen, mut looks) = (0, 0);
    while seen < 300 {
        let (patterns, is_whole) = node.hub.pattern_figures(100);
        assert!(!is_whole);
        seen += patterns.iter().map(|figures| figures.channels).sum::<u64>();
        looks += 1;
    }
    assert!(looks <= 3, "each goes on behind the last one: {looks}");
}

#[test]
fn tickets_count_by_outcome_and_reason() {
    let node = Node::new();
    let welcome = node.user("u1", &[]).welcome(&node);
    let come = |node: &Node, ticket: &serde_json::Value, user: Option<&str>| {
        let mut phone = node.dial();
        let mut hello = resume(&json!({"ticket": ticket}), 5, json!({}));
        if let Some(user) = user {
            phone.login = Ok(identity(user, &[]));
            hello["hello"]["auth"] = json!({"token": "…"});
        }
        phone.say(node, hello);
        phone.hear(node);
    };
    come(&node, &welcome["ticket"], None);
    come(&node, &json!("AAAA"), None);
    come(&node, &json!("AAAA"), Some("u1"));
    come(&node, &welcome["ticket"], Some("u2"));
    assert_eq!(
        resumes(&node),
        [
            ("resumed", "in_memory", 1),
            ("challenged", "ticket_invalid", 1),
            ("new_session", "ticket_invalid", 1),
            ("new_session", "other_user", 1),
        ]
    );
    let restarted = Node::new();
    come(&restarted, &welcome["ticket"], None);
    assert_eq!(resumes(&restarted), [("resumed", "from_ticket", 1)]);
}

static NOW_US: AtomicU64 = AtomicU64::new(0);

#[test]
fn engine_jobs_are_timed_by_the_clock_of_the_shell() {
    let node = Node::new();
    node.publish("room:7", &json!(1));
    assert!(node.hub.engine_jobs().is_empty(), "nothing is measured without a clock");
    // Each reading of this clock is a millisecond behind the one before.
    node.hub.measure_engine(|| NOW_US.fetch_add(1_000, Ordering::Relaxed));
    node.publish("room:7", &json!(2));
    let jobs = node.hub.engine_jobs();
    let appends = jobs.iter().find(|figures| figures.kind == JobKind::Append).expect("every kind is there");
    assert_eq!((appends.latency.count(), appends.latency.sum_us), (1, 1_000));
    assert!(appends.errors.iter().all(|(_, count)| *count == 0));
}

#[test]
fn publication_beyond_a_limit_counts_for_that_limit() {
    let limits = HubLimits { appends_bytes_max: 1, ..HubLimits::default() };
    let node = Node::with(limits, Retention::default());
    let mut phone = node.guest();
    let reply = phone.ask(&node, json!({"id": 1, "publish": {"channel": "room:7", "data": "too much"}}));
    assert_eq!(reply["error"]["code"], "overloaded");
    let figures = limit(&node, "appends_bytes_max");
    assert_eq!((figures.use_of, figures.refused), (Some((0, 1)), 1));
    assert_eq!(limit(&node, "sessions_max").refused, 0);
    let refused = node.hub.counters().requests_refused;
    let refused: Vec<_> = refused.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(refused, [("overloaded", 1)]);
}

#[test]
fn refused_login_counts_by_its_reason() {
    let node = Node::new();
    let mut phone = node.dial();
    phone.login = Err(LoginRefused::Expired);
    phone.say(&node, json!({"hello": {"v": 1, "auth": {"token": "…"}}}));
    assert_eq!(phone.bye(&node)["code"], "token_expired");
    let refused = node.hub.counters().logins_refused;
    let refused: Vec<_> = refused.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(refused, [("expired", 1)]);
}
