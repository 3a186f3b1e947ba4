//! Limits a recurring log line to its first occurrence and a final count.
//!
//! Start at [`LogOnce::note`].

use std::sync::atomic::{AtomicU64, Ordering};

/// The quiet time after which a cause is over, in milliseconds.
const QUIET_MS: u64 = 10_000;

/// Rate limit for a cause that may occur thousands of times a second, such as a limit that is reached: log
/// its first occurrence and, once it has not occurred for 10 s, the total. No lock, no clock: the time is a
/// parameter.
#[derive(Debug, Default)]
pub struct LogOnce {
    times: AtomicU64,
    last_ms: AtomicU64,
}

impl LogOnce {
    /// A cause without an occurrence.
    #[must_use]
    pub const fn new() -> Self {
        Self { times: AtomicU64::new(0), last_ms: AtomicU64::new(0) }
    }

    /// Counts an occurrence. Returns true if it is to be logged.
    pub fn note(&self, now_ms: u64) -> bool {
        self.last_ms.fetch_max(now_ms, Ordering::AcqRel);
        self.times.fetch_add(1, Ordering::AcqRel) == 0
    }

    /// Returns the total once the cause is over, for the log. Call periodically.
    pub fn take_over(&self, now_ms: u64) -> Option<u64> {
        let is_over = self.times.load(Ordering::Acquire) > 0
            && now_ms >= self.last_ms.load(Ordering::Acquire).saturating_add(QUIET_MS);
        is_over.then(|| self.times.swap(0, Ordering::AcqRel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recurring_cause_is_logged_once_until_over() {
        let cause = LogOnce::new();
        assert_eq!(cause.take_over(50_000), None, "it never came up");
        assert!(cause.note(50_000));
        assert!((0..1000).all(|ms| !cause.note(50_000 + ms)));
        assert_eq!(cause.take_over(50_999 + QUIET_MS - 1), None, "it may come up again");
        assert_eq!(cause.take_over(50_999 + QUIET_MS), Some(1001));
        assert_eq!(cause.take_over(90_000), None, "its end is told once, too");
        assert!(cause.note(90_000));
    }

    #[test]
    fn recurring_cause_with_short_pauses_is_not_over() {
        let cause = LogOnce::new();
        assert!(cause.note(0));
        for second in 1..100 {
            assert!(!cause.note(second * 1000));
            assert_eq!(cause.take_over(second * 1000 + 999), None);
        }
    }
}
