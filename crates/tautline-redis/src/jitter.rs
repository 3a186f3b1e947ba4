//! Waits between attempts: longer each time, and of many gateways never at the same moment.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// The waits of one series of attempts.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// Half of the full wait, and up to as much again.
    pub(crate) fn next_wait(&mut self) -> Duration {
        let full = FIRST.saturating_mul(1 << self.attempts.min(10)).min(LONGEST);
        self.attempts += 1;
        // Where the system has no randomness, it waits in full.
        let mut random = [u8::MAX];
        let _ = getrandom::fill(&mut random);
        full.mul_f64(0.5 + f64::from(random[0]) / 510.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest() {
        let mut backoff = Backoff::default();
        let first = backoff.next_wait();
        assert!(first >= FIRST / 2 && first <= FIRST, "{first:?}");
        let last = (0..100).map(|_| backoff.next_wait()).last().expect("a hundred");
        assert!(last >= LONGEST / 2 && last <= LONGEST, "{last:?}");
    }
}
