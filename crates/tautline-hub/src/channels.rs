//! All channels of a node: found by name, made when first needed, forgotten when idle.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tautline_protocol::ChannelName;

use crate::{
    ChannelRule,
    channel::{Channel, Remains, Standing},
    sync::lock,
};

const SHARDS: usize = 64;

/// The registry.
pub(crate) struct Channels {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    count: AtomicUsize,
    /// Forgotten logs that a shard remembers. Beyond it idle channels stay open, and count against the node's ceiling of
    /// channels: a log that began anew at 1 could not tell an old cursor that something is missing.
    remains_max: usize,
    /// The shard that [`Channels::tidy_some`] looks at next.
    tidy_next: AtomicUsize,
}

#[derive(Default)]
struct Shard {
    open: HashMap<ChannelName, Arc<Channel>>,
    /// Where forgotten logs stood, so that forgetting makes no false gaps, and the wall time until which a ticket may
    /// still name them.
    remains: HashMap<ChannelName, (Remains, u64)>,
    /// The same times, rising.
    remains_until: VecDeque<(u64, ChannelName)>,
}

impl Channels {
    /// An empty registry that remembers about as many forgotten logs as there may be channels.
    pub(crate) fn new(channel_count_max: usize) -> Self {
        Self {
            remains_max: channel_count_max.div_ceil(SHARDS),
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            count: AtomicUsize::new(0),
            tidy_next: AtomicUsize::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn get(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        lock(self.shard(name)).open.get(name).cloned()
    }

    /// What became of a channel's publications, where any are known of.
    pub(crate) fn standing(&self, name: &ChannelName) -> Standing {
        let shard = lock(self.shard(name));
        if let Some(open) = shard.open.get(name) {
            return open.standing();
        }
        let remains = shard.remains.get(name).map(|(remains, _)| remains);
        remains.map_or_else(Standing::default, |remains| Standing {
            head: remains.offset,
            head_at: remains.at,
            base: remains.offset,
            delivered: remains.delivered,
            subscribers: 0,
        })
    }

    /// Finds the channel, or makes it with the rule that holds for it.
    pub(crate) fn get_or_open(
        &self,
        name: &ChannelName,
        rule: impl FnOnce() -> Arc<ChannelRule>,
    ) -> Arc<Channel> {
        let mut shard = lock(self.shard(name));
        if let Some(found) = shard.open.get(name) {
            return Arc::clone(found);
        }
        let made = Channel::new(name.clone(), rule(), shard.remains.get(name).map(|(remains, _)| remains));
        shard.open.insert(name.clone(), Arc::clone(&made));
        self.count.fetch_add(1, Ordering::Relaxed);
        made
    }

    /// Drops what is too old in a part of the channels and forgets the idle ones; a few calls see them all. Returns how
    /// many bytes the logs gave back.
    pub(crate) fn tidy_some(&self, wall_ms: u64, remember_ms: u64) -> usize {
        const SHARDS_A_CALL: usize = 16;
        let first = self.tidy_next.fetch_add(SHARDS_A_CALL, Ordering::Relaxed);
        (first..first + SHARDS_A_CALL)
            .map(|shard| self.tidy_shard(shard % SHARDS, wall_ms, remember_ms))
            .sum()
    }

    fn tidy_shard(&self, index: usize, wall_ms: u64, remember_ms: u64) -> usize {
        let mut shard = lock(&self.shards[index]);
        let shard = &mut *shard;
        let mut bytes = 0;
        let mut forgotten = Vec::new();
        for (name, channel) in &shard.open {
            let has_room =
                shard.remains.len() + forgotten.len() < self.remains_max || shard.remains.contains_key(name);
            let (given_back, remains) = channel.tidy(wall_ms, has_room);
            bytes += given_back;
            forgotten.extend(remains.map(|remains| (name.clone(), remains)));
        }
        self.count.fetch_sub(forgotten.len(), Ordering::Relaxed);
        for (name, remains) in forgotten {
            shard.open.remove(&name);
            // A log that never had a publication stands at 0, as a new one does.
            if remains.offset > 0 {
                let until = wall_ms + remember_ms;
                if shard.remains.insert(name.clone(), (remains, until)).is_none() {
                    shard.remains_until.push_back((until, name));
                }
            }
        }
        if shard.open.len() * 4 < shard.open.capacity() {
            shard.open.shrink_to_fit();
        }
        shard.forget_remains(wall_ms);
        bytes
    }

    fn shard(&self, name: &ChannelName) -> &Mutex<Shard> {
        &self.shards[usize::try_from(self.hasher.hash_one(name) % SHARDS as u64).expect("below SHARDS")]
    }
}

impl Shard {
    fn forget_remains(&mut self, wall_ms: u64) {
        while let Some((due, name)) = self.remains_until.pop_front_if(|(until, _)| *until < wall_ms) {
            match self.remains.get(&name) {
                // It was opened and forgotten again since: its one entry goes back to the end.
                Some((_, until)) if *until > due => self.remains_until.push_back((*until, name)),
                _ => drop(self.remains.remove(&name)),
            }
        }
    }
}
