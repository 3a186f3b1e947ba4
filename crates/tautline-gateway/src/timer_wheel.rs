//! Wakes tasks at their deadlines, coarsely: late by up to two ticks, never early.
//!
//! A tokio timer costs a connection a hundred bytes, and a microsecond for each message that moves the
//! deadline. Here a connection has one entry; when it is woken it checks its deadline, and goes back to sleep
//! where that has moved.

use std::{
    ops::Div as _,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::Waker,
};

/// The length of a tick, in milliseconds.
pub(crate) const TICK_MS: u64 = 200;
/// A round takes 102 s; a deadline beyond that is checked once a round.
const SLOTS: u32 = 512;

/// How many connections are woken before other tasks run. Thousands of deadlines at one moment, of
/// connections that were opened together, delayed all other tasks by milliseconds.
const WAKES_PER_BATCH: usize = 64;

/// The deadlines of all connections.
pub(crate) struct TimerWheel {
    slots: Box<[Mutex<Slot>]>,
    /// The last tick that was started.
    tick: AtomicU32,
}

struct Slot {
    /// The tick at which the slot is emptied next.
    due: u32,
    wakers: Vec<Option<Waker>>,
}

/// One task's place on the wheel.
#[derive(Debug, Default)]
pub(crate) struct TimerEntry {
    /// The tick at which it fires; 0, which is past, while it is not set. 32 bits of ticks last for 27 years.
    tick: u32,
    index: u32,
}

impl TimerWheel {
    /// A wheel at 0 ms.
    pub(crate) fn new() -> Self {
        let slot =
            |index| Mutex::new(Slot { due: if index == 0 { SLOTS } else { index }, wakers: Vec::new() });
        Self { slots: (0..SLOTS).map(slot).collect(), tick: AtomicU32::new(0) }
    }

    /// Makes sure that `waker` is woken at `deadline_ms` or before; does nothing where the entry does so
    /// already.
    pub(crate) fn set(&self, entry: &mut TimerEntry, deadline_ms: u64, waker: &Waker) {
        let tick = self.tick.load(Ordering::Acquire);
        let wanted = tick_at(deadline_ms, u64::div_ceil).clamp(tick + 1, tick + SLOTS - 1);
        if entry.tick > tick && entry.tick <= wanted {
            return;
        }
        self.clear(entry);
        let mut slot = self.slot(wanted);
        if slot.due > wanted {
            // The wheel has just moved past the slot.
            waker.wake_by_ref();
            return;
        }
        entry.tick = wanted;
        entry.index = u32::try_from(slot.wakers.len()).expect("fewer connections than 2^32");
        slot.wakers.push(Some(waker.clone()));
    }

    /// Removes the entry. A waker left behind would keep the memory of its task.
    pub(crate) fn clear(&self, entry: &mut TimerEntry) {
        if entry.tick == 0 {
            return;
        }
        let mut slot = self.slot(entry.tick);
        if slot.due == entry.tick
            && let Some(waker) = slot.wakers.get_mut(entry.index as usize)
        {
            *waker = None;
        }
        entry.tick = 0;
    }

    /// Advances to `now_ms`, and returns the tasks to wake.
    #[must_use]
    pub(crate) fn advance(&self, now_ms: u64) -> Vec<Waker> {
        let mut due = Vec::new();
        let from = self.tick.load(Ordering::Relaxed);
        for tick in from + 1..=tick_at(now_ms, u64::div) {
            // Before the slot is emptied: a task that still finds its entry there is woken shortly.
            self.tick.store(tick, Ordering::Release);
            let mut slot = self.slot(tick);
            slot.due = tick + SLOTS;
            due.extend(std::mem::take(&mut slot.wakers).into_iter().flatten());
        }
        due
    }

    /// All tasks that have an entry.
    pub(crate) fn all(&self) -> Vec<Waker> {
        let of = |slot: &Mutex<Slot>| slot.lock().unwrap_or_else(PoisonError::into_inner).wakers.clone();
        self.slots.iter().flat_map(of).flatten().collect()
    }

    fn slot(&self, tick: u32) -> MutexGuard<'_, Slot> {
        self.slots[(tick % SLOTS) as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the tasks in batches, and lets other tasks run in between.
pub(crate) async fn wake_batched(due: Vec<Waker>) {
    for (woken, waker) in due.into_iter().enumerate() {
        if woken > 0 && woken % WAKES_PER_BATCH == 0 {
            tokio::task::yield_now().await;
        }
        waker.wake();
    }
}

/// The tick of a time; the last tick for all later times.
fn tick_at(ms: u64, divide: impl FnOnce(u64, u64) -> u64) -> u32 {
    u32::try_from(divide(ms, TICK_MS)).unwrap_or(u32::MAX - SLOTS)
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::{Arc, atomic::AtomicUsize},
        task::{Context, Wake},
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Task {
        count: Arc<Count>,
        waker: Waker,
        entry: TimerEntry,
    }

    impl Task {
        fn new() -> Self {
            let count = Arc::new(Count::default());
            Self { waker: Waker::from(Arc::clone(&count)), count, entry: TimerEntry::default() }
        }

        fn set(&mut self, wheel: &TimerWheel, deadline_ms: u64) {
            wheel.set(&mut self.entry, deadline_ms, &self.waker);
        }

        fn woken(&self) -> usize {
            self.count.0.load(Ordering::Relaxed)
        }
    }

    fn advance(wheel: &TimerWheel, now_ms: u64) {
        wheel.advance(now_ms).into_iter().for_each(Waker::wake);
    }

    #[test]
    fn task_is_woken_once_within_two_ticks_of_deadline() {
        let wheel = TimerWheel::new();
        let mut task = Task::new();
        task.set(&wheel, 1_050);
        advance(&wheel, 1_049);
        assert_eq!(task.woken(), 0);
        advance(&wheel, 1_050 + 2 * TICK_MS);
        assert_eq!(task.woken(), 1);
        advance(&wheel, 500_000);
        assert_eq!(task.woken(), 1);
    }

    #[test]
    fn later_deadline_keeps_the_entry_earlier_one_moves_it() {
        let wheel = TimerWheel::new();
        let mut task = Task::new();
        task.set(&wheel, 10_000);
        task.set(&wheel, 20_000);
        advance(&wheel, 10_000);
        assert_eq!(task.woken(), 1, "it is to check its deadline again");
        task.set(&wheel, 20_000);
        task.set(&wheel, 12_000);
        advance(&wheel, 30_000);
        assert_eq!(task.woken(), 2, "the entry at 20 s was removed");
    }

    #[test]
    fn deadline_beyond_the_horizon_fires_once_a_round() {
        let wheel = TimerWheel::new();
        let mut task = Task::new();
        task.set(&wheel, u64::MAX);
        advance(&wheel, u64::from(SLOTS) * TICK_MS);
        assert_eq!(task.woken(), 1);
    }

    #[test]
    fn past_deadline_fires_at_the_next_tick() {
        let wheel = TimerWheel::new();
        advance(&wheel, 5_000);
        let mut task = Task::new();
        task.set(&wheel, 0);
        assert_eq!(task.woken(), 0);
        advance(&wheel, 5_000 + TICK_MS);
        assert_eq!(task.woken(), 1);
    }

    #[test]
    fn cleared_entry_releases_its_waker() {
        let wheel = TimerWheel::new();
        let mut task = Task::new();
        task.set(&wheel, 1_000);
        let held = Arc::strong_count(&task.count);
        wheel.clear(&mut task.entry);
        assert_eq!(Arc::strong_count(&task.count), held - 1);
        advance(&wheel, 2_000);
        assert_eq!(task.woken(), 0);
    }

    #[test]
    fn waking_many_yields_after_each_batch() {
        let count = Arc::new(Count::default());
        let due = vec![Waker::from(Arc::clone(&count)); 2 * WAKES_PER_BATCH + 1];
        let mut waking = pin!(wake_batched(due));
        let mut cx = Context::from_waker(Waker::noop());
        for woken in [WAKES_PER_BATCH, 2 * WAKES_PER_BATCH] {
            assert!(waking.as_mut().poll(&mut cx).is_pending());
            assert_eq!(count.0.load(Ordering::Relaxed), woken);
        }
        assert!(waking.as_mut().poll(&mut cx).is_ready());
        assert_eq!(count.0.load(Ordering::Relaxed), 2 * WAKES_PER_BATCH + 1);
    }
}
