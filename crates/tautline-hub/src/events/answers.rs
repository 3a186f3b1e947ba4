//! Answers to publications, held until the events that tell of these are stored: what is acknowledged is told, whenever the
//! process is killed.
//!
//! Start at [`Hub::when_told`].

use tautline_protocol::ChannelName;

use super::{EventKind, Events, RecordedLog, held::HeldAnswer};
use crate::{
    Hub,
    sync::{Ordering, lock},
};

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
        lock(&events.held).hold(HeldAnswer { number, until_ms, answer: Box::new(answer) });
        // They may be stored by now.
        self.release_answers(events);
    }

    /// Events were stored, or time has passed.
    pub(super) fn release_answers(&self, events: &Events) {
        if lock(&events.held).is_empty() {
            return;
        }
        let (told, now_ms) = (events.told_before(), self.last_now().mono_ms);
        let due = lock(&events.held).take(told, now_ms);
        due.into_iter().for_each(|held| (held.answer)());
    }
}
