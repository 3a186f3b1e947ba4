//! The channels in use on a node: found by name, created on first use, dropped when no reference is left.
//!
//! Start at [`Channels::get_or_open`].

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use tautline_engine::budget::{Budget, Claimant, Holder};
use tautline_protocol::ChannelName;

use crate::{
    PresenceMode,
    budgets::Budgets,
    channel::Channel,
    sync::{AtomicU64, AtomicUsize, Mutex, Ordering, lock},
};

const SHARDS: usize = 64;

/// The registry.
pub(crate) struct Channels {
    shards: [Mutex<HashMap<ChannelName, Arc<Channel>>>; SHARDS],
    /// Keyed, so that a client that chooses names cannot aim at one shard; the same seed gives the same
    /// distribution.
    seed: u128,
    /// Counts the channels, each held by its opener.
    budget: Arc<Budget>,
    /// The budgets that channels share with the rest of the node.
    budgets: Arc<Budgets>,
    /// The number of channels ever created.
    made: AtomicU64,
    /// The bytes of all tails.
    tail_bytes: Arc<AtomicUsize>,
    /// The next shard for [`Channels::tidy_some`].
    tidy_next: AtomicUsize,
    /// The next shard for [`Channels::each_of_some`].
    look_next: AtomicUsize,
}

impl Channels {
    pub(crate) fn new(seed: u128, count_max: usize, budgets: Arc<Budgets>) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            seed,
            budget: Budget::new(count_max),
            budgets,
            made: AtomicU64::new(0),
            tail_bytes: Arc::default(),
            tidy_next: AtomicUsize::new(0),
            look_next: AtomicUsize::new(0),
        }
    }

    /// What counts the channels.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn len(&self) -> usize {
        self.budget.used()
    }

    /// Bytes of all tails.
    pub(crate) fn tail_bytes(&self) -> usize {
        self.tail_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn get(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        lock(self.shard(name)).get(name).cloned()
    }

    /// Finds the channel, or creates it with the presence that its rule gives it. `None`: it would have to be
    /// created, and its holder's share leaves no room.
    pub(crate) fn get_or_open(
        &self,
        name: &ChannelName,
        holder: Holder,
        presence: impl FnOnce() -> PresenceMode,
    ) -> Option<Arc<Channel>> {
        let mut shard = lock(self.shard(name));
        if let Some(found) = shard.get(name) {
            return Some(Arc::clone(found));
        }
        // An inbox counts for the back end, regardless of its opener.
        let claimant = if name.is_user() { Claimant::Entitled } else { Claimant::Ordinary };
        let claim = self.budget.claim(holder, 1, claimant)?;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let tail_bytes = Arc::clone(&self.tail_bytes);
        let made = Channel::new(name.clone(), number, presence(), tail_bytes, claim, &self.budgets);
        shard.insert(name.clone(), Arc::clone(&made));
        Some(made)
    }

    /// Tidies some of the shards; a few calls cover all of them. Drops expired publications and channels
    /// without references. `leave` is called with every inbox.
    pub(crate) fn tidy_some(
        &self,
        wall_ms: u64,
        age_ms: impl Fn(&ChannelName) -> u64,
        leave: impl Fn(&Channel),
    ) {
        const SHARDS_A_CALL: usize = 16;
        let first = self.tidy_next.fetch_add(SHARDS_A_CALL, Ordering::Relaxed);
        let shards = (first..first + SHARDS_A_CALL).map(|shard| &self.shards[shard % SHARDS]);
        shards.for_each(|shard| self.tidy(shard, wall_ms, &age_ms, &leave));
    }

    /// Calls `look` with channels, whole shards until `channels_max` were looked at; the next call goes on behind them.
    /// True: with all of them.
    pub(crate) fn each_of_some(&self, channels_max: usize, mut look: impl FnMut(&Channel)) -> bool {
        let first = self.look_next.load(Ordering::Relaxed);
        let mut looked = 0;
        for count in 0..SHARDS {
            if looked >= channels_max {
                self.look_next.store((first + count) % SHARDS, Ordering::Relaxed);
                return false;
            }
            let shard = lock(&self.shards[(first + count) % SHARDS]);
            let channels: Vec<_> = shard.values().map(Arc::clone).collect();
            drop(shard);
            looked += channels.len();
            channels.iter().for_each(|channel| look(channel));
        }
        true
    }

    /// Calls `look` with every inbox.
    pub(crate) fn each_inbox(&self, look: impl Fn(&Channel)) {
        for shard in &self.shards {
            lock(shard).values().filter(|channel| channel.name.is_user()).for_each(|channel| look(channel));
        }
    }

    fn tidy(
        &self,
        shard: &Mutex<HashMap<ChannelName, Arc<Channel>>>,
        wall_ms: u64,
        age_ms: &impl Fn(&ChannelName) -> u64,
        leave: &impl Fn(&Channel),
    ) {
        let mut shard = lock(shard);
        shard.retain(|_, channel| {
            if channel.name.is_user() {
                leave(channel);
            }
            // References to a channel are handed out under this lock only: a channel without any other
            // reference is unused.
            channel.expire(wall_ms, age_ms(&channel.name));
            Arc::strong_count(channel) > 1
        });
        if shard.len() * 4 < shard.capacity() {
            shard.shrink_to_fit();
        }
    }

    fn shard(&self, name: &ChannelName) -> &Mutex<HashMap<ChannelName, Arc<Channel>>> {
        let mut hasher = DefaultHasher::new();
        (self.seed, name).hash(&mut hasher);
        &self.shards[usize::try_from(hasher.finish() % SHARDS as u64).expect("below SHARDS")]
    }
}
