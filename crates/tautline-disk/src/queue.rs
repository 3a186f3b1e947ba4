//! A bounded queue that threads wait at, and at which holders take turns: one that has asked for much delays another one by
//! a job at a time.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use tautline_engine::budget::{Holder, RESERVED_PART};

/// Lists that are kept for holders to come, so that each job need not allocate one.
const SPARE_MAX: usize = 64;
/// How many jobs a list that is kept has room for.
const SPARE_JOBS_MAX: usize = 64;

/// Jobs that wait for a thread.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
    jobs_max: usize,
    bytes_max: usize,
}

/// The jobs of one holder, each with its size, in the order in which they came.
type Lane<T> = VecDeque<(T, usize)>;

struct State<T> {
    /// Never an empty one.
    lanes: HashMap<Holder, Lane<T>>,
    /// Whose turn it is next.
    order: VecDeque<Holder>,
    spare: Vec<Lane<T>>,
    jobs: usize,
    bytes: usize,
    /// Threads that wait for a job. Waking costs a system call, so nobody is woken who is awake.
    waiting: usize,
    closed: bool,
}

/// Why a job was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no room, or its holder has its share.
    Full,
    Closed,
}

impl<T> Queue<T> {
    pub(crate) fn new(jobs_max: usize, bytes_max: usize) -> Self {
        let state = State {
            lanes: HashMap::new(),
            order: VecDeque::new(),
            spare: Vec::new(),
            jobs: 0,
            bytes: 0,
            waiting: 0,
            closed: false,
        };
        Self { state: Mutex::new(state), ready: Condvar::new(), jobs_max, bytes_max }
    }

    /// Adds a job behind the others of its holder, or gives it back. Never waits.
    pub(crate) fn push(&self, holder: Holder, job: T, bytes: usize) -> Result<(), (T, Refused)> {
        let mut state = self.lock();
        if state.closed {
            return Err((job, Refused::Closed));
        }
        if state.bytes >= self.bytes_max || !state.has_room(holder, self.jobs_max) {
            return Err((job, Refused::Full));
        }
        state.push(holder, job, bytes);
        let wake = state.waiting > 0;
        drop(state);
        if wake {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Waits for jobs and takes all there are, within bounds, one at least; holders take turns. `None`: it is closed, and all
    /// were taken.
    pub(crate) fn take(&self, jobs_max: usize, bytes_max: usize) -> Option<Vec<T>> {
        let mut state = self.lock();
        while state.jobs == 0 {
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
            && let Some((job, size)) = state.pop()
        {
            bytes += size;
            taken.push(job);
        }
        if state.jobs == 0 {
            // What a burst took is given back.
            state.order.shrink_to(1024);
            state.lanes.shrink_to(1024);
        }
        Some(taken)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().jobs == 0
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
        // Dropped outside of the lock: what a dropped job answers may come back here.
        let mut state = self.lock();
        let jobs = std::mem::take(&mut state.lanes);
        (state.jobs, state.bytes) = (0, 0);
        state.order.clear();
        drop(state);
        drop(jobs);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// Whether one job more of this holder may wait: the rules of [`tautline_engine::budget`], by an exact count.
    fn has_room(&self, holder: Holder, jobs_max: usize) -> bool {
        let free = jobs_max.saturating_sub(self.jobs);
        if holder == Holder::BACK_END {
            return free > 0;
        }
        let free = free.saturating_sub(jobs_max / RESERVED_PART);
        free > 0 && self.lanes.get(&holder).map_or(0, VecDeque::len) <= free
    }

    fn push(&mut self, holder: Holder, job: T, bytes: usize) {
        let Self { lanes, order, spare, .. } = self;
        let lane = lanes.entry(holder).or_insert_with(|| {
            order.push_back(holder);
            spare.pop().unwrap_or_default()
        });
        lane.push_back((job, bytes));
        self.jobs += 1;
        self.bytes += bytes;
    }

    /// The next job of the holder whose turn it is.
    fn pop(&mut self) -> Option<(T, usize)> {
        let holder = self.order.pop_front()?;
        let lane = self.lanes.get_mut(&holder)?;
        let next = lane.pop_front()?;
        if !lane.is_empty() {
            self.order.push_back(holder);
        } else if let Some(lane) = self.lanes.remove(&holder)
            && self.spare.len() < SPARE_MAX
            && lane.capacity() <= SPARE_JOBS_MAX
        {
            self.spare.push(lane);
        }
        self.jobs -= 1;
        self.bytes -= next.1;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Holder = Holder::of_hash(1);
    const BOB: Holder = Holder::of_hash(2);

    #[test]
    fn what_waits_is_taken_together_within_bounds() {
        let queue = Queue::new(99, 99);
        (1..=5).for_each(|job| queue.push(ANN, job, 10).expect("there is room"));
        assert_eq!(queue.take(2, 99), Some(vec![1, 2]));
        assert_eq!(queue.take(99, 11), Some(vec![3, 4]));
        assert_eq!(queue.take(99, 1), Some(vec![5]), "one at least");
    }

    #[test]
    fn holders_take_turns_and_keep_their_order() {
        let queue = Queue::new(99, 99);
        (1..=4).for_each(|job| queue.push(ANN, job, 1).expect("there is room"));
        (11..=12).for_each(|job| queue.push(BOB, job, 1).expect("there is room"));
        assert_eq!(queue.take(3, 99), Some(vec![1, 11, 2]));
        assert_eq!(queue.take(99, 99), Some(vec![12, 3, 4]));
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
    fn the_reserve_of_a_full_queue_is_for_the_back_end() {
        let queue = Queue::new(80, usize::MAX);
        let full = (1..=200).filter(|n| queue.push(Holder::of_hash(*n), 0, 1).is_ok()).count();
        assert_eq!(full, 70);
        assert_eq!((0..20).filter(|_| queue.push(Holder::BACK_END, 0, 1).is_ok()).count(), 10);
    }

    #[test]
    fn a_full_queue_gives_the_job_back() {
        let queue = Queue::new(2, 15);
        let push = |job, bytes| queue.push(Holder::BACK_END, job, bytes);
        assert_eq!(push('a', 1), Ok(()));
        assert_eq!(push('b', 99), Ok(()));
        assert_eq!(push('c', 1), Err(('c', Refused::Full)));
        queue.take(1, 1);
        assert_eq!(push('c', 1), Err(('c', Refused::Full)), "by bytes");
    }

    #[test]
    fn a_closed_queue_is_emptied_and_refuses() {
        let queue = Queue::new(9, 9);
        queue.push(ANN, 1, 1).expect("there is room");
        queue.close();
        assert_eq!(queue.push(ANN, 2, 1), Err((2, Refused::Closed)));
        assert_eq!(queue.take(9, 9), Some(vec![1]));
        assert_eq!(queue.take(9, 9), None);
    }
}
