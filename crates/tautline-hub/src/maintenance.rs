//! Work done once a second: logs, pages, and saving positions.
//!
//! Start at [`Hub::tidy_logs`].

use std::sync::Arc;

use tautline_engine::{
    Answer, EngineError, InUse, Job, PositionUpdate, RetentionOf, SavePositions, budget::Holder,
};
use tautline_protocol::{ChannelName, Now};

use crate::{Hub, HubCounters, channel::Channel};

impl Hub {
    /// Counts since the process started.
    #[must_use]
    pub fn counters(&self) -> HubCounters {
        self.0.counters.snapshot()
    }

    /// Maintenance of channels, pages and positions.
    pub(crate) fn tidy_logs(&self, now: Now) {
        let wall_ms = now.wall_ms - self.clock_lead_ms(now);
        let rules = Arc::clone(&self.rules());
        let age_ms = |channel: &ChannelName| rules.of(channel).retention.age_ms;
        self.0.channels.tidy_some(wall_ms, age_ms, |channel| self.save_delivered(channel));
        self.0.pages.tidy(now.mono_ms).into_iter().for_each(|next| self.read_page(next));
        self.save_positions();
        self.0.stories.get().iter().for_each(|stories| stories.tidy_some(now.wall_ms));
        let hub = self.clone();
        let of_internal = self.clone();
        let in_use = InUse::new(move |channel| hub.find_channel(channel).is_some());
        let retention = RetentionOf::new(move |channel| match channel.is_internal() {
            true => of_internal.internal_retention(channel),
            false => rules.of(channel).retention,
        });
        self.0.engine.submit(Job::Tidy { wall_ms, retention, in_use });
    }

    /// Hands all unsaved positions to the engine: acknowledged ones of users, delivered ones of inboxes.
    /// [`Hub::tick`] does so periodically; call this before the process ends.
    pub fn flush(&self) {
        self.0.channels.each_inbox(|channel| self.save_delivered(channel));
        self.save_positions();
        self.submit_events();
    }

    fn save_delivered(&self, channel: &Channel) {
        if let Some(delivered) = channel.take_delivered() {
            let node = (None, Holder::BACK_END);
            self.0.acks.advance(&channel.name, node, &delivered.epoch, delivered.offset);
        }
    }

    fn save_positions(&self) {
        let updates: Vec<PositionUpdate> = self.0.acks.hand_over();
        if !updates.is_empty() {
            let (hub, given) = (self.clone(), updates.clone());
            let answer = Answer::new(move |outcome: Result<(), EngineError>| {
                hub.0.acks.settle(given, outcome.is_ok());
            });
            self.0.engine.submit(Job::SavePositions(SavePositions { updates, answer }));
        }
    }
}
