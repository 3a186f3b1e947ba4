//! Every counter of the node returns to zero, for all ways in which connections and sessions end.

use std::sync::Arc;

use crate::common::{
    Node,
    acts::{ACTS, Shared, act},
    slow::SlowEngine,
};
use serde_json::json;
use tautline_engine::{Engine, EngineError, Retention};
use tautline_hub::HubStats;
use tautline_hub::{HubLimits, NodeLimits};
use tautline_protocol::Limits;

const STORIES: u64 = 300;
const ACTS_A_STORY: u64 = 120;

/// A small generator: the same sequence for the same number.
fn chances(story: u64) -> impl FnMut(u64) -> u64 {
    let mut state = story.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    }
}

#[test]
fn counters_return_to_zero_after_every_exit() {
    for story in 0..STORIES {
        let left = play(story);
        let nothing = HubStats { publications: left.publications, ..HubStats::default() };
        assert_eq!(left, nothing, "story {story}");
    }
}

fn play(story: u64) -> HubStats {
    let mut chance = chances(story);
    let limits = NodeLimits {
        protocol: Limits {
            batch_bytes_max: 300,
            requests_in_flight_max: 3,
            replies_unseen_max: 20,
            ..Limits::default()
        },
        hub: HubLimits {
            new_sessions_per_ms_max: u32::try_from(story % 3).expect("small"),
            tail_entries_max: 1,
            pages_max: 2,
            appends_bytes_max: 200,
            ..HubLimits::default()
        },
        ..NodeLimits::default()
    };
    let engine = SlowEngine::new(&limits);
    let mut node = Node::on(Arc::clone(&engine) as Arc<dyn Engine>, limits, Retention::default(), 7);
    let (shared, mut phones) = (Shared::default(), [node.dial(), node.dial()]);
    for _ in 0..ACTS_A_STORY {
        let which = usize::try_from(chance(2)).expect("small");
        act(&node, &shared, &mut phones[which], ACTS, &mut chance);
        match chance(8) {
            0 => drop(engine.work()),
            1 => engine.fail(&EngineError::Unavailable("no disk".to_owned())),
            2 => engine.forget(),
            3 => node.advance(chance(40_000)),
            _ => {}
        }
    }
    shared.give_up();
    drop(phones);
    while node.hub.pump() {}
    match story % 3 {
        0 => drop(engine.work()),
        1 => engine.forget(),
        _ => {}
    }
    node.advance(node.hub.limits().park_ms);
    engine.work();
    let mut watcher = node.dial();
    watcher.enter(&node, json!({"hello": {"v": 1, "auth": {"guest": true}}}));
    let reply = watcher.ask(&node, json!({"id": 1, "presence": {"channel": "party:1"}}));
    assert!(reply["ok"]["count"].as_u64().unwrap_or(0) == 0, "story {story}: {reply}");
    drop(watcher);
    for _ in 0..8 {
        node.advance(node.hub.limits().park_ms);
        engine.work();
    }
    HubStats { log_bytes: 0, ..node.hub.stats() }
}
