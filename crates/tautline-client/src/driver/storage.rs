//! Carries out what the session says about its storage, before anything else that it says.

use std::sync::Arc;

use tautline_protocol::client::{Input, Store};
use tokio::sync::oneshot;
use tracing::warn;

use super::Driver;
use crate::{client::ClientEvent, storage::RestoredRequest};

impl Driver {
    /// The requests that a destroyed process left behind, each with its outcome to wait for; and the first number that is
    /// free for a new one.
    pub(crate) fn take_restored(&mut self) -> (Vec<RestoredRequest>, u64) {
        let mut next_number = 0;
        let mut restored = Vec::new();
        for stored in self.stored.iter().flat_map(|stored| stored.requests()) {
            let (settled, settlement) = oneshot::channel();
            self.requests.insert(stored.request, settled);
            next_number = next_number.max(stored.request + 1);
            restored.push(RestoredRequest::new(stored.verb, stored.body.clone(), settlement));
        }
        (restored, next_number)
    }

    pub(super) fn restore(&mut self) {
        if self.storage.is_some() {
            let stored = self.stored.take();
            self.feed(Input::Restore(stored));
        }
    }

    /// Writes what is to be written. What cannot be written costs the storage, and nothing else.
    pub(super) fn store(&mut self) {
        while let (Some(storage), Some(store)) = (&self.storage, self.session.poll_store()) {
            let Err(error) = storage.carry_out(&store) else { continue };
            // What cannot even be removed stays.
            if store != Store::Clear {
                warn!(%error, "the client cannot be stored, and goes on without");
                self.tell(ClientEvent::StorageLost(Arc::new(error)));
                self.session.handle_input(self.now(), Input::StoreFailed);
            }
        }
    }
}
