//! The channels that the app wants, and how far it has read each (protocol, section 5).

mod by_server;
pub(super) mod places;
mod retry;

use std::collections::BTreeMap;

use crate::{
    Cursor, ReadFrom,
    packet::server::{Gap, Subscribed},
};

/// What a hello holds besides its cursors, taken generously. Bytes.
const HELLO_REST_BYTES: usize = 16 * 1024;

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
    /// The last hello named its cursor: what the welcome says of the channel is the answer.
    said: bool,
    /// The user's own channel, which the gateway subscribes.
    own: bool,
    /// The gateway has subscribed it by itself.
    by_server: bool,
    /// The app has asked for it.
    pub(super) wanted: bool,
    /// Refused for now: when to ask again, and how often in a row.
    pub(super) retry_at_ms: Option<u64>,
    refusals: u32,
    /// The server wants to know how far the app has come: somebody subscribed from `acked`.
    acks: bool,
    /// The last publication that the app's handler has returned from, where the server wants to know.
    handled: Option<Cursor>,
    ack_waits: bool,
    /// Something was passed over while the app could take no more; what follows the cursor is asked for again.
    passed_over: bool,
    /// The app has unsubscribed; it stays until the server knows that, and before it what was handled.
    pub(super) leaving: bool,
    /// The `unsubscribe` that is under way, by its place in the outbox.
    pub(super) left_by: Option<u64>,
    /// Where a restarted app goes on: the last publication that a handler has returned from. Kept only with storage.
    place: Option<Cursor>,
    /// Where a destroyed app was, which this one goes on for: whoever comes next begins there, too.
    claimed: Option<Cursor>,
    /// Which publications may have been handed over before the app was destroyed.
    repeats: Repeats,
}

/// Which of the next publications may have been handed over before.
#[derive(Debug, Default, PartialEq, Eq)]
enum Repeats {
    #[default]
    None,
    /// Some; up to where is known when the subscription is confirmed.
    Unknown,
    /// Up to this offset of this epoch.
    UpTo(String, u64),
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
        let acks = from == ReadFrom::Acked;
        Self { from, acks, ..Self::default() }
    }

    /// One that begins in the place of another, which the app has left or wants from elsewhere.
    fn instead_of(before: Self, from: ReadFrom) -> Self {
        let Self { own, by_server, acks, handled, ack_waits, leaving, place, claimed, repeats, .. } = before;
        let fresh = Self { own, handled, ack_waits, ..Self::new(from) };
        if leaving {
            return fresh;
        }
        Self { by_server, acks: acks || fresh.acks, place, claimed, repeats, ..fresh }
    }

    /// True where the app is to hear what comes on this connection: before it is confirmed, that is about a subscription of
    /// another time.
    const fn is_heard(&self) -> bool {
        self.confirmed && !self.leaving
    }

    /// True where what a welcome says of the channel answers what the hello asked, or what the gateway does unasked.
    const fn is_answered(&self) -> bool {
        self.said || (self.is_unasked() && self.cursor.is_none() && matches!(self.from, ReadFrom::Acked))
    }

    /// True where the gateway has subscribed it, and the app has not asked for it.
    const fn is_unasked(&self) -> bool {
        self.own || (self.by_server && !self.wanted)
    }

    /// Where a `subscribe` begins: the cursor once there is one.
    pub(super) fn start(&self) -> ReadFrom {
        self.cursor.clone().map_or_else(|| self.from.clone(), ReadFrom::Cursor)
    }

    fn confirm(&mut self, at: &Subscribed) -> Cursor {
        self.live = true;
        self.confirmed = true;
        self.asked = None;
        self.refusals = 0;
        if let (None, ReadFrom::Cursor(from)) = (&self.cursor, &self.from) {
            self.cursor = Some(from.clone());
        }
        // A client without a cursor stands before what is about to follow; `at` belongs to the log's last entry.
        if self.repeats == Repeats::Unknown {
            let some = at.recovering > 0;
            self.repeats = if some { Repeats::UpTo(at.epoch.clone(), at.offset) } else { Repeats::None };
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
        let is_heard = self.is_heard();
        let Some(cursor) = self.cursor.as_mut().filter(|_| is_heard) else { return Arrival::Known };
        if offset <= cursor.offset {
            return Arrival::Known;
        }
        if offset > cursor.offset + 1 {
            return Arrival::Jump;
        }
        cursor.offset = offset;
        cursor.at = Some(at_ms);
        let epoch = cursor.epoch.clone();
        let (mut redelivered, mut is_last) = (false, false);
        if let Repeats::UpTo(of, last) = &self.repeats {
            redelivered = *of == epoch && offset <= *last;
            is_last = offset >= *last;
        }
        if is_last {
            self.repeats = Repeats::None;
        }
        Arrival::Next { epoch, redelivered }
    }

    /// The server takes acks of subscriptions alone.
    const fn ack_can_be_told(&self) -> bool {
        self.ack_waits && self.confirmed
    }

    const fn keeps_acks(&self) -> bool {
        self.own || self.acks
    }
}

/// All of them, in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    by_name: BTreeMap<String, Subscription>,
    /// The app can take no more just now.
    holds: bool,
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

    /// Another user logs in. Gives the names of those that the app has.
    pub(super) fn forget_user(&mut self) -> Vec<String> {
        let Self { holds, keeps_places, .. } = *self;
        let all =
            std::mem::replace(self, Self { holds, keeps_places, places_moved: true, ..Self::default() });
        all.by_name.into_iter().filter(|(_, it)| !it.leaving).map(|(channel, _)| channel).collect()
    }

    pub(super) fn is_own(&self, channel: &str) -> bool {
        self.by_name.get(channel).is_some_and(|subscription| subscription.own)
    }

    pub(super) fn is_heard(&self, channel: &str) -> bool {
        self.by_name.get(channel).is_some_and(Subscription::is_heard)
    }

    /// True when what a welcome says of the channel is about this very subscription.
    pub(super) fn is_answered(&self, channel: &str) -> bool {
        self.by_name.get(channel).is_some_and(Subscription::is_answered)
    }

    /// True where the server may end it: what it says while a `subscribe` is under way, or was not answered on this
    /// connection, is about a subscription before that one.
    pub(super) fn can_be_ended(&self, channel: &str) -> bool {
        self.by_name.get(channel).is_some_and(|it| it.confirmed && it.asked.is_none())
    }

    /// True where the app has unsubscribed, and the server is to be told.
    pub(super) fn is_leaving(&self, channel: &str) -> bool {
        self.by_name.get(channel).is_some_and(|subscription| subscription.leaving)
    }

    /// True where the channel's ack can be told, or need not be, so that an `unsubscribe` may follow.
    pub(super) fn can_leave(&self, channel: &str) -> bool {
        self.by_name.get(channel).is_none_or(|it| it.confirmed)
    }

    /// True where the app has handled what the server was not told of yet, and would take.
    pub(super) fn ack_waits(&self, channel: &str) -> bool {
        self.by_name.get(channel).is_some_and(Subscription::ack_can_be_told)
    }

    /// The app has unsubscribed. What was handled is told first, if need be on the next connection.
    pub(super) fn leave(&mut self, channel: &str) {
        let Some(subscription) = self.by_name.get_mut(channel) else { return };
        if subscription.handled.is_none() {
            return self.remove(channel);
        }
        subscription.leaving = true;
        subscription.repeats = Repeats::None;
        subscription.claimed = None;
        self.places_moved |= subscription.place.take().is_some();
    }

    /// An `unsubscribe` was answered: the subscription is over, unless another one has taken its place.
    pub(super) fn left(&mut self, channel: &str, serial: u64) {
        if self.by_name.get(channel).is_some_and(|it| it.left_by == Some(serial)) {
            self.remove(channel);
        }
    }

    /// True when the app has asked for none.
    pub(super) fn is_quiet(&self) -> bool {
        self.by_name.values().all(|subscription| subscription.is_unasked())
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
            subscription.retry_at_ms = None;
            subscription.refusals = 0;
            subscription.left_by = None;
            subscription.confirmed = false;
            // The next connection begins at the cursor.
            subscription.passed_over = false;
        }
    }

    /// The names of all channels.
    pub(super) fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }

    /// The cursors for a hello that resumes, as far as they fit: that of the user's own channel first, since the gateway
    /// subscribes it in any case. The rest is subscribed to after the welcome.
    pub(super) fn cursors(&mut self, is_resuming: bool, hello_bytes_max: usize) -> BTreeMap<String, Cursor> {
        let mut room = hello_bytes_max.saturating_sub(HELLO_REST_BYTES);
        let mut fits = is_resuming;
        let mut cursors = BTreeMap::new();
        for own in [true, false] {
            for (channel, subscription) in self.by_name.iter_mut().filter(|(_, it)| it.own == own) {
                subscription.said = false;
                let Some(cursor) = subscription.cursor.as_ref().filter(|_| subscription.live) else {
                    continue;
                };
                let left = room.checked_sub(weight(channel, cursor));
                fits &= left.is_some();
                if let Some(left) = left.filter(|_| fits) {
                    room = left;
                    subscription.said = true;
                    cursors.insert(channel.clone(), cursor.clone());
                }
            }
        }
        cursors
    }

    /// The server has confirmed a subscription. Gives the cursor where the app stands.
    pub(super) fn confirm(&mut self, channel: &str, at: &Subscribed) -> Option<Cursor> {
        let subscription = self.by_name.get_mut(channel)?;
        let cursor = subscription.confirm(at);
        if subscription.leaving {
            return None;
        }
        if self.keeps_places && subscription.place.is_none() {
            subscription.place = Some(cursor.clone());
            self.places_begun = true;
        }
        Some(cursor)
    }

    /// A publication came: moves the cursor where it is the next one.
    pub(super) fn arrive(&mut self, channel: &str, offset: u64, at_ms: u64) -> Arrival {
        let holds = self.holds;
        let Some(subscription) = self.get(channel) else { return Arrival::Known };
        if holds && subscription.is_heard() {
            subscription.passed_over = true;
            return Arrival::Known;
        }
        subscription.arrive(offset, at_ms)
    }

    /// The app can take no more, or can again. Gives the channels of which something was passed over meanwhile.
    pub(super) fn hold(&mut self, holds: bool) -> Vec<String> {
        let was_held = std::mem::replace(&mut self.holds, holds);
        let mut passed_over = Vec::new();
        if was_held && !holds {
            for (channel, subscription) in &mut self.by_name {
                if std::mem::take(&mut subscription.passed_over) {
                    passed_over.push(channel.clone());
                }
            }
        }
        passed_over
    }

    /// The server could not prove what lay between. True where the app is to be told.
    pub(super) fn gap(&mut self, gap: &Gap) -> bool {
        let holds = self.holds;
        let Some(subscription) = self.get(&gap.channel).filter(|subscription| subscription.is_heard()) else {
            return false;
        };
        if holds {
            // It is told again when what was passed over is asked for.
            subscription.passed_over = true;
            return false;
        }
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
        if self.keeps_places && !subscription.leaving && is_past(&subscription.place) {
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
        self.by_name.values().any(Subscription::ack_can_be_told)
    }

    /// The acks for a ping; they count as reported.
    pub(super) fn take_acks(&mut self) -> BTreeMap<String, Cursor> {
        let mut acks = BTreeMap::new();
        for (channel, subscription) in &mut self.by_name {
            if !subscription.ack_can_be_told() {
                continue;
            }
            subscription.ack_waits = false;
            if let Some(handled) = subscription.handled.clone() {
                acks.insert(channel.clone(), handled);
            }
        }
        acks
    }
}

/// What a cursor takes in JSON, at most. Twice: a quote or a backslash takes two bytes there.
const fn weight(channel: &str, cursor: &Cursor) -> usize {
    2 * channel.len() + 2 * cursor.epoch.len() + 80
}
