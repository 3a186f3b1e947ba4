//! Answers to publications, held until the events that tell of these are stored: what is acknowledged is told, whenever the
//! process is killed.
//!
//! Start at [`Hub::when_told`].

use std::collections::VecDeque;

use tautline_protocol::ChannelName;

use super::{EventKind, Events, RecordedLog};
use crate::{
    Hub,
    sync::{Ordering, lock},
};

/// Answers in the order in which their events were added. As many as there are publications on their way
/// (`appends_bytes_max`): an answer that is held keeps the room of its publication.
#[derive(Default)]
pub(super) struct HeldAnswers(VecDeque<HeldAnswer>);

struct HeldAnswer {
    /// All its events have a smaller number.
    number: u64,
    /// It is held no longer, in monotonic milliseconds.
    until_ms: u64,
    answer: Box<dyn FnOnce() + Send>,
}

impl HeldAnswers {
    /// Takes those whose events have a number up to `told`, and those that have waited for too long.
    fn take(&mut self, told: u64, now_ms: u64) -> Vec<HeldAnswer> {
        let is_due = |held: &mut HeldAnswer| held.number <= told || held.until_ms <= now_ms;
        let due = std::iter::from_fn(|| self.0.pop_front_if(is_due)).collect();
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
        due
    }
}

impl RecordedLog {
    fn tells_publications(&self) -> bool {
        self.config.events.contains(EventKind::MessagePublished)
    }
}

impl Events {
    /// All events with a smaller number in the logs of publications are stored, those that say how many were dropped
    /// included.
    fn told_before(&self) -> u64 {
        // First: an event that comes from now on has a larger one.
        let next = self.next_number.load(Ordering::Acquire);
        let logs = self.logs.iter().filter(|log| log.tells_publications());
        logs.filter_map(|log| lock(&log.store.queue).untold_from()).fold(next, u64::min)
    }
}

impl Hub {
    /// Gives an answer once the events that were added for a publication in this channel are stored; at once where none
    /// tells of it, and after [`HubLimits::events_answer_ms`](crate::HubLimits::events_answer_ms) whatever happens.
    pub(crate) fn when_told(&self, channel: &ChannelName, answer: impl FnOnce() + Send + 'static) {
        let Some(events) = self.0.events.get() else { return answer() };
        let is_about = |log: &RecordedLog| log.tells_publications() && log.config.is_about(channel);
        if !events.logs.iter().any(is_about) {
            return answer();
        }
        let number = events.next_number.load(Ordering::Acquire);
        let until_ms = self.last_now().mono_ms.saturating_add(self.hub_limits().events_answer_ms);
        lock(&events.held).0.push_back(HeldAnswer { number, until_ms, answer: Box::new(answer) });
        // They may be stored by now.
        self.release_answers(events);
    }

    /// Events were stored, or time has passed.
    pub(super) fn release_answers(&self, events: &Events) {
        if lock(&events.held).0.is_empty() {
            return;
        }
        let (told, now_ms) = (events.told_before(), self.last_now().mono_ms);
        let due = lock(&events.held).take(told, now_ms);
        due.into_iter().for_each(|held| (held.answer)());
    }
}
