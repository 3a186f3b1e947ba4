//! How anything on a node gets the attention of one connection.
//!
//! A bell holds what the connection must look at (channels with news, replies, a last word) and wakes its task once. It
//! is the only thing shared between a connection and the rest, and its lock is held for a few instructions.

use std::{sync::Arc, task::Waker};

use tautline_engine::{EngineError, StatResult};
use tautline_protocol::{Format, packet::server::Bye};

use crate::sync::{Mutex, lock};

/// The bell of one connection.
pub(crate) struct PeerMailbox {
    /// Tells the connections of this hub apart, and rises. Its lowest bit says what they speak, see [`connection_number`]: a
    /// field of its own would cost each of them 16 bytes.
    pub(crate) connection: u64,
    inner: Mutex<Inner>,
}

struct Inner {
    waker: Waker,
    /// Subscription slots whose channel has news.
    ready: Vec<u32>,
    /// Rare, so kept apart.
    pending: Option<Box<Pending>>,
}

/// What was left for a connection to pick up.
#[derive(Default)]
pub(crate) struct Pending {
    /// Encoded packets to send.
    pub(crate) packets: Vec<u8>,
    /// The last word.
    pub(crate) bye: Option<Bye>,
    /// What the engine saw, by the number under which it was asked.
    pub(crate) lookups: Vec<(usize, Result<StatResult, EngineError>)>,
    /// Errands of this connection that the engine has done.
    pub(crate) completed: u32,
    /// It is this connection's turn to come in.
    pub(crate) admitted: bool,
    /// The engine has kept that the session was ended.
    pub(crate) revoked: bool,
}

/// The number of the `nth` connection of a hub.
pub(crate) const fn connection_number(nth: u64, format: Format) -> u64 {
    nth << 1 | matches!(format, Format::Msgpack) as u64
}

impl PeerMailbox {
    pub(crate) fn new(connection: u64, waker: Waker) -> Arc<Self> {
        Arc::new(Self { connection, inner: Mutex::new(Inner { waker, ready: Vec::new(), pending: None }) })
    }

    pub(crate) const fn format(&self) -> Format {
        if self.connection & 1 == 0 { Format::Json } else { Format::Msgpack }
    }

    /// The channel in `slot` has news. The channel rings once until it is read, so a slot is never listed twice.
    pub(crate) fn notify(&self, slot: u32) {
        let mut inner = lock(&self.inner);
        inner.ready.push(slot);
        if inner.ready.len() == 1 {
            inner.waker.wake_by_ref();
        }
    }

    /// Leaves packets to be sent.
    pub(crate) fn push_packets(&self, packets: &[u8]) {
        let mut inner = lock(&self.inner);
        inner.pending.get_or_insert_default().packets.extend_from_slice(packets);
        inner.waker.wake_by_ref();
    }

    /// Leaves the last word; the first one counts.
    pub(crate) fn close_with(&self, bye: Bye) {
        let mut inner = lock(&self.inner);
        inner.pending.get_or_insert_default().bye.get_or_insert(bye);
        inner.waker.wake_by_ref();
    }

    /// It is this connection's turn to come in.
    pub(crate) fn grant_admission(&self) {
        let mut inner = lock(&self.inner);
        inner.pending.get_or_insert_default().admitted = true;
        inner.waker.wake_by_ref();
    }

    /// The engine has kept that the session was ended, or cannot.
    pub(crate) fn confirm_revocation(&self) {
        let mut inner = lock(&self.inner);
        inner.pending.get_or_insert_default().revoked = true;
        inner.waker.wake_by_ref();
    }

    /// Brings what the engine saw.
    pub(crate) fn deliver_lookup(&self, number: usize, stat: Result<StatResult, EngineError>) {
        let mut inner = lock(&self.inner);
        inner.pending.get_or_insert_default().lookups.push((number, stat));
        inner.waker.wake_by_ref();
    }

    /// An errand of the connection is done, and this is what is to be sent of it.
    pub(crate) fn complete(&self, packets: &[u8]) {
        let mut inner = lock(&self.inner);
        let mail = inner.pending.get_or_insert_default();
        mail.completed += 1;
        mail.packets.extend_from_slice(packets);
        inner.waker.wake_by_ref();
    }

    /// The channel in `slot` has more than was taken just now: behind the others, and without a wake.
    pub(crate) fn requeue(&self, slot: u32) {
        lock(&self.inner).ready.push(slot);
    }

    /// The slot that has waited longest for its news to be taken.
    pub(crate) fn pop_ready(&self) -> Option<u32> {
        let mut inner = lock(&self.inner);
        // Slots are few and small: moving them up is cheaper than a ring buffer for each idle connection.
        if inner.ready.is_empty() { None } else { Some(inner.ready.remove(0)) }
    }

    /// Takes what the engine saw.
    pub(crate) fn take_lookups(&self) -> Vec<(usize, Result<StatResult, EngineError>)> {
        lock(&self.inner).pending.as_mut().map(|mail| std::mem::take(&mut mail.lookups)).unwrap_or_default()
    }

    /// Takes the packets alone.
    pub(crate) fn take_packets(&self) -> Vec<u8> {
        lock(&self.inner).pending.as_mut().map(|mail| std::mem::take(&mut mail.packets)).unwrap_or_default()
    }

    /// Takes what was left besides news.
    pub(crate) fn drain(&self) -> Option<Box<Pending>> {
        lock(&self.inner).pending.take()
    }
}
