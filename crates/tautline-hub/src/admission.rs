//! Who goes first when many come at once: connections that are being opened before hellos, and a few new sessions beside
//! many that go on.
//!
//! A hello costs more than anything else a connection does, and thousands arrive together after a tunnel or a restart. A few
//! within a millisecond go ahead; more queue up, and [`crate::Hub::pump`] lets the next few in each time others have had
//! their turn. So whoever is still to say who he is gets that far quickly, and a new client is not behind all who come back.
//! Addresses take turns: thousands of hellos from one delay another one's by one.

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

/// For each new session so many that go on are let in.
const RESUMES_PER_NEW: usize = 4;

/// What a hello wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HelloKind {
    /// A session to go on.
    Resume,
    /// A new one.
    New,
}

pub(crate) struct AdmissionQueue {
    new_per_ms: usize,
    queues: Mutex<Queues>,
}

#[derive(Default)]
struct Queues {
    /// The millisecond that `passed` counts.
    ms: u64,
    resuming: Queue,
    new: Queue,
}

#[derive(Default)]
struct Queue {
    admitted: usize,
    /// Never an empty queue.
    waiting: HashMap<Holder, VecDeque<Arc<PeerMailbox>>>,
    /// Whose turn it is next.
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

    /// The next of the address whose turn it is.
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

    /// Lets in so many at most. Returns how many there were.
    fn admit(&mut self, most: usize) -> usize {
        let admitted =
            std::iter::from_fn(|| self.pop()).take(most).map(|mailbox| mailbox.grant_admission()).count();
        if self.order.is_empty() {
            // A storm does not keep its memory for the next one.
            (self.waiting, self.order) = (HashMap::new(), VecDeque::new());
        }
        admitted
    }
}

impl AdmissionQueue {
    /// So many new sessions go ahead at once, and some times as many that go on.
    pub(crate) fn new(at_once: u32) -> Self {
        Self { new_per_ms: at_once as usize, queues: Mutex::default() }
    }

    /// How many wait for their turn.
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

    /// False: the bell is rung when it is this connection's turn.
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

    /// Lets the next few in. True: more are waiting.
    pub(crate) fn admit_next(&self) -> bool {
        let mut queues = lock(&self.queues);
        let queues = &mut *queues;
        let resuming = queues.resuming.admit(self.room(HelloKind::Resume).max(1));
        // Where few come back, their room is for those who begin.
        queues.new.admit(
            (self.room(HelloKind::Resume) + self.room(HelloKind::New)).saturating_sub(resuming).max(1),
        );
        !queues.resuming.order.is_empty() || !queues.new.order.is_empty()
    }
}
