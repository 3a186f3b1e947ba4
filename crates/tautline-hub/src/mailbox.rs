//! One mailbox per connection: how the hub hands work to a connection's task.
//!
//! A [`PeerMailbox`] holds channels with new data, replies, lookup results, answers to questions and the final
//! `bye`, and wakes the task once. It is the only state shared between a connection and the rest of the hub; its lock is held for
//! a few instructions.

use std::{sync::Arc, task::Waker};

use tautline_engine::{EngineError, SessionClaim, StatResult};
use tautline_protocol::{ChannelName, Format, packet::server::Bye};

use crate::{
    questions::QuestionAnswer,
    sync::{Mutex, lock},
};

/// The mailbox of one connection.
pub(crate) struct PeerMailbox {
    /// Identifies the connection within the hub; increasing. The lowest bit is the format, see
    /// [`connection_number`]: a field of its own would cost 16 bytes per connection.
    pub(crate) connection: u64,
    inner: Mutex<Inner>,
}

struct Inner {
    waker: Waker,
    /// Subscription slots whose channel has new data.
    ready: Vec<u32>,
    /// Rarely present, so boxed.
    pending: Option<Box<Pending>>,
}

/// Contents of the mailbox other than ready channels.
#[derive(Default)]
pub(crate) struct Pending {
    /// Encoded packets to send.
    pub(crate) packets: Vec<u8>,
    /// The final `bye`.
    pub(crate) bye: Option<Bye>,
    /// Lookup results, each with the number of its request.
    pub(crate) lookups: Vec<(usize, Result<StatResult, EngineError>)>,
    /// Which node has the session of the hello.
    pub(crate) claim: Option<Result<SessionClaim, EngineError>>,
    /// Answers to questions, each with its number.
    pub(crate) answers: Vec<(u64, QuestionAnswer)>,
    /// Engine jobs of this connection that completed.
    pub(crate) completed: u32,
    /// Subscriptions that control ended, each with words for people.
    pub(crate) unsubscribed: Vec<(ChannelName, String)>,
    /// The admission queue admitted this connection.
    pub(crate) admitted: bool,
    /// The engine has saved that the session was ended.
    pub(crate) revoked: bool,
    /// The rules have changed.
    pub(crate) review: bool,
    /// The login has changed: the client needs another ticket.
    pub(crate) renew_ticket: bool,
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

    /// Marks the channel in `slot` as having new data. The channel notifies once until it is read, so a slot
    /// is never listed twice.
    pub(crate) fn notify(&self, slot: u32) {
        let mut inner = lock(&self.inner);
        inner.ready.push(slot);
        if inner.ready.len() == 1 {
            inner.waker.wake_by_ref();
        }
    }

    /// Adds packets to send.
    pub(crate) fn push_packets(&self, packets: &[u8]) {
        let mut inner = lock(&self.inner);
        inner.pending.get_or_insert_default().packets.extend_from_slice(packets);
        inner.waker.wake_by_ref();
    }

    /// Sets the final `bye`; the first one counts.
    pub(crate) fn close_with(&self, bye: Bye) {
        let mut inner = lock(&self.inner);
        inner.pending.get_or_insert_default().bye.get_or_insert(bye);
        inner.waker.wake_by_ref();
    }

    /// Tells the connection that it is admitted.
    pub(crate) fn grant_admission(&self) {
        let mut inner = lock(&self.inner);
        inner.pending.get_or_insert_default().admitted = true;
        inner.waker.wake_by_ref();
    }

    /// The engine has saved that the session was ended, or cannot.
    pub(crate) fn confirm_revocation(&self) {
        let mut inner = lock(&self.inner);
        inner.pending.get_or_insert_default().revoked = true;
        inner.waker.wake_by_ref();
    }

    /// Tells the connection that the rules have changed.
    pub(crate) fn review_permissions(&self) {
        let mut inner = lock(&self.inner);
        inner.pending.get_or_insert_default().review = true;
        inner.waker.wake_by_ref();
    }

    /// Tells the connection to send another ticket.
    pub(crate) fn renew_ticket(&self) {
        let mut inner = lock(&self.inner);
        inner.pending.get_or_insert_default().renew_ticket = true;
        inner.waker.wake_by_ref();
    }

    /// Delivers a lookup result.
    pub(crate) fn deliver_lookup(&self, number: usize, stat: Result<StatResult, EngineError>) {
        let mut inner = lock(&self.inner);
        inner.pending.get_or_insert_default().lookups.push((number, stat));
        inner.waker.wake_by_ref();
    }

    /// Delivers the outcome of a claim.
    pub(crate) fn deliver_claim(&self, claim: Result<SessionClaim, EngineError>) {
        let mut inner = lock(&self.inner);
        inner.pending.get_or_insert_default().claim = Some(claim);
        inner.waker.wake_by_ref();
    }

    /// Delivers the answer to a question.
    pub(crate) fn deliver_answer(&self, number: u64, answer: QuestionAnswer) {
        let mut inner = lock(&self.inner);
        inner.pending.get_or_insert_default().answers.push((number, answer));
        inner.waker.wake_by_ref();
    }

    /// Ends a subscription. At most `count_max` wait, as many as the connection may have.
    pub(crate) fn end_subscription(&self, channel: &ChannelName, message: &str, count_max: usize) {
        let mut inner = lock(&self.inner);
        let waiting = &mut inner.pending.get_or_insert_default().unsubscribed;
        if waiting.len() < count_max && !waiting.iter().any(|(other, _)| other == channel) {
            waiting.push((channel.clone(), message.to_owned()));
        }
        inner.waker.wake_by_ref();
    }

    /// Completes one engine job of the connection, with the packets to send.
    pub(crate) fn complete(&self, packets: &[u8]) {
        let mut inner = lock(&self.inner);
        let pending = inner.pending.get_or_insert_default();
        pending.completed += 1;
        pending.packets.extend_from_slice(packets);
        inner.waker.wake_by_ref();
    }

    /// Puts `slot` behind the others because its channel has more data than was just taken; does not wake the
    /// task.
    pub(crate) fn requeue(&self, slot: u32) {
        lock(&self.inner).ready.push(slot);
    }

    /// Takes the slot that has waited longest.
    pub(crate) fn pop_ready(&self) -> Option<u32> {
        let mut inner = lock(&self.inner);
        // Slots are few and small: moving them up is cheaper than a ring buffer for each idle connection.
        if inner.ready.is_empty() { None } else { Some(inner.ready.remove(0)) }
    }

    /// Takes the lookup results only.
    pub(crate) fn take_lookups(&self) -> Vec<(usize, Result<StatResult, EngineError>)> {
        lock(&self.inner)
            .pending
            .as_mut()
            .map(|pending| std::mem::take(&mut pending.lookups))
            .unwrap_or_default()
    }

    /// Takes the outcome of a claim only.
    pub(crate) fn take_claim(&self) -> Option<Result<SessionClaim, EngineError>> {
        lock(&self.inner).pending.as_mut().and_then(|pending| pending.claim.take())
    }

    /// Takes the packets only.
    pub(crate) fn take_packets(&self) -> Vec<u8> {
        lock(&self.inner)
            .pending
            .as_mut()
            .map(|pending| std::mem::take(&mut pending.packets))
            .unwrap_or_default()
    }

    /// Takes everything except the ready channels.
    pub(crate) fn drain(&self) -> Option<Box<Pending>> {
        lock(&self.inner).pending.take()
    }
}
