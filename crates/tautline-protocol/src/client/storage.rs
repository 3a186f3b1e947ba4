//! When what is written to the device (protocol, section 6, promise 6; `spec/client-session.md`, *Storage*).
//!
//! One rule: a fact is on the device before anybody else can know of it. An id before it is sent, an attempt before it is
//! said, that a request is settled before its reply is said to be seen. The rest may wait for [`super::Options::store_ms`].

use std::fmt;

use super::{
    Session,
    session::Goal,
    snapshot::{NUMBER_MAX, Store, Stored},
    subscription::places::Restored,
};
use crate::{Now, RequestId};

/// What is stored besides requests, cursors and the ticket's own bytes, taken generously.
const HEAD_BYTES: usize = 1_024;

/// What is stored of a request besides what it weighs in the outbox.
const REQUEST_BYTES: usize = 128;

/// The storage, as far as the session knows it.
#[derive(Debug, Default)]
pub(super) struct Storage {
    /// None: there is no storage.
    last_saved: Option<LastSaved>,
    pending: Option<Store>,
}

/// What the last written text says, and since when it is out of date.
#[derive(Default)]
struct LastSaved {
    ticket: Option<String>,
    attempt: u64,
    next_id: RequestId,
    /// Requests, and those of them that had not been sent.
    requests: usize,
    unsent: usize,
    may_repeat: bool,
    /// The `seen` that the server had been told by then.
    seen_reported: RequestId,
    stale_since_ms: Option<u64>,
}

impl fmt::Debug for LastSaved {
    // The ticket stays out of logs, whoever prints this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempt, requests, stale_since_ms, .. } = self;
        write!(f, "LastSaved(attempt {attempt}, {requests} requests, stale since {stale_since_ms:?})")
    }
}

impl Session {
    /// What to do with the storage, if anything. Ask after every input and do it *before* draining [`Session::poll_output`]:
    /// what the outputs tell others must survive the app.
    ///
    /// A session that was not fed [`super::Input::Restore`] never stores anything.
    pub fn poll_store(&mut self) -> Option<Store> {
        self.storage.pending.take()
    }

    pub(super) fn restore(&mut self, now: Now, stored: Option<Stored>) {
        if self.storage.last_saved.is_some() || self.goal != Goal::Idle || self.sockets_made > 0 {
            return;
        }
        self.subscriptions.keep_places();
        let mut last_saved = LastSaved { next_id: 1, ..LastSaved::default() };
        if let Some(stored) = stored {
            last_saved.ticket.clone_from(&stored.ticket);
            last_saved.attempt = stored.attempt;
            last_saved.next_id = stored.next_id;
            last_saved.requests = stored.requests.len();
            last_saved.unsent = stored.requests.iter().filter(|it| it.id.is_none()).count();
            last_saved.may_repeat = stored.may_repeat;
            self.identity.restore(stored.ticket, stored.attempt);
            let restored = Restored { places: stored.cursors, own: stored.own, by_server: stored.by_server };
            self.subscriptions.restore(now.mono_ms, restored, stored.may_repeat);
            let settled = self.outbox.restore(now, stored.next_id, stored.requests, &self.options);
            self.settle(settled);
            if !self.outbox.is_empty() {
                self.request_connection(false);
            }
        }
        self.storage.last_saved = Some(last_saved);
    }

    /// Goes on without. The text that is there is older than what was said since: better none.
    pub(super) fn store_failed(&mut self) {
        if self.storage.last_saved.take().is_some() {
            self.storage.pending = Some(Store::Clear);
        }
    }

    /// Decides whether to write. Called at the end of every input; `hides`: it was `hide`.
    pub(super) fn update_stored(&mut self, now: Now, hides: bool) {
        if self.storage.last_saved.is_some() && self.goal == Goal::Closed {
            return self.store_failed();
        }
        let may_repeat = self.is_online() || self.subscriptions.may_repeat();
        let hurries = hides || self.is_hidden();
        let (ticket, attempt) = self.identity.to_store();
        let (requests, unsent) = self.outbox.stored();
        let Some(last_saved) = &mut self.storage.last_saved else { return };
        let must = *ticket != last_saved.ticket
            || attempt != last_saved.attempt
            || self.outbox.has_unstored()
            // The server ignores every id up to what it is told is settled: a restarted app must number above it.
            || self.heartbeat.seen_reported >= last_saved.next_id
            // The app was told that it was not sent, and so it must not be.
            || unsent < last_saved.unsent
            // What is handed over next would be handed over again, unmarked, or passed over in silence.
            || self.subscriptions.places_begun()
            || (may_repeat && !last_saved.may_repeat);
        let stale = self.subscriptions.places_moved()
            || requests < last_saved.requests
            || may_repeat != last_saved.may_repeat;
        if stale {
            last_saved.stale_since_ms.get_or_insert(now.mono_ms);
        }
        let due = last_saved.stale_since_ms.is_some_and(|since| since + self.options.store_ms <= now.mono_ms);
        if must || due || (stale && (hurries || last_saved.seen_reported != self.heartbeat.seen_reported)) {
            self.write(now, may_repeat);
        }
    }

    /// When something that waits must be written.
    pub(super) fn store_deadline(&self) -> Option<u64> {
        Some(self.storage.last_saved.as_ref()?.stale_since_ms? + self.options.store_ms)
    }

    fn write(&mut self, now: Now, may_repeat: bool) {
        let (ticket, attempt) = self.identity.to_store();
        let mut stored = Stored::new(self.outbox.next_id());
        stored.ticket.clone_from(ticket);
        // A server may claim any number to be the highest attempt; what is stored must be readable.
        stored.attempt = attempt.min(NUMBER_MAX);
        stored.may_repeat = may_repeat;
        let head_bytes = HEAD_BYTES + ticket.as_ref().map_or(0, String::len);
        let room = self.options.store_bytes_max.saturating_sub(head_bytes);
        // Places first: they are small, and without its place a channel would skip in silence.
        let room = self.subscriptions.store(now.mono_ms, room, &mut stored);
        self.outbox.store(room, REQUEST_BYTES, &mut stored.requests);
        let (requests, unsent) = self.outbox.stored();
        self.storage.last_saved = Some(LastSaved {
            ticket: stored.ticket.clone(),
            attempt,
            next_id: stored.next_id,
            requests,
            unsent,
            may_repeat,
            seen_reported: self.heartbeat.seen_reported,
            stale_since_ms: None,
        });
        self.storage.pending = Some(Store::Write(stored.to_text()));
    }
}
