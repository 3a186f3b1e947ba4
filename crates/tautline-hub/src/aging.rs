//! Measures the age of publications: by the wall clock, limited by the monotonic clock.
//!
//! Start at [`Aging::observe`]. A publication carries the wall clock's time. When that clock jumps ahead,
//! everything looks old at once, and deleted publications do not return when the clock does. A jump ahead
//! therefore does not count as age until everything appended before it has had its full retention by the
//! monotonic clock. A jump back deletes nothing by itself. Between two processes there is no monotonic clock:
//! a long absence does not count as age for the first ten minutes.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tautline_protocol::Now;

/// The tolerated drift between the clocks from one [`Aging::observe`] to the next; slewing drifts far less.
const TOLERANCE_MS: i64 = 2_000;
/// No observation yet: the wall clock is trusted, or else the last process.
const UNKNOWN: i64 = i64::MAX;
/// The longest absence that counts as age at once.
const ABSENCE_MS: u64 = 60_000;
/// How long a longer one does not: a clock that was wrong when the machine started is set right meanwhile.
const ABSENCE_HOLD_MS: u64 = 600_000;

/// The corrected wall clock for ages.
pub(crate) struct Aging {
    /// Wall time minus monotonic time, as far as it counts.
    offset: AtomicI64,
    /// The same as last observed: a further jump restarts the wait.
    observed: AtomicI64,
    /// A jump ahead does not count before this monotonic time in milliseconds.
    until: AtomicU64,
    /// The last moment of the previous process, in wall milliseconds; 0 if unknown.
    last_run_ms: u64,
}

impl Aging {
    pub(crate) const fn new(last_run_ms: u64) -> Self {
        Self {
            offset: AtomicI64::new(UNKNOWN),
            observed: AtomicI64::new(UNKNOWN),
            until: AtomicU64::new(0),
            last_run_ms,
        }
    }

    /// Call about once a second, from one caller at a time; `kept_ms` is the longest retention.
    pub(crate) fn observe(&self, now: Now, kept_ms: u64) {
        let offset = signed(now.wall_ms) - signed(now.mono_ms);
        let before = self.observed.swap(offset, Ordering::Relaxed);
        let absence_ms = self.absence_ms(now);
        if before == UNKNOWN && absence_ms > 0 {
            self.offset.store(offset - signed(absence_ms), Ordering::Relaxed);
            self.until.store(now.mono_ms.saturating_add(ABSENCE_HOLD_MS), Ordering::Relaxed);
            return;
        }
        if before != UNKNOWN && offset.saturating_sub(before) > TOLERANCE_MS {
            self.until.store(now.mono_ms.saturating_add(kept_ms), Ordering::Relaxed);
        }
        let counted = self.offset.load(Ordering::Relaxed);
        let ahead = counted != UNKNOWN && offset.saturating_sub(counted) > TOLERANCE_MS;
        if !ahead || now.mono_ms >= self.until.load(Ordering::Relaxed) {
            self.offset.store(offset, Ordering::Relaxed);
        }
    }

    /// How long no process has run by the wall clock, if that is not to be believed at once.
    fn absence_ms(&self, now: Now) -> u64 {
        match self.last_run_ms {
            0 => 0,
            last => Some(now.wall_ms.saturating_sub(last)).filter(|ms| *ms > ABSENCE_MS).unwrap_or_default(),
        }
    }

    /// The lead of the wall clock over the time that counts as age, in milliseconds.
    pub(crate) fn lead_ms(&self, now: Now) -> u64 {
        match self.offset.load(Ordering::Relaxed) {
            UNKNOWN => self.absence_ms(now),
            offset => now.wall_ms.saturating_sub(now.mono_ms.saturating_add_signed(offset)),
        }
    }
}

fn signed(ms: u64) -> i64 {
    // Half of the range is 146 million years.
    i64::try_from(ms).unwrap_or(i64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: u64 = 1_700_000_000_000;
    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;

    /// An hour of ticks, and the time afterwards.
    fn aging() -> (Aging, Now) {
        let aging = Aging::new(0);
        let mut now = Now::new(0, WALL);
        for _ in 0..3_600 {
            aging.observe(now, DAY);
            now = now.plus_ms(1_000);
        }
        (aging, now)
    }

    fn ahead(now: Now, ms: u64) -> Now {
        Now::new(now.mono_ms, now.wall_ms + ms)
    }

    #[test]
    fn clocks_that_agree_lead_by_nothing() {
        let (aging, now) = aging();
        assert_eq!(aging.lead_ms(now), 0);
        assert_eq!(Aging::new(0).lead_ms(now), 0, "nothing was observed");
    }

    #[test]
    fn step_ahead_does_not_count_before_its_first_tick() {
        let (aging, now) = aging();
        assert_eq!(aging.lead_ms(ahead(now, 2 * HOUR)), 2 * HOUR);
    }

    #[test]
    fn step_ahead_that_stays_counts_once_the_past_has_expired() {
        let (aging, now) = aging();
        let stepped = ahead(now, 2 * HOUR);
        aging.observe(stepped, DAY);
        aging.observe(stepped.plus_ms(DAY - 1), DAY);
        assert_eq!(aging.lead_ms(stepped.plus_ms(DAY - 1)), 2 * HOUR);
        aging.observe(stepped.plus_ms(DAY), DAY);
        assert_eq!(aging.lead_ms(stepped.plus_ms(DAY)), 0);
    }

    #[test]
    fn step_ahead_that_is_taken_back_leaves_nothing() {
        let (aging, now) = aging();
        aging.observe(ahead(now, 2 * HOUR), DAY);
        aging.observe(now.plus_ms(4_000), DAY);
        assert_eq!(aging.lead_ms(now.plus_ms(5_000)), 0);
    }

    #[test]
    fn step_back_and_its_return_age_nothing_early() {
        let (aging, now) = aging();
        let back = Now::new(now.mono_ms + 1_000, now.wall_ms - 2 * HOUR);
        aging.observe(back, DAY);
        // A publication of that moment carries a time two hours too early.
        let returned = now.plus_ms(2_000);
        aging.observe(returned, DAY);
        let age = returned.wall_ms - aging.lead_ms(returned) - back.wall_ms;
        assert!(age <= 2_000, "{age} ms old after 1 s");
    }

    #[test]
    fn second_step_ahead_waits_its_own_time() {
        let (aging, now) = aging();
        aging.observe(ahead(now, HOUR), DAY);
        let second = ahead(now, 2 * HOUR).plus_ms(DAY - 1_000);
        aging.observe(second, DAY);
        aging.observe(second.plus_ms(2_000), DAY);
        assert_eq!(aging.lead_ms(second.plus_ms(2_000)), 2 * HOUR);
    }

    #[test]
    fn slewed_clock_is_followed() {
        let (aging, mut now) = aging();
        for _ in 0..DAY / 1_000 {
            now = Now::new(now.mono_ms + 1_000, now.wall_ms + 1_001);
            aging.observe(now, DAY);
        }
        assert_eq!(aging.lead_ms(now), 0);
    }

    #[test]
    fn restart_hours_ahead_counts_after_ten_minutes() {
        let aging = Aging::new(WALL);
        let now = Now::new(5_000, WALL + 2 * HOUR);
        assert_eq!(aging.lead_ms(now), 2 * HOUR, "before the first tick");
        aging.observe(now, DAY);
        let waits = now.plus_ms(ABSENCE_HOLD_MS - 1_000);
        aging.observe(waits, DAY);
        assert_eq!(aging.lead_ms(waits), 2 * HOUR);
        let over = now.plus_ms(ABSENCE_HOLD_MS);
        aging.observe(over, DAY);
        assert_eq!(aging.lead_ms(over), 0);
    }

    #[test]
    fn clock_set_right_after_restart_leaves_no_lead() {
        let aging = Aging::new(WALL);
        let now = Now::new(5_000, WALL + 2 * HOUR);
        aging.observe(now, DAY);
        let right = Now::new(now.mono_ms + 30_000, WALL + 31_000);
        aging.observe(right, DAY);
        assert_eq!(aging.lead_ms(right), 0);
        aging.observe(right.plus_ms(ABSENCE_HOLD_MS), DAY);
        assert_eq!(aging.lead_ms(right.plus_ms(ABSENCE_HOLD_MS)), 0);
    }

    #[test]
    fn quick_restart_and_clock_behind_count_at_once() {
        for wall_ms in [WALL + ABSENCE_MS, WALL, WALL - 2 * HOUR] {
            let aging = Aging::new(WALL);
            let now = Now::new(5_000, wall_ms);
            assert_eq!(aging.lead_ms(now), 0);
            aging.observe(now, DAY);
            assert_eq!(aging.lead_ms(now), 0);
        }
    }
}
