//! Stops asking a vendor that does not answer.
//!
//! Holds no clock: each call is told the time.

/// Calls in a row without an answer, after which the vendor is not asked.
const FAILURES_MAX: u32 = 10;
/// How long it is not asked after the last of them was begun, in milliseconds.
const OPEN_MS: u64 = 8_000;

#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    open_until_ms: u64,
}

impl Breaker {
    /// Whether the vendor may be asked.
    pub(super) fn is_closed(&self, now_ms: u64) -> bool {
        now_ms >= self.open_until_ms
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The vendor has asked not to be asked until then. True: that is news.
    pub(super) fn pause(&mut self, now_ms: u64, until_ms: u64) -> bool {
        let was_closed = self.is_closed(now_ms);
        self.open_until_ms = self.open_until_ms.max(until_ms);
        was_closed
    }

    /// A call that began at `asked_at_ms` was not answered. True: the vendor is not asked from now on.
    pub(super) fn failed(&mut self, asked_at_ms: u64) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.failures < FAILURES_MAX {
            return false;
        }
        let was_closed = self.is_closed(asked_at_ms);
        self.open_until_ms = self.open_until_ms.max(asked_at_ms + OPEN_MS);
        was_closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_open_it_until_one_succeeds() {
        let mut breaker = Breaker::default();
        assert!((1..FAILURES_MAX).all(|_| !breaker.failed(1_000)));
        breaker.succeeded();
        assert!((1..FAILURES_MAX).all(|_| !breaker.failed(1_000)), "they are not in a row");
        assert!(breaker.failed(1_000));
        assert!(!breaker.is_closed(1_000 + OPEN_MS - 1));
        assert!(breaker.is_closed(1_000 + OPEN_MS), "the vendor is tried again");
        assert!(breaker.failed(9_500), "and is left alone after one more failure");
        assert!(!breaker.failed(9_400), "which is said once");
        breaker.succeeded();
        assert!(breaker.is_closed(9_500));
    }
}
