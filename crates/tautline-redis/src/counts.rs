//! What the engine counts for operators.
//!
//! Start at [`Counts::figures`].

use std::sync::atomic::{AtomicU64, Ordering};

use tautline_engine::{EngineFigures, latency::Latency};

/// Counts since the engine was opened. Nothing is decided by them.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) round_trips: Latency,
    pub(crate) redials: Count,
    pub(crate) hints_sent: Count,
    pub(crate) hints_dropped: Count,
    pub(crate) hints_taken: Count,
    pub(crate) hint_interruptions: Count,
    pub(crate) looks: Count,
    pub(crate) found_by_looks: Count,
    pub(crate) healed: Count,
}

/// One of them.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counts {
    pub(crate) fn figures(&self) -> EngineFigures {
        EngineFigures {
            round_trips: self.round_trips.figures(),
            redials: self.redials.get(),
            hints_sent: self.hints_sent.get(),
            hints_dropped: self.hints_dropped.get(),
            hints_taken: self.hints_taken.get(),
            hint_interruptions: self.hint_interruptions.get(),
            looks: self.looks.get(),
            found_by_looks: self.found_by_looks.get(),
            healed: self.healed.get(),
        }
    }
}
