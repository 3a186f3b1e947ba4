//! How far users have taken the channels that keep an acknowledged position: one a user and channel, the highest wins.
//!
//! Losing a position costs a redelivery and nothing else, so there is a ceiling beyond which new ones are not kept.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tautline_protocol::{ChannelName, UserId};

use crate::sync::lock;

const SHARDS: usize = 16;

/// All positions of a node.
pub(crate) struct Acks {
    shards: [Mutex<HashMap<(UserId, ChannelName), u64>>; SHARDS],
    hasher: RandomState,
    count: AtomicUsize,
    count_max: usize,
}

impl Acks {
    pub(crate) fn new(count_max: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            count: AtomicUsize::new(0),
            count_max,
        }
    }

    /// The user's app has taken everything up to `offset`. An older position changes nothing.
    pub(crate) fn advance(&self, user: &UserId, channel: &ChannelName, offset: u64) {
        let key = (user.clone(), channel.clone());
        let mut shard = lock(self.shard(&key));
        if let Some(acknowledged) = shard.get_mut(&key) {
            *acknowledged = offset.max(*acknowledged);
        } else if self.count.load(Ordering::Relaxed) < self.count_max {
            self.count.fetch_add(1, Ordering::Relaxed);
            shard.insert(key, offset);
        }
    }

    /// How far the user has taken the channel; none where nothing was ever acknowledged.
    pub(crate) fn get(&self, user: &UserId, channel: &ChannelName) -> Option<u64> {
        let key = (user.clone(), channel.clone());
        lock(self.shard(&key)).get(&key).copied()
    }

    fn shard(&self, key: &(UserId, ChannelName)) -> &Mutex<HashMap<(UserId, ChannelName), u64>> {
        &self.shards[usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).expect("below SHARDS")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_position_wins_and_there_is_a_ceiling() {
        let acks = Acks::new(1);
        let (ann, bob) = (UserId::parse("ann").expect("valid"), UserId::parse("bob").expect("valid"));
        let channel = ChannelName::parse("room:7").expect("valid");
        assert_eq!(acks.get(&ann, &channel), None);
        acks.advance(&ann, &channel, 7);
        acks.advance(&ann, &channel, 3);
        assert_eq!(acks.get(&ann, &channel), Some(7));
        acks.advance(&bob, &channel, 7);
        assert_eq!(acks.get(&bob, &channel), None, "not kept: bob will get everything once more");
        acks.advance(&ann, &channel, 8);
        assert_eq!(acks.get(&ann, &channel), Some(8));
    }
}
