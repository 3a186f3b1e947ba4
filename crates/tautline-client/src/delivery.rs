//! Hands events to subscriptions, each with a bounded buffer.
//!
//! What finds its buffer full waits here, and everything behind it, so that order holds. While something waits
//! ([`Deliveries::is_held_up`]) the driver reads nothing from the socket, or only replies that the app waits for, and
//! passes over publications: what waits is at most what one read brought.

use std::collections::{HashMap, VecDeque};

use tautline_protocol::{ChannelName, ErrorCode, client::LocalError};
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{handle_events::Handled, subscription::SubscriptionEvent};

/// What a subscription is given.
#[derive(Debug)]
pub(crate) enum Delivery {
    Event(SubscriptionEvent),
    /// A publication that is not for the app, which published it without an echo: handled when everything before it is.
    Skipped(Handled),
}

impl From<SubscriptionEvent> for Delivery {
    fn from(event: SubscriptionEvent) -> Self {
        Self::Event(event)
    }
}

/// The driver's end of a subscription.
#[derive(Debug)]
pub(crate) struct Sink {
    pub number: u64,
    pub events: mpsc::Sender<Delivery>,
}

/// All sinks, by channel. The user's inbox goes by [`ChannelName::USER_PREFIX`], because its name is not known before the
/// first welcome.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    sinks: HashMap<String, Sink>,
    held_up: VecDeque<(String, Delivery)>,
}

impl Deliveries {
    /// True where a subscription to `channel` would take what another one hears. The inbox is one of the channels with its
    /// prefix, and the gateway lets nobody read any other.
    pub(crate) fn contains(&self, channel: &str) -> bool {
        let prefix = ChannelName::USER_PREFIX;
        self.sinks.contains_key(channel)
            || (channel.starts_with(prefix) && self.sinks.contains_key(prefix))
            || (channel == prefix && self.sinks.keys().any(|other| other.starts_with(prefix)))
    }

    pub(crate) fn add(&mut self, channel: String, sink: Sink) {
        self.sinks.insert(channel, sink);
    }

    /// Forgets a subscription that the app has dropped; its channel, unless it has ended before.
    pub(crate) fn remove(&mut self, number: u64) -> Option<String> {
        let channel = self.sinks.iter().find(|(_, sink)| sink.number == number)?.0.clone();
        self.sinks.remove(&channel);
        self.held_up.retain(|(held_up, _)| *held_up != channel);
        Some(channel)
    }

    /// True while the app has this subscription and it has not ended.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.sinks.values().any(|sink| sink.number == number)
    }

    /// Another user logs in: all of them end. Where a buffer is full, what is in it is followed by nothing.
    pub(crate) fn end_all(&mut self, why: LocalError) {
        self.held_up.clear();
        for (_, sink) in self.sinks.drain() {
            let code = ErrorCode::from(why.as_str());
            let ended = SubscriptionEvent::Ended { code, message: why.to_string() };
            let _ = sink.events.try_send(ended.into());
        }
    }

    /// Gives an event to whoever subscribed; to nobody where nobody did.
    pub(crate) fn deliver(&mut self, channel: &str, delivery: impl Into<Delivery>) {
        let Some(key) = self.key(channel) else { return };
        if self.held_up.is_empty() {
            self.try_send(key, delivery.into());
        } else {
            self.held_up.push_back((key, delivery.into()));
        }
    }

    /// True while a buffer is full: read nothing more.
    pub(crate) fn is_held_up(&self) -> bool {
        !self.held_up.is_empty()
    }

    /// Waits until the app has read, and goes on. Safe to cancel. Pends for ever when nothing waits.
    pub(crate) async fn go_on(&mut self) {
        let Some((channel, _)) = self.held_up.front() else { return std::future::pending().await };
        if let Some(sink) = self.sinks.get(channel) {
            // An error means that the app dropped it: then there is nothing to wait for.
            drop(sink.events.reserve().await);
        }
        while let Some((channel, delivery)) = self.held_up.pop_front() {
            let before = self.held_up.len();
            self.try_send(channel, delivery);
            if self.held_up.len() > before {
                break;
            }
        }
    }

    fn key(&self, channel: &str) -> Option<String> {
        if self.sinks.contains_key(channel) {
            return Some(channel.to_owned());
        }
        let prefix = ChannelName::USER_PREFIX;
        (channel.starts_with(prefix) && self.sinks.contains_key(prefix)).then(|| prefix.to_owned())
    }

    fn try_send(&mut self, key: String, delivery: Delivery) {
        let ends = matches!(delivery, Delivery::Event(SubscriptionEvent::Ended { .. }));
        let Some(sink) = self.sinks.get(&key) else { return };
        match sink.events.try_send(delivery) {
            // At the front: it was the oldest.
            Err(TrySendError::Full(delivery)) => self.held_up.push_front((key, delivery)),
            Ok(()) if ends => drop(self.sinks.remove(&key)),
            Ok(()) | Err(TrySendError::Closed(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tautline_protocol::Cursor;

    use super::*;

    fn event(offset: u64) -> SubscriptionEvent {
        SubscriptionEvent::Subscribed {
            cursor: Cursor { epoch: "e".into(), offset, at: None },
            recovering: 0,
        }
    }

    fn offset(delivery: Option<Delivery>) -> Option<u64> {
        match delivery {
            Some(Delivery::Event(SubscriptionEvent::Subscribed { cursor, .. })) => Some(cursor.offset),
            _ => None,
        }
    }

    fn sink(number: u64, events_max: usize) -> (Sink, mpsc::Receiver<Delivery>) {
        let (events, received) = mpsc::channel(events_max);
        (Sink { number, events }, received)
    }

    #[tokio::test]
    async fn a_full_buffer_holds_everything_up_and_loses_nothing() {
        let mut deliveries = Deliveries::default();
        let (slow, mut slow_events) = sink(1, 1);
        let (quick, mut quick_events) = sink(2, 10);
        deliveries.add("slow".into(), slow);
        deliveries.add("quick".into(), quick);
        for offset in 1..=4 {
            deliveries.deliver("slow", event(offset));
        }
        deliveries.deliver("quick", event(9));
        assert!(deliveries.is_held_up());
        assert!(quick_events.try_recv().is_err(), "what is behind waits too");

        for expected in 1..=4 {
            assert_eq!(offset(slow_events.recv().await), Some(expected));
            if deliveries.is_held_up() {
                deliveries.go_on().await;
            }
        }
        assert!(!deliveries.is_held_up());
        assert_eq!(offset(quick_events.recv().await), Some(9));
    }

    #[tokio::test]
    async fn a_dropped_subscription_holds_nobody_up() {
        let mut deliveries = Deliveries::default();
        let (slow, slow_events) = sink(1, 1);
        deliveries.add("slow".into(), slow);
        deliveries.deliver("slow", event(1));
        deliveries.deliver("slow", event(2));
        drop(slow_events);
        deliveries.go_on().await;
        assert!(!deliveries.is_held_up());
        assert_eq!(deliveries.remove(1), Some("slow".to_owned()));
        assert_eq!(deliveries.remove(1), None);
    }

    #[tokio::test]
    async fn subscriptions_end_when_another_user_logs_in() {
        let mut deliveries = Deliveries::default();
        let (full, mut full_events) = sink(1, 1);
        let (quick, mut quick_events) = sink(2, 10);
        deliveries.add("full".into(), full);
        deliveries.add("quick".into(), quick);
        deliveries.deliver("full", event(1));
        deliveries.deliver("full", event(2));
        deliveries.end_all(LocalError::UserChanged);

        assert!(!deliveries.is_held_up() && !deliveries.has(1) && !deliveries.has(2));
        assert_eq!(offset(full_events.recv().await), Some(1));
        assert!(full_events.recv().await.is_none(), "what was held up is the last user's");
        let end = quick_events.recv().await;
        assert!(
            matches!(&end, Some(Delivery::Event(SubscriptionEvent::Ended { code, .. })) if code.as_str() == "user_changed"),
            "{end:?}"
        );
    }

    #[test]
    fn the_inbox_and_its_name_exclude_each_other() {
        for (first, second) in [("user:", "user:u42"), ("user:u42", "user:")] {
            let mut deliveries = Deliveries::default();
            deliveries.add(first.into(), sink(1, 1).0);
            assert!(deliveries.contains(second) && !deliveries.contains("room:7"));
            deliveries.remove(1);
            assert!(!deliveries.contains(second));
        }
    }

    #[tokio::test]
    async fn the_inbox_is_found_under_the_name_that_the_gateway_gives_it() {
        let mut deliveries = Deliveries::default();
        let (inbox, mut events) = sink(1, 1);
        deliveries.add(ChannelName::USER_PREFIX.into(), inbox);
        deliveries.deliver("user:u42", event(7));
        assert_eq!(offset(events.recv().await), Some(7));
    }
}
