//! The registry of a node's sessions: by id, parked, revoked.
//!
//! Start at [`Sessions::get_or_create`].

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    sync::Arc,
};

use tautline_engine::budget::{Budget, Claimant, Holder};
use tautline_protocol::Now;

use crate::{
    revocations::Revocations,
    session::id::SessionId,
    session::{ById, Session, moved::Moved},
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
    /// Those that were ended for good.
    revocations: Revocations,
    /// Those that other nodes have claimed.
    moved: Moved,
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

impl Sessions {
    /// At most `count_max` sessions, and `revocations_max` ended ones that are remembered.
    pub(crate) fn new(count_max: usize, revocations_max: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            budget: Budget::new(count_max),
            parked: Mutex::default(),
            parked_replies: Mutex::default(),
            revocations: Revocations::new(revocations_max),
            moved: Moved::default(),
        }
    }

    /// What counts the sessions.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
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
        if self.revocations.contains(id) {
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

    pub(crate) const fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    pub(crate) const fn moved(&self) -> &Moved {
        &self.moved
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

    /// All sessions behind this one, a shard at a time; the order is the same each time.
    pub(crate) fn behind(&self, after: Option<SessionId>) -> impl Iterator<Item = Arc<Session>> {
        let first = after.map_or(0, shard_of);
        (first..SHARDS).flat_map(move |number| {
            let shard = lock(&self.shards[number]);
            let is_behind = |id: SessionId| number != first || after.is_none_or(|after| id > after);
            let found = shard.iter().filter(|found| is_behind(found.0.id));
            let mut sessions: Vec<_> = found.map(|found| Arc::clone(&found.0)).collect();
            sessions.sort_by_key(|session| session.id);
            sessions
        })
    }

    fn shard(&self, id: SessionId) -> &Mutex<HashSet<ById>> {
        &self.shards[shard_of(id)]
    }
}

fn shard_of(id: SessionId) -> usize {
    (id.0 % SHARDS as u128) as usize
}
