//! Sessions that ended for good, until the last of their tickets has expired.
//!
//! Start at [`Revocations::insert`]. A client must not push out the revocations of others: a holder has a share,
//! and its revocations beyond that share are not remembered.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use tautline_engine::budget::{Budget, Holder};

use crate::{
    session::id::SessionId,
    sync::{Mutex, lock},
};

/// A holder with less than one part in so many is small: when there is no room, it takes the place of the
/// oldest. The bound is far above the error of the two rows of counters.
const SMALL_PART: usize = 64;

/// The ended sessions of a node.
pub(crate) struct Revocations {
    state: Mutex<State>,
    /// By the holder that ended them.
    budget: Arc<Budget>,
    small_max: usize,
}

#[derive(Default)]
struct State {
    ids: HashSet<SessionId>,
    /// In the order in which they ended.
    queue: VecDeque<Ended>,
}

struct Ended {
    id: SessionId,
    /// When its last ticket expires, in wall milliseconds.
    until_wall_ms: u64,
    holder: Holder,
}

impl Revocations {
    /// Remembers at most `count_max`.
    pub(crate) fn new(count_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            budget: Budget::without_reserve(count_max),
            small_max: count_max / SMALL_PART,
        }
    }

    /// Remembers that a session has ended. False: the holder has used up its share, and the tickets of the
    /// session stay valid.
    pub(crate) fn insert(&self, id: SessionId, until_wall_ms: u64, holder: Holder) -> bool {
        let mut state = lock(&self.state);
        if state.ids.contains(&id) {
            return true;
        }
        if !self.budget.take(holder, 1, holder.claimant()) {
            if holder != Holder::BACK_END && self.budget.held(holder) > self.small_max {
                return false;
            }
            self.forget_oldest(&mut state);
            self.budget.add(holder, 1);
        }
        state.ids.insert(id);
        state.queue.push_back(Ended { id, until_wall_ms, holder });
        true
    }

    pub(crate) fn contains(&self, id: SessionId) -> bool {
        lock(&self.state).ids.contains(&id)
    }

    /// Forgets sessions whose tickets have expired.
    pub(crate) fn forget_expired(&self, wall_ms: u64) {
        let mut state = lock(&self.state);
        while state.queue.front().is_some_and(|oldest| oldest.until_wall_ms < wall_ms) {
            self.forget_oldest(&mut state);
        }
    }

    fn forget_oldest(&self, state: &mut State) {
        if let Some(oldest) = state.queue.pop_front() {
            state.ids.remove(&oldest.id);
            self.budget.give(oldest.holder, 1);
        }
    }
}

// There may be a million.
const _: () = assert!(size_of::<Ended>() <= 32);

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Holder = Holder::of_hash(0x5bd1_e995);

    #[test]
    fn revoked_session_is_remembered_until_its_tickets_expire() {
        let revocations = Revocations::new(9);
        assert!(revocations.insert(SessionId(1), 100, ANN));
        revocations.forget_expired(100);
        assert!(revocations.contains(SessionId(1)));
        revocations.forget_expired(101);
        assert!(!revocations.contains(SessionId(1)));
        assert_eq!(revocations.budget.used(), 0);
    }

    #[test]
    fn revocation_beyond_the_limit_forgets_the_oldest() {
        let revocations = Revocations::new(2);
        let holders = [3, 5, 7].map(|hash| Holder::of_hash(hash << 10 | hash));
        for (id, holder) in (1..).zip(holders) {
            assert!(revocations.insert(SessionId(id), 100, holder));
        }
        assert_eq!([1, 2, 3].map(|id| revocations.contains(SessionId(id))), [false, true, true]);
        assert_eq!(revocations.budget.used(), 2);
    }

    #[test]
    fn revocations_of_an_earlier_process_are_nobodys() {
        let revocations = Revocations::new(4);
        assert!((1..=9).all(|id| revocations.insert(SessionId(id), 100, Holder::BACK_END)));
        assert_eq!((1..=9).filter(|id| revocations.contains(SessionId(*id))).count(), 4);
    }
}
