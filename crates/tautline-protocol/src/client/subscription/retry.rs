//! A subscription that the server refuses for now is asked for again, with a back-off; the app does not hear of it.

use super::{Subscription, Subscriptions};
use crate::{
    ErrorCode, Now,
    client::{Options, Session, backoff::retry_delay_ms, random::Random},
    packet::ErrorBody,
};

/// True where the same request may succeed later, without anything new from the app.
fn is_temporary(error: &ErrorBody) -> bool {
    error.retry_after_ms.is_some_and(|ms| ms > 0)
        || matches!(error.code, ErrorCode::Unavailable | ErrorCode::Overloaded | ErrorCode::RateLimited)
}

impl Subscription {
    fn postpone(&mut self, now_ms: u64, after_ms: Option<u64>, random: &mut Random, options: &Options) {
        self.asked = None;
        self.confirmed = false;
        self.refusals = self.refusals.saturating_add(1);
        let delay_ms = retry_delay_ms(self.refusals, after_ms, random, options);
        self.retry_at_ms = Some(now_ms.saturating_add(delay_ms));
    }
}

impl Subscriptions {
    fn retry_at_ms(&self) -> Option<u64> {
        self.by_name.values().filter_map(|subscription| subscription.retry_at_ms).min()
    }

    /// The channels whose time has come, in the order of their names.
    fn take_due(&mut self, now_ms: u64) -> Vec<String> {
        let mut due = Vec::new();
        for (channel, subscription) in &mut self.by_name {
            if subscription.retry_at_ms.take_if(|at| *at <= now_ms).is_some() {
                due.push(channel.clone());
            }
        }
        due
    }
}

impl Session {
    /// The server refuses a channel, or ends it: for good, or for now.
    pub(in crate::client) fn refuse(&mut self, now: Now, channel: String, error: ErrorBody) {
        match self.subscriptions.get(&channel) {
            Some(subscription) if is_temporary(&error) => {
                subscription.postpone(now.mono_ms, error.retry_after_ms, &mut self.random, &self.options);
            }
            _ => self.end_subscription(channel, error.code, error.message),
        }
    }

    /// When a channel that was refused for now is asked for again.
    pub(in crate::client) fn retry_deadline(&self) -> Option<u64> {
        self.subscriptions.retry_at_ms().filter(|_| self.is_online())
    }

    pub(in crate::client) fn retry_subscriptions(&mut self, now: Now) {
        for channel in self.subscriptions.take_due(now.mono_ms) {
            self.ask_for(&channel, false);
        }
    }
}
