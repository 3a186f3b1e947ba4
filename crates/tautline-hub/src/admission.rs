//! Orders handshakes during reconnect storms.
//!
//! Start at [`AdmissionQueue::try_admit`]. A hello costs more than any other work of a connection, and
//! thousands arrive together after a tunnel or a restart. The first few within a millisecond are admitted at
//! once; the others queue, and [`crate::Hub::pump`] admits the next few each time other tasks have run.
//! Connections that have not authenticated yet therefore reach `hello` quickly, and new clients do not queue
//! behind every reconnecting one. Addresses are served round-robin: thousands of hellos from one address
//! delay another address's hello by one.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use tautline_engine::budget::Holder;
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
    /// Contains no empty queue.
    waiting: HashMap<Holder, VecDeque<Arc<PeerMailbox>>>,
    /// Addresses in round-robin order.
    order: VecDeque<Holder>,
}

impl Queue {
    fn push(&mut self, address: Holder, mailbox: &Arc<PeerMailbox>) {
        let queue = self.waiting.entry(address).or_default();
        if queue.is_empty() {
            self.order.push_back(address);
        }
        queue.push_back(Arc::clone(mailbox));
    }

    /// Takes the next hello of the next address.
    fn pop(&mut self) -> Option<Arc<PeerMailbox>> {
        let address = self.order.pop_front()?;
        let queue = self.waiting.get_mut(&address)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&address);
        } else {
            self.order.push_back(address);
        }
        next
    }

    /// Admits at most `most` hellos. Returns how many were admitted.
    fn admit(&mut self, most: usize) -> usize {
        let admitted =
            std::iter::from_fn(|| self.pop()).take(most).map(|mailbox| mailbox.grant_admission()).count();
        if self.order.is_empty() {
            // Free the memory of a storm.
            (self.waiting, self.order) = (HashMap::new(), VecDeque::new());
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
        [&queues.resuming, &queues.new]
            .iter()
            .flat_map(|queue| queue.waiting.values())
            .map(VecDeque::len)
            .sum()
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
        if queue.order.is_empty() && queue.admitted < self.room(kind) {
            queue.admitted += 1;
            return true;
        }
        queue.push(address, mailbox);
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
        !queues.resuming.order.is_empty() || !queues.new.order.is_empty()
    }
}
