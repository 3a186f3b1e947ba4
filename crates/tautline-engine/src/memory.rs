//! The memory engine: logs as ring buffers bounded by count, bytes and age. They are lost with the process.
//!
//! Start at [`MemoryEngine::new`].

mod log;
mod logs;

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
};

use tautline_protocol::ChannelName;

use self::logs::LogShares;
pub use self::logs::MemoryLogs;
use crate::{
    Engine, EngineLimits, Job,
    sync::{AtomicUsize, Mutex, Ordering, lock},
};

const SHARDS: usize = 64;
/// Shards that one [`Job::Tidy`] processes.
const SHARDS_A_TIDY: usize = 16;

/// Logs in memory, for tests and for deployments that need no persistence.
pub struct MemoryEngine {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    incarnation: u32,
    shares: LogShares,
    tidy_next: AtomicUsize,
}

struct Shard {
    logs: MemoryLogs,
    /// Outcomes not yet answered. Answered in order and outside of the lock: a callback may submit the next
    /// job.
    outcomes: VecDeque<Outcome>,
    /// A thread is answering.
    telling: bool,
}

type Outcome = Box<dyn FnOnce() + Send>;

impl MemoryEngine {
    /// Empty logs, all of one epoch derived from `incarnation`: they are lost together, so one epoch serves
    /// them all. `incarnation` must be random outside tests. The place of an empty log is remembered for
    /// `remember_ms`, the lifetime of a ticket.
    ///
    /// # Panics
    /// When `incarnation` is 0.
    #[must_use]
    pub fn new(incarnation: u32, limits: &EngineLimits, remember_ms: u64) -> Self {
        assert_ne!(incarnation, 0, "0 is not a valid incarnation");
        let shares = LogShares::new(limits);
        let shard = |_| {
            let logs = MemoryLogs::sharing(incarnation, remember_ms, shares.clone());
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

    /// Runs a job on a shard's logs, and answers it after the earlier ones.
    fn work(&self, shard: &Mutex<Shard>, work: impl FnOnce(&mut MemoryLogs) -> Option<Outcome>) {
        let mut locked = lock(shard);
        let outcome = work(&mut locked.logs);
        let Some(outcome) = outcome else { return };
        if locked.telling {
            // Another thread, or a caller of this one, is answering: it will answer this outcome, too.
            locked.outcomes.push_back(outcome);
            return;
        }
        locked.telling = true;
        drop(locked);
        // The remaining outcomes are answered even if a callback panics.
        let _rest = Telling(shard);
        outcome();
    }
}

/// Answers what was added meanwhile, and stops answering under the same lock in which the queue is found
/// empty.
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
            Job::ForgetUser(job) => {
                for shard in &self.shards {
                    self.work(shard, |logs| {
                        logs.forget_user(&job.user);
                        None
                    });
                }
                job.answer.give(Ok(()));
            }
            // The hub knows them, and this engine does not outlive it.
            Job::Revoke(job) => job.answer.give(Ok(())),
            Job::SaveBan(job) => job.answer.give(Ok(())),
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
