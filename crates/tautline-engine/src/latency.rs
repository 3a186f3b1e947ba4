//! Counts how long something took.
//!
//! Start at [`Latency::record_us`]. Recording is two relaxed additions, and nothing is decided by what was recorded.

// Atomics of the standard library even under a model checker: none decides anything.
use std::sync::atomic::{AtomicU64, Ordering};

/// The upper bounds of [`LatencyFigures::counts`] but for the last, in microseconds.
pub const LATENCY_BOUNDS_US: [u64; 12] =
    [100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000];

const BUCKETS: usize = LATENCY_BOUNDS_US.len() + 1;

/// A histogram that many threads add to.
#[derive(Debug, Default)]
pub struct Latency {
    counts: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

/// What a histogram has at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencyFigures {
    /// How many took at most as long as each of [`LATENCY_BOUNDS_US`] and longer than the one before; the last took
    /// longer than all.
    pub counts: [u64; BUCKETS],
    /// Their sum, in microseconds.
    pub sum_us: u64,
}

impl Latency {
    /// Something took this long.
    pub fn record_us(&self, us: u64) {
        self.counts[LATENCY_BOUNDS_US.partition_point(|bound| *bound < us)].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// What was recorded so far.
    #[must_use]
    pub fn figures(&self) -> LatencyFigures {
        let mut figures =
            LatencyFigures { sum_us: self.sum_us.load(Ordering::Relaxed), ..Default::default() };
        for (figure, count) in figures.counts.iter_mut().zip(&self.counts) {
            *figure = count.load(Ordering::Relaxed);
        }
        figures
    }
}

impl LatencyFigures {
    /// How many were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_counts_in_the_first_bucket_that_holds_it() {
        let latency = Latency::default();
        [0, 100, 101, 10_000_000, 10_000_001].into_iter().for_each(|us| latency.record_us(us));
        let figures = latency.figures();
        assert_eq!(figures.counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!((figures.count(), figures.sum_us), (5, 20_000_202));
    }
}
