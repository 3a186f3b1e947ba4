//! The channels of a node that somebody uses: found by name, made when first needed, forgotten when nobody holds them.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use tautline_engine::budget::{Budget, Claimant, Holder};
use tautline_protocol::ChannelName;

use crate::{
    ChannelRule,
    channel::Channel,
    sync::{AtomicU64, AtomicUsize, Mutex, Ordering, lock},
};

const SHARDS: usize = 64;

/// The registry.
pub(crate) struct Channels {
    shards: [Mutex<HashMap<ChannelName, Arc<Channel>>>; SHARDS],
    /// Nobody who chooses names can aim them at one shard, and the same seed spreads them alike.
    seed: u128,
    /// How many there are, and who has opened them.
    budget: Arc<Budget>,
    /// The bytes of presence changes in all of them.
    changes: Arc<Budget>,
    /// How many there ever were.
    made: AtomicU64,
    /// The bytes of all tails.
    tail_bytes: Arc<AtomicUsize>,
    /// The shard that [`Channels::tidy_some`] looks at next.
    tidy_next: AtomicUsize,
}

impl Channels {
    pub(crate) fn new(seed: u128, count_max: usize, changes: Arc<Budget>) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            seed,
            budget: Budget::new(count_max),
            changes,
            made: AtomicU64::new(0),
            tail_bytes: Arc::default(),
            tidy_next: AtomicUsize::new(0),
        }
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

    /// Finds the channel, or makes it with the rule that holds for it. `None`: it would have to be made, and there is no
    /// room for another one of this holder.
    pub(crate) fn get_or_open(
        &self,
        name: &ChannelName,
        holder: Holder,
        rule: impl FnOnce() -> Arc<ChannelRule>,
    ) -> Option<Arc<Channel>> {
        let mut shard = lock(self.shard(name));
        if let Some(found) = shard.get(name) {
            return Some(Arc::clone(found));
        }
        // An inbox is the back end's, whoever opens it.
        let claimant = if name.is_user() { Claimant::Entitled } else { Claimant::Ordinary };
        let claim = self.budget.claim(holder, 1, claimant)?;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let made =
            Channel::new(name.clone(), number, rule(), Arc::clone(&self.tail_bytes), claim, &self.changes);
        shard.insert(name.clone(), Arc::clone(&made));
        Some(made)
    }

    /// Looks at a part of the channels, a few calls see them all: drops what is too old, and forgets those that nobody
    /// holds. `leave` is shown every inbox.
    pub(crate) fn tidy_some(&self, wall_ms: u64, leave: impl Fn(&Channel)) {
        const SHARDS_A_CALL: usize = 16;
        let first = self.tidy_next.fetch_add(SHARDS_A_CALL, Ordering::Relaxed);
        let shards = (first..first + SHARDS_A_CALL).map(|shard| &self.shards[shard % SHARDS]);
        shards.for_each(|shard| self.tidy(shard, wall_ms, &leave));
    }

    /// Shows every inbox to `look`.
    pub(crate) fn each_inbox(&self, look: impl Fn(&Channel)) {
        for shard in &self.shards {
            lock(shard).values().filter(|channel| channel.name.is_user()).for_each(|channel| look(channel));
        }
    }

    fn tidy(
        &self,
        shard: &Mutex<HashMap<ChannelName, Arc<Channel>>>,
        wall_ms: u64,
        leave: &impl Fn(&Channel),
    ) {
        let mut shard = lock(shard);
        shard.retain(|_, channel| {
            if channel.name.is_user() {
                leave(channel);
            }
            // Who holds a channel got it here, under this lock: where it is held by nothing else, it is nobody's.
            channel.expire(wall_ms);
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
