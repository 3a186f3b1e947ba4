//! What has been asked and not settled (protocol, section 4; section 6, promises 6 and 7).
//!
//! Entries stand in the order in which they were or will be sent: those with an id first, ids rising. An entry that leaves
//! is settled; [`Outbox::seen`] follows from what is left.

mod storage;

use std::collections::VecDeque;

use serde_json::value::RawValue;

use super::{LocalError, NewRequest, Options, OutboxFull, RequestVerb, snapshot::NUMBER_MAX};
use crate::{Now, RequestId};

/// Requests of one connection that may be unanswered (protocol, section 9).
pub(super) const IN_FLIGHT_MAX: usize = 256;

/// Ids past `seen`: the server keeps 1,024 replies that were not seen, and ends the session at one more.
const UNSEEN_MAX: u64 = 1_000;

/// No honest server has seen an id like it; ids count on from what it has, and must be the same numbers in JavaScript.
const ID_MAX: RequestId = NUMBER_MAX;

/// What marks and punctuation add to a request, at most. Bytes.
const ENVELOPE_BYTES: usize = 64;

/// Whose request it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The app's, with its number.
    App { request: u64, verb: RequestVerb, idempotent: bool, volatile: bool },
    /// Made here, to subscribe to a channel.
    Subscribe { channel: String },
    /// Made here, to end a subscription.
    Unsubscribe { channel: String },
    /// Made here, to refresh the login.
    Auth,
}

/// One request.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its number in the outbox; never used twice.
    pub(super) serial: u64,
    pub(super) origin: Origin,
    pub(super) verb: &'static str,
    pub(super) body: Box<RawValue>,
    /// Given when first sent in this session.
    pub(super) id: Option<RequestId>,
    /// Sent on the connection that is open.
    pub(super) in_flight: bool,
    ever_sent: bool,
    /// In monotonic milliseconds.
    expires_at_ms: u64,
    /// In wall milliseconds, for the storage, and how long it may wait from then.
    asked_at_ms: u64,
    ttl_ms: u64,
    /// The id under which the storage has it, 0 where it has none yet; none where it is not there.
    stored_as: Option<RequestId>,
}

impl Entry {
    pub(super) fn bytes(&self) -> usize {
        self.body.get().len() + self.verb.len() + ENVELOPE_BYTES
    }

    const fn request(&self) -> Option<u64> {
        match self.origin {
            Origin::App { request, .. } => Some(request),
            Origin::Subscribe { .. } | Origin::Unsubscribe { .. } | Origin::Auth => None,
        }
    }

    const fn may_be_dropped(&self) -> bool {
        matches!(self.origin, Origin::App { volatile: true, .. }) && !self.ever_sent
    }

    const fn too_late(&self) -> LocalError {
        if self.ever_sent { LocalError::Timeout } else { LocalError::Expired }
    }

    /// With its session lost, nobody can say whether it was executed, and it would matter.
    const fn is_in_doubt(&self) -> bool {
        matches!(self.origin, Origin::App { verb, idempotent: false, .. } if verb.at_most_once())
            && self.ever_sent
    }
}

/// Requests that were settled on this side: the app's number, and why.
pub(super) type Settled = Vec<(u64, LocalError)>;

/// All of them.
#[derive(Debug)]
pub(super) struct Outbox {
    entries: VecDeque<Entry>,
    serials: u64,
    next_id: RequestId,
    in_flight: usize,
    /// The app's requests, and what they weigh.
    count: usize,
    bytes: usize,
}

impl Outbox {
    pub(super) const fn new() -> Self {
        Self { entries: VecDeque::new(), serials: 0, next_id: 1, in_flight: 0, count: 0, bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The highest id up to which everything is settled; 0 before the first.
    pub(super) fn seen(&self) -> RequestId {
        self.entries.front().and_then(|first| first.id).unwrap_or(self.next_id) - 1
    }

    /// Takes a request of the app's. Gives what had to be settled for it, itself perhaps.
    pub(super) fn push_request(
        &mut self,
        now: Now,
        new: NewRequest,
        message_bytes_max: usize,
        options: &Options,
    ) -> Settled {
        let NewRequest { request, verb, body, ttl_ms, idempotent, volatile } = new;
        let origin = Origin::App { request, verb, idempotent, volatile };
        let mut entry = self.make(origin, verb.as_str(), body);
        entry.ttl_ms = ttl_ms.unwrap_or(options.request_ttl_ms).min(NUMBER_MAX);
        entry.asked_at_ms = now.wall_ms;
        entry.expires_at_ms = now.mono_ms.saturating_add(entry.ttl_ms);
        if entry.bytes() > message_bytes_max {
            return vec![(request, LocalError::TooLarge)];
        }
        let mut settled = Settled::new();
        while !self.has_room(&entry, options) {
            let victim = match options.outbox_full {
                OutboxFull::Reject => None,
                OutboxFull::DropOldestVolatile => self.entries.iter().position(Entry::may_be_dropped),
            };
            let Some(victim) = victim else {
                settled.push((request, LocalError::Overflow));
                return settled;
            };
            self.settle_at(victim, LocalError::Overflow, &mut settled);
        }
        self.add(entry);
        settled
    }

    /// The id that the next new request gets.
    pub(super) const fn next_id(&self) -> RequestId {
        self.next_id
    }

    fn has_room(&self, entry: &Entry, options: &Options) -> bool {
        self.count < options.outbox_count_max && self.bytes + entry.bytes() <= options.outbox_bytes_max
    }

    fn add(&mut self, entry: Entry) {
        self.count += 1;
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
    }

    /// Adds a `subscribe`: at the end, or `early`, before the app's requests that were never sent. Gives its serial.
    pub(super) fn push_subscribe(&mut self, channel: String, body: Box<RawValue>, early: bool) -> u64 {
        let entry = self.make(Origin::Subscribe { channel }, "subscribe", body);
        let serial = entry.serial;
        let first_unsent =
            self.entries.iter().position(|entry| entry.id.is_none() && entry.request().is_some());
        let place = first_unsent.filter(|_| early).unwrap_or(self.entries.len());
        self.entries.insert(place, entry);
        serial
    }

    /// Adds an `unsubscribe`. Gives its serial.
    pub(super) fn push_unsubscribe(&mut self, channel: String, body: Box<RawValue>) -> u64 {
        let entry = self.make(Origin::Unsubscribe { channel }, "unsubscribe", body);
        let serial = entry.serial;
        self.entries.push_back(entry);
        serial
    }

    /// Adds an `auth`, with the next login.
    pub(super) fn push_auth(&mut self, body: Box<RawValue>) {
        let entry = self.make(Origin::Auth, "auth", body);
        self.entries.push_back(entry);
    }

    fn make(&mut self, origin: Origin, verb: &'static str, body: Box<RawValue>) -> Entry {
        self.serials += 1;
        Entry {
            serial: self.serials,
            origin,
            verb,
            body,
            id: None,
            in_flight: false,
            ever_sent: false,
            expires_at_ms: u64::MAX,
            asked_at_ms: 0,
            ttl_ms: 0,
            stored_as: None,
        }
    }

    /// The next request to send on this connection, marked as sent; and whether it was sent before. Requests that are
    /// larger than a message may be are settled on the way.
    pub(super) fn next_to_send(
        &mut self,
        message_bytes_max: usize,
        settled: &mut Settled,
    ) -> Option<(&Entry, bool)> {
        while self.in_flight < IN_FLIGHT_MAX {
            let place = self.entries.iter().position(|entry| !entry.in_flight)?;
            let seen = self.seen();
            let entry = &self.entries[place];
            if entry.request().is_some() && entry.bytes() > message_bytes_max {
                self.settle_at(place, LocalError::TooLarge, settled);
                continue;
            }
            let again = entry.id.is_some();
            if !again && self.next_id > seen + UNSEEN_MAX {
                return None;
            }
            if !again {
                self.next_id += 1;
            }
            self.in_flight += 1;
            let id = self.next_id - 1;
            let entry = &mut self.entries[place];
            entry.id.get_or_insert(id);
            entry.in_flight = true;
            entry.ever_sent = true;
            return Some((entry, again));
        }
        None
    }

    /// A reply came: its request leaves. None for ids that are settled already.
    pub(super) fn answer(&mut self, id: RequestId) -> Option<Entry> {
        let place = self.entries.iter().position(|entry| entry.id == Some(id))?;
        Some(self.take(place))
    }

    /// The app no longer waits.
    pub(super) fn cancel(&mut self, request: u64) -> Settled {
        let mut settled = Settled::new();
        if let Some(place) = self.entries.iter().position(|entry| entry.request() == Some(request)) {
            self.settle_at(place, LocalError::Cancelled, &mut settled);
        }
        settled
    }

    /// Settles what has waited long enough.
    pub(super) fn expire(&mut self, now_ms: u64) -> Settled {
        let mut settled = Settled::new();
        while let Some(place) = self.entries.iter().position(|entry| entry.expires_at_ms <= now_ms) {
            let error = self.entries[place].too_late();
            self.settle_at(place, error, &mut settled);
        }
        settled
    }

    /// When the next request has waited long enough, in monotonic milliseconds.
    pub(super) fn next_expiry(&self) -> Option<u64> {
        self.entries.iter().map(|entry| entry.expires_at_ms).filter(|at| *at < u64::MAX).min()
    }

    /// The connection is gone. What was made here is asked afresh on the next one; the app's requests stay.
    pub(super) fn end(&mut self) {
        self.in_flight = 0;
        self.entries.retain(|entry| entry.request().is_some());
        for entry in &mut self.entries {
            entry.in_flight = false;
        }
    }

    /// A session is open: the old one, whose numbering goes on, or a new one, which knows of nothing.
    pub(super) fn begin(&mut self, resumed: bool, requests_seen: Option<RequestId>) -> Settled {
        let mut settled = Settled::new();
        if resumed {
            let seen = requests_seen.filter(|seen| *seen < ID_MAX).unwrap_or(0);
            self.next_id = self.next_id.max(seen + 1);
            return settled;
        }
        self.next_id = 1;
        while let Some(place) = self.entries.iter().position(Entry::is_in_doubt) {
            self.settle_at(place, LocalError::InDoubt, &mut settled);
        }
        for entry in &mut self.entries {
            entry.id = None;
        }
        settled
    }

    /// The app closed the line, or another user logs in.
    pub(super) fn settle_all(&mut self, error: LocalError) -> Settled {
        let mut settled = Settled::new();
        while !self.entries.is_empty() {
            self.settle_at(0, error, &mut settled);
        }
        settled
    }

    fn settle_at(&mut self, place: usize, error: LocalError, settled: &mut Settled) {
        settled.extend(self.take(place).request().map(|request| (request, error)));
    }

    fn take(&mut self, place: usize) -> Entry {
        let entry = self.entries.remove(place).expect("the place was found in the outbox");
        self.in_flight -= usize::from(entry.in_flight);
        if entry.request().is_some() {
            self.count -= 1;
            self.bytes -= entry.bytes();
        }
        entry
    }
}

#[cfg(test)]
mod tests;
