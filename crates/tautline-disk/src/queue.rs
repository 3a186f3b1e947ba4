//! A bounded queue that threads wait at. Holders take turns ([`FairQueue`]), within shares of its length.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tautline_engine::{
    budget::{Holder, RESERVED_PART, admits},
    fair_queue::FairQueue,
};

/// Jobs that wait for a thread.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
    jobs_max: usize,
    bytes_max: usize,
}

struct State<T> {
    /// Each with its size in bytes.
    jobs: FairQueue<(T, usize)>,
    bytes: usize,
    /// Threads that wait for a job. A wake is a system call, so none is made while no thread waits.
    waiting: usize,
    closed: bool,
}

/// Why a job was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The queue is full, or the holder has used up its share.
    Full,
    Closed,
}

impl<T> Queue<T> {
    pub(crate) fn new(jobs_max: usize, bytes_max: usize) -> Self {
        let state = State { jobs: FairQueue::default(), bytes: 0, waiting: 0, closed: false };
        Self { state: Mutex::new(state), ready: Condvar::new(), jobs_max, bytes_max }
    }

    /// Adds a job behind the others of its holder, or gives it back. Never waits.
    pub(crate) fn push(&self, holder: Holder, job: T, bytes: usize) -> Result<(), (T, Refused)> {
        let mut state = self.lock();
        if state.closed {
            return Err((job, Refused::Closed));
        }
        let (used, held) = (state.jobs.len(), state.jobs.len_of(holder));
        let reserved = self.jobs_max / RESERVED_PART;
        let has_room = admits(self.jobs_max, reserved, used, held, 1, holder.claimant());
        if state.bytes >= self.bytes_max || !has_room {
            return Err((job, Refused::Full));
        }
        state.jobs.push(holder, (job, bytes));
        state.bytes += bytes;
        let wake = state.waiting > 0;
        drop(state);
        if wake {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Waits for jobs and takes as many as the bounds allow, one at least. `None`: the queue is closed and empty.
    pub(crate) fn take(&self, jobs_max: usize, bytes_max: usize) -> Option<Vec<T>> {
        let mut state = self.lock();
        while state.jobs.is_empty() {
            if state.closed {
                return None;
            }
            state.waiting += 1;
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < jobs_max
            && bytes < bytes_max
            && let Some((job, size)) = state.jobs.pop()
        {
            state.bytes -= size;
            bytes += size;
            taken.push(job);
        }
        if state.jobs.is_empty() {
            state.jobs.shrink();
        }
        Some(taken)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().jobs.is_empty()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Takes no more jobs. Those that wait are still taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    /// Takes no more jobs, and gives up those that wait.
    pub(crate) fn abandon(&self) {
        self.close();
        // Dropped outside of the lock: the answer of a dropped job may submit the next one.
        let mut state = self.lock();
        let jobs = std::mem::take(&mut state.jobs);
        state.bytes = 0;
        drop(state);
        drop(jobs);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Holder = Holder::of_hash(1);

    #[test]
    fn waiting_jobs_are_taken_together_within_bounds() {
        let queue = Queue::new(99, 99);
        (1..=5).for_each(|job| queue.push(ANN, job, 10).expect("there is room"));
        assert_eq!(queue.take(2, 99), Some(vec![1, 2]));
        assert_eq!(queue.take(99, 11), Some(vec![3, 4]));
        assert_eq!(queue.take(99, 1), Some(vec![5]), "one at least");
    }

    #[test]
    fn greedy_holder_fills_half_and_a_thousand_find_room() {
        let queue = Queue::new(8_000, usize::MAX);
        let greedy = (0..).take_while(|job| queue.push(ANN, *job, 1).is_ok()).count();
        assert_eq!(greedy, 3_501, "half of what is not reserved");
        let others: Vec<_> = (10..1_010).map(Holder::of_hash).collect();
        assert!(others.iter().all(|holder| queue.push(*holder, 9_999, 1).is_ok()));
        let next = queue.take(1_001, usize::MAX).expect("it is open");
        assert_eq!(next.iter().filter(|job| **job == 9_999).count(), 1_000, "each behind one of the greedy");
    }

    #[test]
    fn reserve_of_a_full_queue_is_for_the_back_end() {
        let queue = Queue::new(80, usize::MAX);
        let full = (1..=200).filter(|n| queue.push(Holder::of_hash(*n), 0, 1).is_ok()).count();
        assert_eq!(full, 70);
        assert_eq!((0..20).filter(|_| queue.push(Holder::BACK_END, 0, 1).is_ok()).count(), 10);
    }

    #[test]
    fn full_queue_gives_the_job_back() {
        let queue = Queue::new(2, 15);
        let push = |job, bytes| queue.push(Holder::BACK_END, job, bytes);
        assert_eq!(push('a', 1), Ok(()));
        assert_eq!(push('b', 99), Ok(()));
        assert_eq!(push('c', 1), Err(('c', Refused::Full)));
        queue.take(1, 1);
        assert_eq!(push('c', 1), Err(('c', Refused::Full)), "by bytes");
    }

    #[test]
    fn closed_queue_is_emptied_and_refuses() {
        let queue = Queue::new(9, 9);
        queue.push(ANN, 1, 1).expect("there is room");
        queue.close();
        assert_eq!(queue.push(ANN, 2, 1), Err((2, Refused::Closed)));
        assert_eq!(queue.take(9, 9), Some(vec![1]));
        assert_eq!(queue.take(9, 9), None);
    }
}
