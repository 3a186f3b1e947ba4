//! What the device keeps of the outbox, and how a restarted app gets it back.

use super::{Entry, Origin, Outbox, Settled};
use crate::{
    Now, RequestId,
    client::{
        LocalError, Options,
        snapshot::{NUMBER_MAX, StoredRequest},
    },
};

impl Entry {
    /// True where a restarted app should go on with it. An answer to `history` or `presence` would find nobody.
    const fn outlives_the_app(&self) -> bool {
        matches!(self.origin, Origin::App { verb, .. } if verb.at_most_once())
    }

    fn is_stored(&self) -> bool {
        self.stored_as == Some(self.id.unwrap_or(0))
    }

    fn to_store(&self) -> Option<StoredRequest> {
        let Origin::App { request, verb, idempotent, volatile } = self.origin else { return None };
        Some(StoredRequest {
            request,
            verb,
            body: self.body.clone(),
            id: self.id,
            sent: self.ever_sent,
            asked_at: self.asked_at_ms,
            ttl: self.ttl_ms.min(NUMBER_MAX),
            idempotent,
            volatile,
        })
    }
}

impl Outbox {
    /// Takes what a destroyed app has left behind. Gives what can no longer be sent.
    pub(in crate::client) fn restore(
        &mut self,
        now: Now,
        next_id: RequestId,
        requests: Vec<StoredRequest>,
        options: &Options,
    ) -> Settled {
        self.next_id = next_id;
        let mut settled = Settled::new();
        for StoredRequest { request, verb, body, id, sent, asked_at, ttl, idempotent, volatile } in requests {
            let origin = Origin::App { request, verb, idempotent, volatile };
            let mut entry = self.make(origin, verb.as_str(), body);
            // A clock that was set back lets nothing wait for longer than it was meant to.
            entry.asked_at_ms = asked_at.min(now.wall_ms);
            entry.ttl_ms = ttl;
            let left_ms = (entry.asked_at_ms + ttl).saturating_sub(now.wall_ms);
            entry.expires_at_ms = now.mono_ms.saturating_add(left_ms);
            (entry.id, entry.ever_sent, entry.stored_as) = (id, sent, Some(id.unwrap_or(0)));
            if left_ms == 0 {
                settled.push((request, entry.too_late()));
            } else if self.has_room(&entry, options) {
                self.add(entry);
            } else {
                settled.push((request, LocalError::Overflow));
            }
        }
        settled
    }

    /// True where a request, or an id of one, is not on the device yet.
    pub(in crate::client) fn has_unstored(&self) -> bool {
        self.entries.iter().any(|entry| entry.outlives_the_app() && !entry.is_stored())
    }

    /// How many requests the storage was given that are not settled, and how many of them it has as not sent.
    pub(in crate::client) fn stored(&self) -> (usize, usize) {
        let stored = || self.entries.iter().filter_map(|entry| entry.stored_as);
        (stored().count(), stored().filter(|id| *id == 0).count())
    }

    /// Gives the requests to the storage, oldest first, as far as they fit; each takes `extra_bytes` more there.
    pub(in crate::client) fn store(
        &mut self,
        mut room: usize,
        extra_bytes: usize,
        requests: &mut Vec<StoredRequest>,
    ) {
        for entry in self.entries.iter_mut().filter(|entry| entry.outlives_the_app()) {
            // What does not fit counts as given all the same: it goes on without, and `next_id` covers its id.
            entry.stored_as = Some(entry.id.unwrap_or(0));
            if let Some(left) = room.checked_sub(entry.bytes() + extra_bytes) {
                room = left;
                requests.extend(entry.to_store());
            }
        }
    }
}
