//! The channels that the app wants, and how far it has read each (protocol, section 5).

mod places;

use std::collections::BTreeMap;

use crate::{
    Cursor, ReadFrom,
    packet::server::{Gap, Subscribed},
};

/// What a hello holds besides its cursors, taken generously. Bytes.
const HELLO_REST_BYTES: usize = 16 * 1024;

/// Of [`Subscription::repeats`]: how many will be known when the subscription is confirmed.
const UNKNOWN: u64 = u64::MAX;

/// One channel.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    from: ReadFrom,
    /// The last publication handed over.
    cursor: Option<Cursor>,
    /// Confirmed at least once: resumed by its cursor.
    pub(super) live: bool,
    /// Confirmed on the connection that is open.
    confirmed: bool,
    /// The `subscribe` that is under way, by its place in the outbox.
    pub(super) asked: Option<u64>,
    /// The user's own channel, which the gateway subscribes.
    own: bool,
    /// The last publication that the app's handler has returned from, where the server wants to know.
    handled: Option<Cursor>,
    ack_waits: bool,
    /// Where a restarted app goes on: the last publication that a handler has returned from. Kept only with storage.
    place: Option<Cursor>,
    /// How many of the next publications may have been handed over before the app was destroyed.
    repeats: u64,
}

/// What to do with a publication.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is the next one.
    Next { epoch: String, redelivered: bool },
    /// It is known, or not asked for.
    Known,
    /// Something before it is missing.
    Jump,
}

impl Subscription {
    fn new(from: ReadFrom) -> Self {
        Self { from, ..Self::default() }
    }

    /// Where a `subscribe` begins: the cursor once there is one.
    pub(super) fn start(&self) -> ReadFrom {
        self.cursor.clone().map_or_else(|| self.from.clone(), ReadFrom::Cursor)
    }

    fn confirm(&mut self, at: &Subscribed) -> Cursor {
        self.live = true;
        self.confirmed = true;
        self.asked = None;
        if let (None, ReadFrom::Cursor(from)) = (&self.cursor, &self.from) {
            self.cursor = Some(from.clone());
        }
        // A client without a cursor stands before what is about to follow; `at` belongs to the log's last entry.
        if self.repeats == UNKNOWN {
            self.repeats = at.recovering;
        }
        let exact = at.recovering == 0 && at.offset > 0;
        self.cursor
            .get_or_insert_with(|| Cursor {
                epoch: at.epoch.clone(),
                offset: at.offset.saturating_sub(at.recovering),
                at: exact.then_some(at.at),
            })
            .clone()
    }

    /// Where the app stands, if that was confirmed on the connection that is open.
    pub(super) fn confirmed_cursor(&self) -> Option<Cursor> {
        self.cursor.clone().filter(|_| self.confirmed)
    }

    fn arrive(&mut self, offset: u64, at_ms: u64) -> Arrival {
        let Some(cursor) = self.cursor.as_mut().filter(|_| self.live) else { return Arrival::Known };
        if offset <= cursor.offset {
            return Arrival::Known;
        }
        if offset > cursor.offset + 1 {
            return Arrival::Jump;
        }
        cursor.offset = offset;
        cursor.at = Some(at_ms);
        let (epoch, redelivered) = (cursor.epoch.clone(), self.repeats > 0);
        if self.repeats != UNKNOWN {
            self.repeats = self.repeats.saturating_sub(1);
        }
        Arrival::Next { epoch, redelivered }
    }

    const fn keeps_acks(&self) -> bool {
        self.own || matches!(self.from, ReadFrom::Acked)
    }
}

/// All of them, in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    by_name: BTreeMap<String, Subscription>,
    keeps_places: bool,
    places_moved: bool,
    /// A channel has its first place.
    places_begun: bool,
    /// Places of a destroyed app that nobody has claimed yet, and until when they may be.
    unclaimed: BTreeMap<String, Cursor>,
    unclaimed_until_ms: u64,
    unclaimed_may_repeat: bool,
}

impl Subscriptions {
    pub(super) fn get(&mut self, channel: &str) -> Option<&mut Subscription> {
        self.by_name.get_mut(channel)
    }

    pub(super) fn remove(&mut self, channel: &str) {
        let removed = self.by_name.remove(channel);
        self.places_moved |= removed.is_some_and(|it| it.place.is_some());
    }

    pub(super) fn clear(&mut self) {
        self.by_name.clear();
    }

    pub(super) fn is_own(&self, channel: &str) -> bool {
        self.by_name.get(channel).is_some_and(|subscription| subscription.own)
    }

    pub(super) fn is_live(&self, channel: &str) -> bool {
        self.by_name.get(channel).is_some_and(|subscription| subscription.live)
    }

    /// True when what a welcome says of the channel is about this very subscription: it stood in the hello, or is the
    /// user's own.
    pub(super) fn is_resumed(&self, channel: &str) -> bool {
        self.by_name.get(channel).is_some_and(|subscription| subscription.live || subscription.own)
    }

    /// True when the app has asked for none.
    pub(super) fn is_quiet(&self) -> bool {
        self.by_name.values().all(|subscription| subscription.own)
    }

    /// A welcome says whose session it is: the own channel is there without being asked for.
    pub(super) fn begin(&mut self, own: Option<&str>) {
        if let Some(own) = own {
            self.by_name.entry(own.to_owned()).or_insert_with(|| Subscription::new(ReadFrom::Acked));
        }
        for (channel, subscription) in &mut self.by_name {
            subscription.own = own == Some(channel);
            subscription.ack_waits = subscription.handled.is_some();
        }
    }

    /// The connection is gone: what was under way is asked afresh.
    pub(super) fn end(&mut self) {
        for subscription in self.by_name.values_mut() {
            subscription.asked = None;
            subscription.confirmed = false;
        }
    }

    /// The names of all channels.
    pub(super) fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }

    /// The cursors for a hello, as far as they fit. The rest is subscribed to after the welcome.
    pub(super) fn cursors(&self, hello_bytes_max: usize) -> BTreeMap<String, Cursor> {
        let mut room = hello_bytes_max.saturating_sub(HELLO_REST_BYTES);
        let mut cursors = BTreeMap::new();
        for (channel, subscription) in &self.by_name {
            let Some(cursor) = subscription.cursor.as_ref().filter(|_| subscription.live) else { continue };
            let bytes = weight(channel, cursor);
            if bytes > room {
                break;
            }
            room -= bytes;
            cursors.insert(channel.clone(), cursor.clone());
        }
        cursors
    }

    /// The server has confirmed a subscription. Gives the cursor where the app stands.
    pub(super) fn confirm(&mut self, channel: &str, at: &Subscribed) -> Option<Cursor> {
        let subscription = self.by_name.get_mut(channel)?;
        let cursor = subscription.confirm(at);
        if self.keeps_places && subscription.place.is_none() {
            subscription.place = Some(cursor.clone());
            self.places_begun = true;
        }
        Some(cursor)
    }

    /// A publication came: moves the cursor where it is the next one.
    pub(super) fn arrive(&mut self, channel: &str, offset: u64, at_ms: u64) -> Arrival {
        self.get(channel).map_or(Arrival::Known, |subscription| subscription.arrive(offset, at_ms))
    }

    /// The server could not prove what lay between. True where the app is to be told.
    pub(super) fn gap(&mut self, gap: &Gap) -> bool {
        let Some(subscription) = self.get(&gap.channel).filter(|subscription| subscription.live) else {
            return false;
        };
        if subscription.handled.as_ref().is_some_and(|handled| handled.epoch != gap.cursor.epoch) {
            subscription.handled = None;
            subscription.ack_waits = false;
        }
        subscription.cursor = Some(gap.cursor.clone());
        true
    }

    /// The app has handled a publication.
    pub(super) fn handled(&mut self, channel: &str, epoch: &str, offset: u64) {
        let Some(subscription) = self.by_name.get_mut(channel) else { return };
        let Some(cursor) = subscription.cursor.as_ref().filter(|at| at.epoch == epoch && offset <= at.offset)
        else {
            return;
        };
        let is_past = |last: &Option<Cursor>| {
            last.as_ref().is_none_or(|last| last.epoch != epoch || offset > last.offset)
        };
        if self.keeps_places && is_past(&subscription.place) {
            // Only of the last publication is it known when it was appended.
            let at = cursor.at.filter(|_| cursor.offset == offset);
            subscription.place = Some(Cursor { epoch: epoch.to_owned(), offset, at });
            self.places_moved = true;
        }
        if subscription.keeps_acks() && is_past(&subscription.handled) {
            subscription.handled = Some(Cursor { epoch: epoch.to_owned(), offset, at: None });
            subscription.ack_waits = true;
        }
    }

    pub(super) fn acks_wait(&self) -> bool {
        self.by_name.values().any(|subscription| subscription.ack_waits)
    }

    /// The acks for a ping; they count as reported.
    pub(super) fn take_acks(&mut self) -> BTreeMap<String, Cursor> {
        let mut acks = BTreeMap::new();
        for (channel, subscription) in &mut self.by_name {
            if let Some(handled) = subscription.handled.clone().filter(|_| subscription.ack_waits) {
                acks.insert(channel.clone(), handled);
            }
            subscription.ack_waits = false;
        }
        acks
    }
}

/// What a cursor takes in JSON, at most. Twice: a quote or a backslash takes two bytes there.
const fn weight(channel: &str, cursor: &Cursor) -> usize {
    2 * channel.len() + 2 * cursor.epoch.len() + 80
}
