//! Appends that wait, in a queue for each partition. Holders take turns.
//!
//! Start at [`Appends::submit`] and [`Appends::take`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tautline_engine::{Append, Appended, EngineError, budget::Budget, fair_queue::FairQueue};
use tokio::time::Instant;

use crate::{
    answers::give,
    append::Batch,
    options::{APPENDS_BYTES_MAX, APPENDS_MAX},
    partition::{PARTITIONS, Partition},
};

/// Queues of appends.
pub(crate) struct Appends {
    partitions: Box<[Mutex<Waiting>]>,
    jobs: Arc<Budget>,
    bytes: Arc<Budget>,
}

#[derive(Default)]
struct Waiting {
    queue: FairQueue<(Append, Instant)>,
    /// The next one; the last call had no room for it.
    next: Option<(Append, Instant)>,
    /// A task takes from the queue.
    served: bool,
    /// Of the last call.
    number: u64,
}

impl Appends {
    pub(crate) fn new() -> Self {
        let partitions = (0..PARTITIONS).map(|_| Mutex::default()).collect();
        Self { partitions, jobs: Budget::new(APPENDS_MAX), bytes: Budget::new(APPENDS_BYTES_MAX) }
    }

    /// Adds an append. Returns its partition where nothing takes from that queue yet.
    pub(crate) fn submit(&self, append: Append) -> Option<Partition> {
        let (holder, claimant) = (append.holder, append.holder.claimant());
        let bytes = size(&append);
        let full = || Err(EngineError::Full("more is published than Redis takes: try again soon".to_owned()));
        if !self.jobs.take(holder, 1, claimant) {
            give(append.answer, full());
            return None;
        }
        if !self.bytes.take(holder, bytes, claimant) {
            self.jobs.give(holder, 1);
            give(append.answer, full());
            return None;
        }
        let partition = Partition::of(append.channel.as_str());
        let mut waiting = self.lock(partition);
        waiting.queue.push(holder, (append, Instant::now()));
        (!std::mem::replace(&mut waiting.served, true)).then_some(partition)
    }

    fn lock(&self, partition: Partition) -> MutexGuard<'_, Waiting> {
        self.partitions[partition.index()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next call, its number, and when its oldest publication was submitted. `None`: the queue is empty.
    pub(crate) fn take(&self, partition: Partition) -> Option<(Batch, u64, Instant)> {
        let mut waiting = self.lock(partition);
        let Waiting { queue, next, served, number } = &mut *waiting;
        let mut batch = Batch::default();
        let mut oldest = None;
        while let Some((append, at)) = next.take().or_else(|| queue.pop()) {
            match batch.push(append) {
                Ok(()) => oldest = oldest.or(Some(at)).map(|oldest: Instant| oldest.min(at)),
                Err(append) => {
                    *next = Some((append, at));
                    break;
                }
            }
        }
        let Some(oldest) = oldest else {
            queue.shrink();
            *served = false;
            return None;
        };
        *number += 1;
        Some((batch, *number, oldest))
    }

    /// A number that no call of this process in this partition has.
    pub(crate) fn next_number(&self, partition: Partition) -> u64 {
        let mut waiting = self.lock(partition);
        waiting.number += 1;
        waiting.number
    }

    /// Answers an append that was taken.
    pub(crate) fn settle(&self, append: Append, outcome: Result<Appended, EngineError>) {
        self.jobs.give(append.holder, 1);
        self.bytes.give(append.holder, size(&append));
        give(append.answer, outcome);
    }
}

fn size(append: &Append) -> usize {
    let content = &append.content;
    let text = content.data.len() + content.tags.as_ref().map_or(0, |tags| tags.len());
    size_of::<Append>() + append.channel.as_str().len() + text
}
