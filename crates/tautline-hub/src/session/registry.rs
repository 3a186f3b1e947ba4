//! The registry of a node's sessions: by id, parked, revoked.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    sync::Arc,
};

use tautline_engine::budget::{Budget, Claimant, Holder};
use tautline_protocol::Now;

use crate::{
    session::id::SessionId,
    session::{ById, Session},
    sync::{Mutex, lock},
};

const SHARDS: usize = 16;

/// The registry.
pub(crate) struct Sessions {
    shards: [Mutex<HashSet<ById>>; SHARDS],
    /// Counts the sessions of each holder.
    budget: Arc<Budget>,
    /// In the order of parking.
    parked: Mutex<VecDeque<Parked>>,
    /// The parked sessions that may hold replies.
    parked_replies: Mutex<BTreeSet<SessionId>>,
    revoked: Mutex<Revoked>,
    revocations_max: usize,
}

/// A session that lost its connection.
pub(crate) struct Parked {
    at_ms: u64,
    pub(crate) id: SessionId,
    pub(crate) parks: u16,
}

/// The reason why a session was neither found nor created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSession {
    /// It has ended permanently: its tickets are void.
    Revoked,
    /// The node or this holder has reached its limit.
    Full,
}

#[derive(Default)]
struct Revoked {
    ids: HashSet<SessionId>,
    /// Each with the wall time at which its last ticket expires.
    queue: VecDeque<(u64, SessionId)>,
}

impl Sessions {
    /// At most `count_max` sessions and `revocations_max` revocations; beyond that, the oldest revocation is
    /// dropped.
    pub(crate) fn new(count_max: usize, revocations_max: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            budget: Budget::new(count_max),
            parked: Mutex::default(),
            parked_replies: Mutex::default(),
            revoked: Mutex::default(),
            revocations_max,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.budget.used()
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<Arc<Session>> {
        lock(self.shard(id)).get(&id).map(|found| Arc::clone(&found.0))
    }

    /// Finds the session, or creates it for its holder: two concurrent callers get the same one. Returns
    /// whether it was created.
    ///
    /// An ending session is revoked before it is removed here, so a ticket that was valid a moment ago
    /// creates none.
    pub(crate) fn get_or_create(
        &self,
        (id, holder): (SessionId, Holder),
        claimant: Claimant,
        make: impl FnOnce() -> Arc<Session>,
    ) -> Result<(Arc<Session>, bool), NoSession> {
        let mut shard = lock(self.shard(id));
        if let Some(found) = shard.get(&id) {
            return Ok((Arc::clone(&found.0), false));
        }
        if self.is_revoked(id) {
            return Err(NoSession::Revoked);
        }
        if !self.budget.take(holder, 1, claimant) {
            return Err(NoSession::Full);
        }
        let made = make();
        shard.insert(ById(Arc::clone(&made)));
        Ok((made, true))
    }

    /// Removes an ending session. Call once, under its lock.
    pub(crate) fn remove(&self, id: SessionId, holder: Holder) {
        if lock(self.shard(id)).remove(&id) {
            self.budget.give(holder, 1);
        }
        self.remove_parked_replies(id);
    }

    /// Records that a session lost its connection, with its parking number `parks`.
    pub(crate) fn park(&self, now: Now, id: SessionId, parks: u16) {
        lock(&self.parked).push_back(Parked { at_ms: now.mono_ms, id, parks });
    }

    /// Records that a session without a connection holds replies, or will.
    pub(crate) fn add_parked_replies(&self, id: SessionId) {
        lock(&self.parked_replies).insert(id);
    }

    /// The session has a connection again, or has ended.
    pub(crate) fn remove_parked_replies(&self, id: SessionId) {
        lock(&self.parked_replies).remove(&id);
    }

    /// Takes a session that may hold replies without a connection; it may have reconnected.
    pub(crate) fn next_parked_replies(&self) -> Option<SessionId> {
        lock(&self.parked_replies).pop_first()
    }

    /// Sessions parked at `until_ms` or before; they may have reconnected since.
    pub(crate) fn parked_until(&self, until_ms: u64) -> Vec<Parked> {
        let mut parked = lock(&self.parked);
        std::iter::from_fn(|| parked.pop_front_if(|parked| parked.at_ms <= until_ms)).collect()
    }

    /// Records that a session's tickets are void until the last of them has expired.
    pub(crate) fn revoke(&self, id: SessionId, until_wall_ms: u64) {
        let mut revoked = lock(&self.revoked);
        if revoked.ids.insert(id) {
            revoked.queue.push_back((until_wall_ms, id));
        }
        if revoked.queue.len() > self.revocations_max {
            revoked.forget_oldest();
        }
    }

    pub(crate) fn is_revoked(&self, id: SessionId) -> bool {
        lock(&self.revoked).ids.contains(&id)
    }

    /// Drops revocations whose tickets have expired.
    pub(crate) fn forget_revoked(&self, wall_ms: u64) {
        let mut revoked = lock(&self.revoked);
        while revoked.queue.front().is_some_and(|(until, _)| *until < wall_ms) {
            revoked.forget_oldest();
        }
    }

    /// All sessions at this moment.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        let of_shard = |shard: &Mutex<HashSet<ById>>| {
            lock(shard).iter().map(|found| Arc::clone(&found.0)).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = self.shards.iter().flat_map(of_shard).collect();
        // Sets have no order; the result must not depend on the hasher.
        all.sort_by_key(|session| session.id);
        all
    }

    fn shard(&self, id: SessionId) -> &Mutex<HashSet<ById>> {
        &self.shards[(id.0 % SHARDS as u128) as usize]
    }
}

impl Revoked {
    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.queue.pop_front() {
            self.ids.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revocation_is_kept_until_last_ticket_expires() {
        let sessions = Sessions::new(1, 9);
        sessions.revoke(SessionId(1), 100);
        sessions.forget_revoked(100);
        assert!(sessions.is_revoked(SessionId(1)));
        sessions.forget_revoked(101);
        assert!(!sessions.is_revoked(SessionId(1)));
    }

    #[test]
    fn revocation_beyond_the_limit_forgets_the_oldest() {
        let sessions = Sessions::new(1, 2);
        (1..=3).for_each(|id| sessions.revoke(SessionId(id), 100));
        assert_eq!([1, 2, 3].map(|id| sessions.is_revoked(SessionId(id))), [false, true, true]);
    }
}
