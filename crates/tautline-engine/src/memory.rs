//! The engine that keeps all logs in memory: rings bounded by count, bytes and age. They are lost with the process.

mod log;
mod logs;

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
};

use tautline_protocol::{ChannelName, Limits};

use self::logs::LogShares;
pub use self::logs::MemoryLogs;
use crate::{
    Engine, Job,
    sync::{AtomicUsize, Mutex, Ordering, lock},
};

const SHARDS: usize = 64;
/// Shards that one [`Job::Tidy`] looks at.
const SHARDS_A_TIDY: usize = 16;

/// Logs in memory, for tests and for those who want it.
pub struct MemoryEngine {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    incarnation: u32,
    shares: LogShares,
    tidy_next: AtomicUsize,
}

struct Shard {
    logs: MemoryLogs,
    /// What was done and not told yet. Told in order, and outside of the lock: an answer may bring the next job.
    outcomes: VecDeque<Outcome>,
    /// Somebody is telling.
    telling: bool,
}

type Outcome = Box<dyn FnOnce() + Send>;

impl MemoryEngine {
    /// Empty logs, all of one epoch that follows from `life`: they are lost together, so one epoch serves them all. `life`
    /// must be random outside tests.
    ///
    /// # Panics
    /// When `life` is 0.
    #[must_use]
    pub fn new(incarnation: u32, limits: &Limits) -> Self {
        assert_ne!(incarnation, 0, "0 is nobody's life");
        let shares = LogShares::new(limits);
        let shard = |_| {
            let logs = MemoryLogs::sharing(incarnation, limits, shares.clone());
            Mutex::new(Shard { logs, outcomes: VecDeque::new(), telling: false })
        };
        Self {
            shards: std::array::from_fn(shard),
            hasher: RandomState::new(),
            incarnation,
            shares: shares.clone(),
            tidy_next: AtomicUsize::new(0),
        }
    }

    fn shard(&self, channel: &ChannelName) -> &Mutex<Shard> {
        &self.shards[usize::try_from(self.hasher.hash_one(channel) % SHARDS as u64).expect("below SHARDS")]
    }

    /// Works on a shard's logs, and tells what comes of it once those before it were told.
    fn work(&self, shard: &Mutex<Shard>, work: impl FnOnce(&mut MemoryLogs) -> Option<Outcome>) {
        let mut locked = lock(shard);
        let outcome = work(&mut locked.logs);
        let Some(outcome) = outcome else { return };
        if locked.telling {
            // By another thread, or further up in this one: it will tell this one, too.
            locked.outcomes.push_back(outcome);
            return;
        }
        locked.telling = true;
        drop(locked);
        // Even when an outcome panics, those behind it are told.
        let _rest = Telling(shard);
        outcome();
    }
}

/// Tells what was added meanwhile, and ends the telling in the same moment in which nothing is left.
struct Telling<'a>(&'a Mutex<Shard>);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        loop {
            let outcome = {
                let mut shard = lock(self.0);
                let next = shard.outcomes.pop_front();
                shard.telling = next.is_some();
                next
            };
            match outcome {
                Some(outcome) => outcome(),
                None => return,
            }
        }
    }
}

impl Engine for MemoryEngine {
    fn submit(&self, job: Job) {
        match job {
            Job::Append(job) => self.work(self.shard(&job.channel), |logs| {
                let outcome = logs.append(&job);
                Some(Box::new(move || job.answer.give(outcome)))
            }),
            Job::Stat(job) => self.work(self.shard(&job.channel), |logs| {
                let stat = logs.stat(&job);
                Some(Box::new(move || job.answer.give(Ok(stat))))
            }),
            Job::Read(job) => self.work(self.shard(&job.channel), |logs| {
                let page = logs.read(&job);
                Some(Box::new(move || job.answer.give(Ok(page))))
            }),
            Job::SavePositions(job) => {
                for mark in job.updates {
                    self.work(self.shard(&mark.channel), |logs| {
                        logs.keep(&mark);
                        None
                    });
                }
                job.answer.give(Ok(()));
            }
            // Whoever asks knows it, and nothing here outlives them.
            Job::Revoke(job) => job.answer.give(Ok(())),
            Job::Tidy { wall_ms, retention, in_use } => {
                let first = self.tidy_next.fetch_add(SHARDS_A_TIDY, Ordering::Relaxed);
                for shard in first..first + SHARDS_A_TIDY {
                    self.work(&self.shards[shard % SHARDS], |logs| {
                        logs.tidy(wall_ms, &retention, &in_use);
                        None
                    });
                }
            }
        }
    }

    fn incarnation(&self) -> u32 {
        self.incarnation
    }

    fn bytes(&self) -> usize {
        self.shares.bytes.used()
    }
}

impl std::fmt::Debug for MemoryEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryEngine").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}
