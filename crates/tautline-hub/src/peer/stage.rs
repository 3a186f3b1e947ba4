//! How far a connection has come.
//!
//! Start at [`Stage`].

use std::sync::Arc;

use tautline_engine::budget::Holder;
use tautline_protocol::{
    RequestId,
    packet::Hello,
    server::{Ledger, Opening},
};

use super::lookup::PendingLookups;
use crate::{
    Identity,
    channel::{Channel, ReaderPosition, SubscriberSlot},
    session::{Login, OwnedSession, Session},
    ticket::Claims,
};

/// How far a connection has come.
pub(super) enum Stage {
    /// Before the welcome.
    Opening(Opening),
    Queued(Box<Queued>),
    Authenticating(Box<Authenticating>),
    LoadingChannels(Box<LoadingChannels>),
    Active(ActiveSession),
    /// The client ended its session; the engine is saving the revocation of its tickets.
    Leaving,
    /// The `bye` is sent; the close frame may be pending.
    Closing(Option<(u16, &'static str)>),
    /// Nothing left to do.
    Closed,
}

/// The client said `bye`, and the revocation is saved.
pub(super) const BYE_RECEIVED: Stage = Stage::Closing(Some((1000, "bye")));

/// A `hello` in the admission queue.
pub(super) struct Queued {
    pub(super) opening: Opening,
    pub(super) hello: Hello,
    /// In monotonic milliseconds.
    pub(super) until_ms: u64,
}

/// The login of a `hello` is being checked.
pub(super) struct Authenticating {
    pub(super) opening: Opening,
    pub(super) hello: Hello,
    /// The number of the question.
    pub(super) question: u64,
    pub(super) is_code: bool,
}

/// The login of an `auth` request is being checked.
pub(super) struct Refreshing {
    pub(super) id: RequestId,
    /// The number of the question.
    pub(super) question: u64,
    pub(super) is_code: bool,
}

/// The engine looks up the channels of a `hello`.
pub(super) struct LoadingChannels {
    pub(super) opening: Opening,
    pub(super) hello: Hello,
    pub(super) authenticated: Authenticated,
    pub(super) lookups: PendingLookups,
    pub(super) ownership: Ownership,
}

/// Which node has a session.
pub(super) enum Ownership {
    /// This one: no other shares its engine, or the session is new.
    Alone,
    /// The engine was asked.
    Pending,
    /// This one, as before.
    Own { attempt: u64 },
    /// This one, from now on. The ledger is what the other one has handed over, if it has.
    Moved { attempt: u64, ledger: Option<Box<Ledger>> },
}

impl Ownership {
    pub(super) const fn is_known(&self) -> bool {
        !matches!(self, Self::Pending)
    }

    /// The number that counts for the attempt, where a claim has said so.
    pub(super) const fn attempt(&self) -> Option<u64> {
        match self {
            Self::Own { attempt } | Self::Moved { attempt, .. } => Some(*attempt),
            Self::Alone | Self::Pending => None,
        }
    }

    /// The ledger of a session that was another node's.
    pub(super) fn into_ledger(self) -> Option<Ledger> {
        let Self::Moved { ledger, .. } = self else { return None };
        ledger.map(|ledger| *ledger)
    }
}

/// How a hello was authenticated.
pub(super) enum Authenticated {
    /// By a ticket, optionally with a login beside it.
    Resume { claims: Box<Claims>, fresh: Option<Login> },
    /// By a login.
    New { login: Login },
}

/// An authenticated connection that received its `welcome`.
pub(super) struct ActiveSession {
    pub(super) session: Arc<Session>,
    pub(super) subscriptions: Vec<Option<Subscription>>,
    /// When the authentication expires, in monotonic milliseconds.
    pub(super) auth_until_ms: u64,
    /// When a fresh ticket is due, in monotonic milliseconds.
    pub(super) ticket_due_ms: u64,
    /// This connection's hello began the session: packets sent before it belonged to another session.
    pub(super) is_new: bool,
}

/// One subscription of a connection.
pub(super) struct Subscription {
    pub(super) channel: Arc<Channel>,
    pub(super) subscriber: SubscriberSlot,
    /// The back end has permitted it, not the rule.
    pub(super) by_back_end: bool,
    pub(super) position: ReaderPosition,
    pub(super) presence_seen: u64,
}

/// The identity and budget holder of a request, as of its arrival.
pub(super) struct Requester {
    pub(super) identity: Arc<Identity>,
    /// The holder whose budget shares the request uses.
    pub(super) holder: Holder,
    /// The incarnation of the logs in which the session began.
    pub(super) incarnation: u32,
}

impl Requester {
    pub(super) fn of(session: &OwnedSession<'_>) -> Self {
        let identity = Arc::clone(&session.login().identity);
        Self { identity, holder: session.holder(), incarnation: session.incarnation() }
    }
}

impl Stage {
    /// The opening state of a client that has no `welcome` yet.
    pub(super) fn opening(&self) -> Option<&Opening> {
        match self {
            Self::Opening(opening) => Some(opening),
            Self::Queued(waiting) => Some(&waiting.opening),
            Self::Authenticating(waiting) => Some(&waiting.opening),
            Self::LoadingChannels(waiting) => Some(&waiting.opening),
            Self::Active(_) | Self::Leaving | Self::Closing(_) | Self::Closed => None,
        }
    }
}
