//! Orders handshakes during reconnect storms.
//!
//! Start at [`AdmissionQueue::try_admit`]. A hello costs more than any other work of a connection, and
//! thousands arrive together after a tunnel or a restart. The first few within a millisecond are admitted at
//! once; the others queue, and [`crate::Hub::pump`] admits the next few each time other tasks have run.
//! Connections that have not authenticated yet therefore reach `hello` quickly, and new clients do not queue
//! behind every reconnecting one. Addresses are served round-robin: thousands of hellos from one address
//! delay another address's hello by one.

use std::sync::Arc;

use tautline_engine::{budget::Holder, fair_queue::FairQueue};
use tautline_protocol::Now;

use crate::{
    mailbox::PeerMailbox,
    sync::{Mutex, lock},
};

/// Resumed sessions admitted for each new one.
const RESUMES_PER_NEW: usize = 4;

/// The kind of session that a hello asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HelloKind {
    /// Resumes a session.
    Resume,
    /// Opens a new session.
    New,
}

pub(crate) struct AdmissionQueue {
    new_per_ms: usize,
    queues: Mutex<Queues>,
}

#[derive(Default)]
struct Queues {
    /// The millisecond that `admitted` counts.
    ms: u64,
    resuming: Queue,
    new: Queue,
}

#[derive(Default)]
struct Queue {
    admitted: usize,
    /// By address.
    waiting: FairQueue<Arc<PeerMailbox>>,
}

impl Queue {
    /// Admits at most `most` hellos. Returns how many were admitted.
    fn admit(&mut self, most: usize) -> usize {
        let next = std::iter::from_fn(|| self.waiting.pop());
        let admitted = next.take(most).map(|mailbox| mailbox.grant_admission()).count();
        if self.waiting.is_empty() {
            // Free the memory of a storm.
            self.waiting = FairQueue::default();
        }
        admitted
    }
}

impl AdmissionQueue {
    /// `at_once` new sessions are admitted per millisecond, and [`RESUMES_PER_NEW`] times as many resumed
    /// ones.
    pub(crate) fn new(at_once: u32) -> Self {
        Self { new_per_ms: at_once as usize, queues: Mutex::default() }
    }

    /// The number of queued hellos.
    pub(crate) fn waiting(&self) -> usize {
        let queues = lock(&self.queues);
        queues.resuming.waiting.len() + queues.new.waiting.len()
    }

    fn room(&self, kind: HelloKind) -> usize {
        match kind {
            HelloKind::Resume => self.new_per_ms.saturating_mul(RESUMES_PER_NEW),
            HelloKind::New => self.new_per_ms,
        }
    }

    /// Returns false if the hello was queued; its mailbox is notified on admission.
    pub(crate) fn try_admit(
        &self,
        now: Now,
        kind: HelloKind,
        address: Holder,
        mailbox: &Arc<PeerMailbox>,
    ) -> bool {
        let mut queues = lock(&self.queues);
        if queues.ms != now.mono_ms {
            queues.ms = now.mono_ms;
            queues.resuming.admitted = 0;
            queues.new.admitted = 0;
        }
        let queue = match kind {
            HelloKind::Resume => &mut queues.resuming,
            HelloKind::New => &mut queues.new,
        };
        if queue.waiting.is_empty() && queue.admitted < self.room(kind) {
            queue.admitted += 1;
            return true;
        }
        queue.waiting.push(address, Arc::clone(mailbox));
        false
    }

    /// Admits the next few hellos. Returns true if more are waiting.
    pub(crate) fn admit_next(&self) -> bool {
        let mut queues = lock(&self.queues);
        let queues = &mut *queues;
        let resuming = queues.resuming.admit(self.room(HelloKind::Resume).max(1));
        // New sessions use the room that resumed ones leave.
        queues.new.admit(
            (self.room(HelloKind::Resume) + self.room(HelloKind::New)).saturating_sub(resuming).max(1),
        );
        !queues.resuming.waiting.is_empty() || !queues.new.waiting.is_empty()
    }
}
