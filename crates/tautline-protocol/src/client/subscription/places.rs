//! Where an app has got to in its channels, as the device keeps it, and how a restarted app gets it back.

use std::collections::BTreeMap;

use super::{Repeats, Subscription, Subscriptions, weight};
use crate::{Cursor, ReadFrom, client::snapshot::Stored};

/// How long a restarted app has to subscribe again before the places of its former self are forgotten. Milliseconds.
const CLAIM_MS: u64 = 60_000;

/// What a destroyed app has left of its channels.
pub(in crate::client) struct Restored {
    pub places: BTreeMap<String, Cursor>,
    pub own: Option<String>,
    pub by_server: Vec<String>,
}

impl Subscription {
    /// One that goes on where a destroyed app was.
    fn resumed(from: ReadFrom, place: Cursor, may_repeat: bool) -> Self {
        let repeats = if may_repeat { Repeats::Unknown } else { Repeats::None };
        let mut it = Self { live: true, repeats, ..Self::new(from) };
        if it.keeps_acks() {
            // The app may have been destroyed before this was reported.
            it.handled = Some(Cursor { at: None, ..place.clone() });
        }
        it.cursor = Some(place.clone());
        it.claimed = Some(place.clone());
        it.place = Some(place);
        it
    }

    /// True where what is handed over next, or was handed over last, may come once more after a restart.
    fn may_repeat(&self) -> bool {
        let stand = |cursor: &Option<Cursor>| cursor.as_ref().map(|it| (it.epoch.clone(), it.offset));
        self.repeats != Repeats::None || (!self.leaving && stand(&self.place) != stand(&self.cursor))
    }
}

impl Subscriptions {
    /// The app wants a channel: from where a destroyed app was in it, unless it names a cursor of its own. One that is there
    /// begins again.
    pub(in crate::client) fn add(&mut self, now_ms: u64, channel: String, from: ReadFrom) {
        self.forget_unclaimed(now_ms);
        let place = self.unclaimed.remove(&channel).filter(|_| !matches!(from, ReadFrom::Cursor(_)));
        let subscription = match place {
            Some(place) => Subscription::resumed(from, place, self.unclaimed_may_repeat),
            None => match self.by_name.remove(&channel) {
                Some(before) => Subscription::instead_of(before, from),
                None => Subscription::new(from),
            },
        };
        self.by_name.insert(channel, subscription);
    }

    /// Where a start of long ago leads for one more handler of an app that goes on for a destroyed one: it had come as far.
    pub(in crate::client) fn claimed_start(
        &self,
        now_ms: u64,
        channel: &str,
        from: &ReadFrom,
    ) -> Option<Cursor> {
        let is_old = matches!(from, ReadFrom::Start | ReadFrom::Acked) && now_ms < self.unclaimed_until_ms;
        self.by_name.get(channel).filter(|_| is_old)?.claimed.clone()
    }

    /// Somebody wants what the user's apps have handled to be known.
    pub(in crate::client) fn keep_acks(&mut self, channel: &str) {
        if let Some(subscription) = self.by_name.get_mut(channel) {
            subscription.acks = true;
        }
    }

    /// There is storage: what the app has handled is to be remembered.
    pub(in crate::client) const fn keep_places(&mut self) {
        self.keeps_places = true;
    }

    pub(in crate::client) const fn places_moved(&self) -> bool {
        self.places_moved
    }

    pub(in crate::client) const fn places_begun(&self) -> bool {
        self.places_begun
    }

    pub(in crate::client) fn may_repeat(&self) -> bool {
        self.by_name.values().any(Subscription::may_repeat)
            || (self.unclaimed_may_repeat && !self.unclaimed.is_empty())
    }

    /// Takes the places of a destroyed app. Channels that no app subscribes to are there at once: the user's own, and those
    /// that the gateway subscribes.
    pub(in crate::client) fn restore(
        &mut self,
        now_ms: u64,
        Restored { mut places, own, by_server }: Restored,
        may_repeat: bool,
    ) {
        let resumed = |place| Subscription::resumed(ReadFrom::Acked, place, may_repeat);
        if let Some((own, place)) = own.and_then(|own| places.remove_entry(&own)) {
            self.by_name.insert(own, Subscription { own: true, ..resumed(place) });
        }
        for channel in by_server {
            let Some(place) = places.remove(&channel) else { continue };
            self.by_name.insert(channel, Subscription { by_server: true, ..resumed(place) });
        }
        self.unclaimed = places;
        self.unclaimed_until_ms = now_ms + CLAIM_MS;
        self.unclaimed_may_repeat = may_repeat;
    }

    /// Gives the places to the storage, in the order of the names, as far as they fit. Gives the room that is left.
    pub(in crate::client) fn store(&mut self, now_ms: u64, mut room: usize, stored: &mut Stored) -> usize {
        self.forget_unclaimed(now_ms);
        (self.places_moved, self.places_begun) = (false, false);
        let mut places = self.unclaimed.clone();
        for (channel, subscription) in &self.by_name {
            let Some(place) = subscription.place.clone() else { continue };
            places.insert(channel.clone(), place);
            if subscription.own {
                stored.own = Some(channel.clone());
            }
        }
        for (channel, place) in places {
            let is_by_server = self.by_name.get(&channel).is_some_and(|it| it.by_server);
            let more = if is_by_server { 2 * channel.len() + 3 } else { 0 };
            let Some(left) = room.checked_sub(weight(&channel, &place) + more) else { break };
            room = left;
            stored.by_server.extend(is_by_server.then(|| channel.clone()));
            stored.cursors.insert(channel, place);
        }
        room
    }

    fn forget_unclaimed(&mut self, now_ms: u64) {
        if now_ms >= self.unclaimed_until_ms {
            self.unclaimed.clear();
        }
    }
}
