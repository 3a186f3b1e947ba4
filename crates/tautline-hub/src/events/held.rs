//! Answers that wait for events to be stored.

use std::collections::VecDeque;

/// Answers in the order in which their events were added. As many as there are publications on their way
/// (`appends_bytes_max`): an answer that is held keeps the room of its publication.
#[derive(Default)]
pub(super) struct HeldAnswers(VecDeque<HeldAnswer>);

pub(super) struct HeldAnswer {
    /// All its events have a smaller number.
    pub(super) number: u64,
    /// It is held no longer, in monotonic milliseconds.
    pub(super) until_ms: u64,
    pub(super) answer: Box<dyn FnOnce() + Send>,
}

impl HeldAnswers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn hold(&mut self, answer: HeldAnswer) {
        self.0.push_back(answer);
    }

    /// Takes those whose events have a number up to `told`, and those that have waited for too long.
    pub(super) fn take(&mut self, told: u64, now_ms: u64) -> Vec<HeldAnswer> {
        let is_due = |held: &mut HeldAnswer| held.number <= told || held.until_ms <= now_ms;
        let due = std::iter::from_fn(|| self.0.pop_front_if(is_due)).collect();
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
        due
    }
}
