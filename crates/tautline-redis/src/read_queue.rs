//! Stats and pages that wait. Holders take turns.
//!
//! Start at [`Reads::submit`] and [`Reads::take`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tautline_engine::{
    EngineError, Read, StatRequest,
    budget::{Budget, Holder},
    fair_queue::FairQueue,
};
use tokio::time::Instant;

use crate::{
    answers::give,
    options::{READS_AT_ONCE, READS_MAX},
};

/// Jobs that read.
pub(crate) struct Reads {
    waiting: Mutex<Waiting>,
    jobs: Arc<Budget>,
}

#[derive(Default)]
struct Waiting {
    queue: FairQueue<(ReadJob, Instant)>,
    running: usize,
}

/// A job that reads.
pub(crate) enum ReadJob {
    Stat(StatRequest),
    Read(Read),
}

impl ReadJob {
    const fn holder(&self) -> Holder {
        match self {
            Self::Stat(job) => job.holder,
            Self::Read(job) => job.holder,
        }
    }

    fn refuse(self, error: EngineError) {
        match self {
            Self::Stat(job) => give(job.answer, Err(error)),
            Self::Read(job) => give(job.answer, Err(error)),
        }
    }
}

impl Reads {
    pub(crate) fn new() -> Self {
        Self { waiting: Mutex::default(), jobs: Budget::new(READS_MAX) }
    }

    /// Adds a job. True: one more task is to serve the queue.
    pub(crate) fn submit(&self, job: ReadJob) -> bool {
        let holder = job.holder();
        if !self.jobs.take(holder, 1, holder.claimant()) {
            let words = "more is read than Redis can give: try again soon";
            job.refuse(EngineError::Unavailable(words.to_owned()));
            return false;
        }
        let mut waiting = self.lock();
        waiting.queue.push(holder, (job, Instant::now()));
        let begins = waiting.running < READS_AT_ONCE;
        waiting.running += usize::from(begins);
        begins
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job, and when it was submitted. `None`: the task that asked ends.
    pub(crate) fn take(&self) -> Option<(ReadJob, Instant)> {
        let mut waiting = self.lock();
        let job = waiting.queue.pop();
        match &job {
            Some((job, _)) => self.jobs.give(job.holder(), 1),
            None => {
                waiting.running -= 1;
                waiting.queue.shrink();
            }
        }
        job
    }
}
