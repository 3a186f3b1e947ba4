//! Sessions that other nodes have claimed a moment ago.
//!
//! Start at [`Moved::attempt`]. A connection that claimed its session before another node did, and takes it after
//! that, must find out: it would be a second owner.

use std::collections::{HashMap, VecDeque};

use tautline_protocol::Now;

use crate::{
    session::id::SessionId,
    sync::{Mutex, lock},
};

/// For how long a claim is remembered, in milliseconds: longer than a connection waits between its own claim and its
/// session.
const KEPT_MS: u64 = 60_000;
/// The most claims that are remembered. Beyond it the oldest is forgotten.
const COUNT_MAX: usize = 65_536;

/// Claims of other nodes.
#[derive(Default)]
pub(crate) struct Moved(Mutex<State>);

#[derive(Default)]
struct State {
    /// The highest attempt of each, and the monotonic time of the last one.
    attempts: HashMap<SessionId, (u64, u64)>,
    /// In the order in which they came.
    order: VecDeque<(u64, SessionId)>,
}

impl Moved {
    /// Another node has claimed the session by this attempt.
    pub(crate) fn insert(&self, now: Now, id: SessionId, attempt: u64) {
        let mut state = lock(&self.0);
        while state.order.len() >= COUNT_MAX
            || state.order.front().is_some_and(|(at_ms, _)| at_ms + KEPT_MS < now.mono_ms)
        {
            let Some((oldest_ms, oldest)) = state.order.pop_front() else { break };
            if state.attempts.get(&oldest).is_some_and(|(_, last_ms)| *last_ms == oldest_ms) {
                state.attempts.remove(&oldest);
            }
        }
        let (newest, last_ms) = state.attempts.entry(id).or_default();
        (*newest, *last_ms) = (attempt.max(*newest), now.mono_ms);
        state.order.push_back((now.mono_ms, id));
    }

    /// The highest attempt by which another node has claimed the session lately; 0 for none.
    pub(crate) fn attempt(&self, id: SessionId) -> u64 {
        lock(&self.0).attempts.get(&id).map_or(0, |(attempt, _)| *attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claim_is_remembered_for_a_minute() {
        let moved = Moved::default();
        moved.insert(Now::new(1_000, 0), SessionId(1), 5);
        moved.insert(Now::new(2_000, 0), SessionId(1), 4);
        assert_eq!((moved.attempt(SessionId(1)), moved.attempt(SessionId(2))), (5, 0));
        moved.insert(Now::new(61_001, 0), SessionId(2), 1);
        assert_eq!(moved.attempt(SessionId(1)), 5, "the later one is not a minute old");
        moved.insert(Now::new(62_001, 0), SessionId(2), 2);
        assert_eq!((moved.attempt(SessionId(1)), moved.attempt(SessionId(2))), (0, 2));
    }
}
