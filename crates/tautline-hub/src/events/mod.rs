//! Events for the app's back end, each in a log of its own webhook.
//!
//! Start at [`Hub::record_events`]. An event is encoded where it happens, under the lock that orders it, and waits
//! in a bounded queue; [`Hub::pump`] hands it to the engine outside of all locks. The logs are internal channels,
//! which no client and no API can name ([`ChannelName::is_internal`]). Whoever sends events reads them through an
//! [`EventLog`].

mod answers;
mod body;
mod config;
mod doubts;
mod held;
mod inboxes;
mod journal;
mod kind;
mod log;
mod probes;
mod queue;
mod store;
mod tracker;
mod tracking;
mod unread;

use std::{sync::Arc, task::Waker};

use serde::Serialize;
use tautline_engine::{Entry, Retention};
use tautline_protocol::{ChannelName, Now, TraceId};

use self::{body::ChannelData, doubts::Doubts, held::HeldAnswers, queue::EventQueue, tracking::Tracking};
pub use self::{
    body::EVENT_BYTES_MAX,
    config::{EventLogConfig, EventsConfig, InvalidEvents},
    kind::{EventKind, EventSet, UnknownEvent},
    log::{EventLog, EventLogFigures, EventLogStanding, EventPage, StoredEvent},
};
pub(crate) use self::{
    doubts::DoubtfulAppend,
    tracker::{AwayCause, EndCause},
};
use crate::{
    Identity,
    session::id::SessionId,
    sync::{AtomicU64, Mutex, Ordering, lock},
};

/// The events of a node.
pub(crate) struct Events {
    node: String,
    logs: Box<[RecordedLog]>,
    /// `None` where no log has events of sessions or users.
    tracking: Option<Tracking>,
    /// Woken when an event is ready for the engine.
    pump: Mutex<Option<Waker>>,
    /// The number of the next entry of a queue. Drawn under the lock of the queue.
    next_number: AtomicU64,
    /// Appends that may have happened without an event.
    doubts: Mutex<Doubts>,
    /// Answers that wait for events to be stored.
    held: Mutex<HeldAnswers>,
}

/// The log of one webhook.
struct RecordedLog {
    config: EventLogConfig,
    store: InternalLog,
}

/// A log that the gateway keeps for itself.
struct InternalLog {
    channel: ChannelName,
    queue: Mutex<EventQueue>,
    /// Woken when an event was stored.
    reader: Mutex<Option<Waker>>,
}

/// The events at one moment.
#[derive(Clone, Copy)]
pub(crate) struct EventsAt<'a> {
    events: &'a Events,
    now: Now,
}

impl InternalLog {
    fn new(channel: ChannelName, bytes_max: usize, first_key: u128) -> Self {
        let queue = Mutex::new(EventQueue::new(bytes_max, first_key));
        Self { channel, queue, reader: Mutex::default() }
    }
}

impl Events {
    fn wants(&self, kind: EventKind) -> bool {
        self.logs.iter().any(|log| log.config.events.contains(kind))
    }

    /// The retention of an internal log. One that nobody uses any more ages like a channel without a rule.
    fn retention_of(&self, channel: &ChannelName) -> Retention {
        if let Some(tracking) = self.tracking.as_ref().filter(|tracking| tracking.store.channel == *channel) {
            return tracking.retention();
        }
        let log = self.logs.iter().find(|log| log.store.channel == *channel);
        log.map_or_else(Retention::default, |log| log.config.retention)
    }

    /// The longest age that a log keeps, in milliseconds.
    fn age_ms_max(&self) -> u64 {
        self.logs.iter().map(|log| log.config.retention.age_ms).max().unwrap_or_default()
    }

    fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::AcqRel)
    }

    /// All events with a smaller number are stored.
    fn stored_before(&self) -> u64 {
        // First: an event that comes from now on has a larger one.
        let next = self.next_number.load(Ordering::Acquire);
        self.logs.iter().filter_map(|log| lock(&log.store.queue).oldest()).fold(next, u64::min)
    }

    fn wake_pump(&self) {
        if let Some(waker) = &*lock(&self.pump) {
            waker.wake_by_ref();
        }
    }
}

impl EventsAt<'_> {
    /// Adds an event to the logs that want it.
    fn add(&self, kind: EventKind, wants: impl Fn(&EventLogConfig) -> bool, encode: impl FnOnce() -> String) {
        let mut wanting =
            self.events.logs.iter().filter(|log| log.config.events.contains(kind) && wants(&log.config));
        let Some(first) = wanting.next() else { return };
        let body = encode().into_boxed_str();
        for log in wanting {
            self.push(&log.store, body.clone());
        }
        self.push(&first.store, body);
    }

    fn push(&self, log: &InternalLog, body: Box<str>) -> bool {
        let mut queue = lock(&log.queue);
        let is_kept = queue.push(self.events.next_number(), body, |count| self.lost_event(count));
        let is_ready = queue.is_ready(u64::MAX);
        drop(queue);
        if is_ready {
            self.events.wake_pump();
        }
        is_kept
    }

    fn lost_event(&self, count: u64) -> Box<str> {
        self.encode(EventKind::EventsLost, &body::LostData { count, reason: "overflow" }).into()
    }

    fn encode(&self, kind: EventKind, data: &impl Serialize) -> String {
        body::encode(kind, self.now.wall_ms, data)
    }

    /// A channel has its first subscriber. Call under the channel's lock.
    pub(crate) fn channel_occupied(&self, channel: &ChannelName) {
        self.add_of_channel(EventKind::ChannelOccupied, channel);
    }

    /// A channel has lost its last subscriber. Call under the channel's lock.
    pub(crate) fn channel_vacated(&self, channel: &ChannelName) {
        self.add_of_channel(EventKind::ChannelVacated, channel);
    }

    fn add_of_channel(&self, kind: EventKind, channel: &ChannelName) {
        let data = ChannelData { channel: channel.as_str(), node: &self.events.node };
        self.add(kind, |config| config.is_about(channel), || self.encode(kind, &data));
    }

    /// A publication was appended.
    pub(crate) fn published(
        &self,
        channel: &ChannelName,
        epoch: &Arc<str>,
        entry: &Entry,
        trace: Option<TraceId>,
    ) {
        self.message_published(channel, epoch, entry, trace);
        self.inbox_published(channel, epoch, entry);
    }

    fn message_published(&self, channel: &ChannelName, epoch: &str, entry: &Entry, trace: Option<TraceId>) {
        let encode = || body::encode_publication(channel, epoch, &self.events.node, entry, trace);
        self.add(EventKind::MessagePublished, |config| config.is_about(channel), encode);
    }

    /// A connection has taken a session. Call under the session's lock, as the next ones.
    pub(crate) fn session_attached(&self, id: SessionId, identity: &Identity, has_ticket: bool) {
        self.track(|tracker, now, sink| tracker.attach(now, id, identity, has_ticket, sink));
    }

    /// A session is away.
    pub(crate) fn session_away(&self, id: SessionId, cause: AwayCause) {
        self.track(|tracker, now, sink| tracker.leave(now, id, cause, sink));
    }

    /// The client of a session that had announced that it goes away is back.
    pub(crate) fn session_unpaused(&self, id: SessionId) {
        self.track(|tracker, now, sink| tracker.unpause(now, id, sink));
    }

    /// Another node has a session from now on.
    pub(crate) fn session_moved(&self, id: SessionId) {
        self.track(|tracker, now, sink| tracker.moved(now, id, sink));
    }

    /// A session has ended.
    pub(crate) fn session_ended(&self, id: SessionId, cause: EndCause) {
        self.track(|tracker, now, sink| tracker.end(now, id, cause, sink));
    }
}
