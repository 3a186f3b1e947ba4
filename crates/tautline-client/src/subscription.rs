//! The app's end of a subscription: events in the order of the log.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tautline_protocol::{
    Cursor, ErrorCode,
    packet::server::{Gap, PresenceChange, PresenceKind},
};
use tokio::sync::mpsc;

use crate::{
    client::Command,
    delivery::Delivery,
    handle_events::{HandleEvents, Handled},
};

/// What happens in a channel.
#[derive(Debug)]
#[non_exhaustive]
pub enum SubscriptionEvent {
    /// The gateway has confirmed the subscription; again after each reconnect.
    Subscribed {
        /// Where the app stands.
        cursor: Cursor,
        /// How many publications follow up to where the log stood.
        recovering: u64,
    },
    /// Somebody published.
    Publication(Publication),
    /// Publications may be missing between two places: load the state afresh.
    Gap(Gap),
    /// Somebody came, went away, came back or left.
    Presence(PresenceKind, PresenceChange),
    /// The gateway has ended the subscription, or refused it. The last event.
    Ended {
        /// For programs.
        code: ErrorCode,
        /// For people.
        message: String,
    },
}

/// One entry of a channel's log.
#[derive(Debug)]
pub struct Publication {
    /// The channel.
    pub channel: String,
    /// Which life of the log the offset belongs to.
    pub epoch: String,
    /// Its place in the log.
    pub offset: u64,
    /// When it was appended, in wall milliseconds.
    pub at: u64,
    /// The payload, to the letter as it was published.
    pub data: Box<RawValue>,
    /// Which user published it; none where the back end did, or a guest.
    pub from: Option<String>,
    /// Labels of the publisher's.
    pub tags: Option<Box<RawValue>>,
    /// It may have been handed over before the process was destroyed; only with storage.
    pub redelivered: bool,
}

impl Publication {
    /// The payload as a type of the app's.
    ///
    /// # Errors
    /// When it is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.data.get())
    }

    /// The place to go on from: what `ReadFrom::Cursor` takes.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch.clone(), offset: self.offset, at: Some(self.at) }
    }
}

/// A subscription. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    pub(crate) number: u64,
    pub(crate) events: mpsc::Receiver<Delivery>,
    pub(crate) handle_events: Arc<HandleEvents>,
    /// Whether the gateway or the storage keeps how far this channel was handled.
    pub(crate) acknowledges: bool,
    /// What the app is working on; handled once it asks for more.
    pub(crate) in_hand: Option<Handled>,
    /// A client lives as long as something of it is in use.
    pub(crate) _keeps_alive: mpsc::Sender<Command>,
}

impl Subscription {
    /// Waits for the next event; `None` when the subscription has ended or the client is closed. Safe to cancel.
    ///
    /// Asking for the next one says that the last one is done with: only then is it acknowledged, where a channel keeps an
    /// acknowledged position.
    pub async fn next(&mut self) -> Option<SubscriptionEvent> {
        self.acknowledge();
        loop {
            match self.events.recv().await? {
                Delivery::Event(event) => {
                    if let SubscriptionEvent::Publication(Publication { channel, epoch, offset, .. }) = &event
                        && self.acknowledges
                    {
                        let (channel, epoch) = (channel.clone(), epoch.clone());
                        self.in_hand = Some(Handled { channel, epoch, offset: *offset });
                    }
                    return Some(event);
                }
                Delivery::Skipped(handled) if self.acknowledges => {
                    self.handle_events.handled(self.number, handled)
                }
                Delivery::Skipped(_) => {}
            }
        }
    }

    /// The next publication; every other event but the end is passed over.
    ///
    /// For apps that keep no state which a gap could make wrong.
    pub async fn next_publication(&mut self) -> Option<Publication> {
        loop {
            if let SubscriptionEvent::Publication(publication) = self.next().await? {
                return Some(publication);
            }
        }
    }

    fn acknowledge(&mut self) {
        if let Some(handled) = self.in_hand.take() {
            self.handle_events.handled(self.number, handled);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.handle_events.unsubscribed(self.number);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;

    use super::*;

    struct Rig {
        subscription: Subscription,
        sender: mpsc::Sender<Delivery>,
        handle_events: Arc<HandleEvents>,
    }

    fn rig(acknowledges: bool) -> Rig {
        let (sender, events) = mpsc::channel(8);
        let handle_events = Arc::new(HandleEvents::default());
        let subscription = Subscription {
            number: 1,
            events,
            handle_events: Arc::clone(&handle_events),
            acknowledges,
            in_hand: None,
            _keeps_alive: mpsc::channel(1).0,
        };
        Rig { subscription, sender, handle_events }
    }

    fn handled(offset: u64) -> Handled {
        Handled { channel: "orders".into(), epoch: "e".into(), offset }
    }

    fn publication(offset: u64) -> Delivery {
        Delivery::Event(SubscriptionEvent::Publication(Publication {
            channel: "orders".into(),
            epoch: "e".into(),
            offset,
            at: 0,
            data: to_raw_value(&offset).unwrap(),
            from: None,
            tags: None,
            redelivered: false,
        }))
    }

    #[tokio::test]
    async fn skipped_publication_counts_when_those_before_do() {
        let Rig { mut subscription, sender, handle_events } = rig(true);
        sender.try_send(publication(1)).unwrap();
        sender.try_send(Delivery::Skipped(handled(2))).unwrap();
        assert_eq!(subscription.next_publication().await.map(|it| it.offset), Some(1));
        assert_eq!(handle_events.take().handled.get(&1), None, "the app has the first one in hand");
        tokio::select! {
            biased;
            event = subscription.next() => panic!("{event:?}"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(handle_events.take().handled.get(&1), Some(&handled(2)));
    }

    #[tokio::test]
    async fn skipped_publication_never_moves_back_what_follows() {
        let Rig { mut subscription, sender, handle_events } = rig(true);
        sender.try_send(Delivery::Skipped(handled(1))).unwrap();
        sender.try_send(publication(2)).unwrap();
        assert_eq!(subscription.next_publication().await.map(|it| it.offset), Some(2));
        assert_eq!(handle_events.take().handled.get(&1), Some(&handled(1)));
        drop(sender);
        assert!(subscription.next().await.is_none());
        assert_eq!(handle_events.take().handled.get(&1), Some(&handled(2)));
    }

    #[tokio::test]
    async fn skipped_publication_without_acknowledgements_reports_nothing() {
        let Rig { mut subscription, sender, handle_events } = rig(false);
        sender.try_send(Delivery::Skipped(handled(1))).unwrap();
        drop(sender);
        assert!(subscription.next().await.is_none());
        assert_eq!(handle_events.take().handled.get(&1), None);
    }
}
