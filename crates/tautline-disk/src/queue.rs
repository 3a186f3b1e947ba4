//! A bounded queue that threads wait at.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// Jobs that wait for a thread.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
    jobs_max: usize,
    bytes_max: usize,
}

struct State<T> {
    jobs: VecDeque<(T, usize)>,
    bytes: usize,
    /// Threads that wait for a job. Waking costs a system call, so nobody is woken who is awake.
    waiting: usize,
    closed: bool,
}

/// Why a job was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

impl<T> Queue<T> {
    pub(crate) fn new(jobs_max: usize, bytes_max: usize) -> Self {
        let state = State { jobs: VecDeque::new(), bytes: 0, waiting: 0, closed: false };
        Self { state: Mutex::new(state), ready: Condvar::new(), jobs_max, bytes_max }
    }

    /// Adds a job, or gives it back. Never waits.
    pub(crate) fn push(&self, job: T, bytes: usize) -> Result<(), (T, Refused)> {
        let mut state = self.lock();
        if state.closed {
            return Err((job, Refused::Closed));
        }
        if state.jobs.len() >= self.jobs_max || state.bytes >= self.bytes_max {
            return Err((job, Refused::Full));
        }
        state.jobs.push_back((job, bytes));
        state.bytes += bytes;
        let wake = state.waiting > 0;
        drop(state);
        if wake {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Waits for jobs and takes all there are, within bounds, one at least. `None`: it is closed, and all were taken.
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
            && let Some((job, size)) = state.jobs.pop_front()
        {
            bytes += size;
            taken.push(job);
        }
        state.bytes -= bytes;
        if state.jobs.is_empty() {
            // What a burst took is given back.
            state.jobs.shrink_to(1024);
        }
        Some(taken)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().jobs.is_empty()
    }

    /// Takes no more jobs. Those that wait are still taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    /// Takes no more jobs, and gives up those that wait.
    pub(crate) fn abandon(&self) {
        self.close();
        // Dropped outside of the lock: what a dropped job answers may come back here.
        let jobs = std::mem::take(&mut self.lock().jobs);
        drop(jobs);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_taken_together_within_bounds() {
        let queue = Queue::new(99, 99);
        (1..=5).for_each(|job| queue.push(job, 10).expect("there is room"));
        assert_eq!(queue.take(2, 99), Some(vec![1, 2]));
        assert_eq!(queue.take(99, 11), Some(vec![3, 4]));
        assert_eq!(queue.take(99, 1), Some(vec![5]), "one at least");
    }

    #[test]
    fn a_full_queue_gives_the_job_back() {
        let queue = Queue::new(2, 15);
        assert_eq!(queue.push('a', 1), Ok(()));
        assert_eq!(queue.push('b', 99), Ok(()));
        assert_eq!(queue.push('c', 1), Err(('c', Refused::Full)));
        queue.take(1, 1);
        assert_eq!(queue.push('c', 1), Err(('c', Refused::Full)), "by bytes");
    }

    #[test]
    fn a_closed_queue_is_emptied_and_refuses() {
        let queue = Queue::new(9, 9);
        queue.push(1, 1).expect("there is room");
        queue.close();
        assert_eq!(queue.push(2, 1), Err((2, Refused::Closed)));
        assert_eq!(queue.take(9, 9), Some(vec![1]));
        assert_eq!(queue.take(9, 9), None);
    }
}
