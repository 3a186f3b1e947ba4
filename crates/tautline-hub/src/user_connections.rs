//! A ceiling for the connections of each user.
//!
//! Start at [`UserConnections::admit`]. Keeps nothing of a connection alive: entries of closed ones are dropped when
//! their user comes again, or by [`UserConnections::tidy_some`].

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    num::NonZero,
    sync::{Arc, Weak},
};

use serde::Deserialize;
use tautline_protocol::{ByeCode, UserId, packet::server::Bye};

use crate::{
    mailbox::PeerMailbox,
    session::id::SessionId,
    sync::{AtomicUsize, Mutex, Ordering, lock},
};

const SHARDS: usize = 16;

/// Which connection of a user is closed where there is one too many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConnectionBeyond {
    /// The one that was opened first: `bye{kicked}`.
    #[default]
    CloseOldest,
    /// The new one: `bye{rate_limited}`.
    RefuseNewest,
}

/// The connections of all users, each in the order of opening.
pub(crate) struct UserConnections {
    max: usize,
    beyond: ConnectionBeyond,
    shards: [Mutex<HashMap<UserId, Vec<UserConnection>>>; SHARDS],
    hasher: RandomState,
    tidy_next: AtomicUsize,
}

struct UserConnection {
    session: SessionId,
    mailbox: Weak<PeerMailbox>,
}

impl UserConnections {
    /// `None` without a ceiling.
    pub(crate) fn new(max: Option<NonZero<usize>>, beyond: ConnectionBeyond) -> Option<Self> {
        let (shards, hasher) = (std::array::from_fn(|_| Mutex::default()), RandomState::new());
        max.map(|max| Self { max: max.get(), beyond, shards, hasher, tidy_next: AtomicUsize::new(0) })
    }

    pub(crate) const fn max(&self) -> usize {
        self.max
    }

    pub(crate) const fn beyond(&self) -> ConnectionBeyond {
        self.beyond
    }

    /// Counts a connection that is open already, however many there are. In the order of opening: the ceiling may be
    /// younger than it.
    pub(crate) fn count(&self, user: &UserId, session: SessionId, mailbox: &Arc<PeerMailbox>) {
        let mut shard = lock(self.shard(user));
        let connections = shard.entry(user.clone()).or_default();
        if connections.iter().any(|other| other.session == session) {
            return;
        }
        let is_older = |other: &UserConnection| {
            other.mailbox.upgrade().is_none_or(|other| other.connection < mailbox.connection)
        };
        let place = connections.partition_point(is_older);
        connections.insert(place, UserConnection { session, mailbox: Arc::downgrade(mailbox) });
    }

    /// Adds the connection of a user's session in the place of the session's earlier one. False: it is one too many.
    pub(crate) fn admit(&self, user: &UserId, session: SessionId, mailbox: &Arc<PeerMailbox>) -> bool {
        let mut shard = lock(self.shard(user));
        let connections = shard.entry(user.clone()).or_default();
        connections.retain(|other| other.session != session && other.mailbox.strong_count() > 0);
        while connections.len() >= self.max {
            if self.beyond == ConnectionBeyond::RefuseNewest {
                return false;
            }
            if let Some(oldest) = connections.remove(0).mailbox.upgrade() {
                let words = "the user has another connection, and as many as it may have: this is the oldest";
                oldest.close_with(Bye::new(ByeCode::Kicked, words));
            }
        }
        connections.push(UserConnection { session, mailbox: Arc::downgrade(mailbox) });
        true
    }

    /// Drops the entries of closed connections, of one shard. Call about once a second.
    pub(crate) fn tidy_some(&self) {
        let next = self.tidy_next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let mut shard = lock(&self.shards[next]);
        shard.retain(|_, connections| {
            connections.retain(|connection| connection.mailbox.strong_count() > 0);
            !connections.is_empty()
        });
        if shard.len() * 4 < shard.capacity() {
            shard.shrink_to_fit();
        }
    }

    fn shard(&self, user: &UserId) -> &Mutex<HashMap<UserId, Vec<UserConnection>>> {
        let shard = self.hasher.hash_one(user) % SHARDS as u64;
        &self.shards[usize::try_from(shard).expect("below SHARDS")]
    }
}
