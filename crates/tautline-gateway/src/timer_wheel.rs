//! Wakes tasks when their deadline has come, coarsely: late by up to two ticks, never early.
//!
//! A timer of its own costs a connection a hundred bytes and a microsecond for each message that moves it. Here a
//! connection has one entry, looks at its deadline when it is woken, and goes back to sleep where that has moved on.

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
/// A round takes 102 s; a deadline behind that is looked at once a round.
const SLOTS: u32 = 512;

/// How many connections are woken before others have a turn. Thousands whose deadlines came together, because they were
/// opened together, held up everybody else by milliseconds.
const WAKES_PER_BATCH: usize = 64;

/// The wheel that all connections share.
pub(crate) struct TimerWheel {
    slots: Box<[Mutex<Slot>]>,
    /// The last tick that was begun.
    tick: AtomicU32,
}

struct Slot {
    /// The tick at which it is emptied next.
    due: u32,
    wakers: Vec<Option<Waker>>,
}

/// One task's place on the wheel.
#[derive(Debug, Default)]
pub(crate) struct TimerEntry {
    /// The tick at which it rings; 0, which is over, while it is not set. 32 bits of ticks last for 27 years.
    tick: u32,
    index: u32,
}

impl TimerWheel {
    /// A wheel that stands at 0 ms.
    pub(crate) fn new() -> Self {
        let slot =
            |index| Mutex::new(Slot { due: if index == 0 { SLOTS } else { index }, wakers: Vec::new() });
        Self { slots: (0..SLOTS).map(slot).collect(), tick: AtomicU32::new(0) }
    }

    /// Sees to it that `waker` is woken at `deadline_ms` or before; does nothing where it is so already.
    pub(crate) fn set(&self, alarm: &mut TimerEntry, deadline_ms: u64, waker: &Waker) {
        let tick = self.tick.load(Ordering::Acquire);
        let wanted = tick_at(deadline_ms, u64::div_ceil).clamp(tick + 1, tick + SLOTS - 1);
        if alarm.tick > tick && alarm.tick <= wanted {
            return;
        }
        self.clear(alarm);
        let mut slot = self.slot(wanted);
        if slot.due > wanted {
            // The wheel has just moved past it.
            waker.wake_by_ref();
            return;
        }
        alarm.tick = wanted;
        alarm.index = u32::try_from(slot.wakers.len()).expect("fewer connections than 2^32");
        slot.wakers.push(Some(waker.clone()));
    }

    /// Gives the place up. A waker left behind would keep the memory of its task.
    pub(crate) fn clear(&self, alarm: &mut TimerEntry) {
        if alarm.tick == 0 {
            return;
        }
        let mut slot = self.slot(alarm.tick);
        if slot.due == alarm.tick
            && let Some(waker) = slot.wakers.get_mut(alarm.index as usize)
        {
            *waker = None;
        }
        alarm.tick = 0;
    }

    /// Turns to `now_ms`, and says whom to wake.
    #[must_use]
    pub(crate) fn advance(&self, now_ms: u64) -> Vec<Waker> {
        let mut due = Vec::new();
        let from = self.tick.load(Ordering::Relaxed);
        for tick in from + 1..=tick_at(now_ms, u64::div) {
            // Before the slot is emptied: who still finds its place standing is woken in a moment.
            self.tick.store(tick, Ordering::Release);
            let mut slot = self.slot(tick);
            slot.due = tick + SLOTS;
            due.extend(std::mem::take(&mut slot.wakers).into_iter().flatten());
        }
        due
    }

    /// Everybody who has a place.
    pub(crate) fn all(&self) -> Vec<Waker> {
        let of = |slot: &Mutex<Slot>| slot.lock().unwrap_or_else(PoisonError::into_inner).wakers.clone();
        self.slots.iter().flat_map(of).flatten().collect()
    }

    fn slot(&self, tick: u32) -> MutexGuard<'_, Slot> {
        self.slots[(tick % SLOTS) as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes them, and lets others run in between.
pub(crate) async fn wake_batched(due: Vec<Waker>) {
    for (woken, waker) in due.into_iter().enumerate() {
        if woken > 0 && woken % WAKES_PER_BATCH == 0 {
            tokio::task::yield_now().await;
        }
        waker.wake();
    }
}

/// The tick of a time. What lies behind the end of ticks is as far away.
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

    struct Sleeper {
        count: Arc<Count>,
        waker: Waker,
        alarm: TimerEntry,
    }

    impl Sleeper {
        fn new() -> Self {
            let count = Arc::new(Count::default());
            Self { waker: Waker::from(Arc::clone(&count)), count, alarm: TimerEntry::default() }
        }

        fn set(&mut self, wheel: &TimerWheel, deadline_ms: u64) {
            wheel.set(&mut self.alarm, deadline_ms, &self.waker);
        }

        fn woken(&self) -> usize {
            self.count.0.load(Ordering::Relaxed)
        }
    }

    fn turn(wheel: &TimerWheel, now_ms: u64) {
        wheel.advance(now_ms).into_iter().for_each(Waker::wake);
    }

    #[test]
    fn a_sleeper_is_woken_once_within_two_ticks_of_its_deadline() {
        let wheel = TimerWheel::new();
        let mut sleeper = Sleeper::new();
        sleeper.set(&wheel, 1_050);
        turn(&wheel, 1_049);
        assert_eq!(sleeper.woken(), 0);
        turn(&wheel, 1_050 + 2 * TICK_MS);
        assert_eq!(sleeper.woken(), 1);
        turn(&wheel, 500_000);
        assert_eq!(sleeper.woken(), 1);
    }

    #[test]
    fn a_later_deadline_keeps_the_place_and_an_earlier_one_takes_another() {
        let wheel = TimerWheel::new();
        let mut sleeper = Sleeper::new();
        sleeper.set(&wheel, 10_000);
        sleeper.set(&wheel, 20_000);
        turn(&wheel, 10_000);
        assert_eq!(sleeper.woken(), 1, "it is to look at its deadline again");
        sleeper.set(&wheel, 20_000);
        sleeper.set(&wheel, 12_000);
        turn(&wheel, 30_000);
        assert_eq!(sleeper.woken(), 2, "the place at 20 s was given up");
    }

    #[test]
    fn a_deadline_behind_the_horizon_is_looked_at_once_a_round() {
        let wheel = TimerWheel::new();
        let mut sleeper = Sleeper::new();
        sleeper.set(&wheel, u64::MAX);
        turn(&wheel, u64::from(SLOTS) * TICK_MS);
        assert_eq!(sleeper.woken(), 1);
    }

    #[test]
    fn a_deadline_that_is_over_rings_at_the_next_tick() {
        let wheel = TimerWheel::new();
        turn(&wheel, 5_000);
        let mut sleeper = Sleeper::new();
        sleeper.set(&wheel, 0);
        assert_eq!(sleeper.woken(), 0);
        turn(&wheel, 5_000 + TICK_MS);
        assert_eq!(sleeper.woken(), 1);
    }

    #[test]
    fn a_cleared_alarm_leaves_nothing_of_its_task_on_the_wheel() {
        let wheel = TimerWheel::new();
        let mut sleeper = Sleeper::new();
        sleeper.set(&wheel, 1_000);
        let held = Arc::strong_count(&sleeper.count);
        wheel.clear(&mut sleeper.alarm);
        assert_eq!(Arc::strong_count(&sleeper.count), held - 1);
        turn(&wheel, 2_000);
        assert_eq!(sleeper.woken(), 0);
    }

    #[test]
    fn many_whose_deadlines_come_together_leave_turns_to_others() {
        let count = Arc::new(Count::default());
        let due = vec![Waker::from(Arc::clone(&count)); 2 * WAKES_PER_BATCH + 1];
        let mut turns = pin!(wake_batched(due));
        let mut cx = Context::from_waker(Waker::noop());
        for woken in [WAKES_PER_BATCH, 2 * WAKES_PER_BATCH] {
            assert!(turns.as_mut().poll(&mut cx).is_pending());
            assert_eq!(count.0.load(Ordering::Relaxed), woken);
        }
        assert!(turns.as_mut().poll(&mut cx).is_ready());
        assert_eq!(count.0.load(Ordering::Relaxed), 2 * WAKES_PER_BATCH + 1);
    }
}
