//! What several nodes share through one engine beside the logs: messages to each other, and which node has a
//! session.
//!
//! Start at [`Nodes`]. An engine of one process has none of it ([`crate::Engine::nodes`]).

use crate::{Answer, Ban, BanChange, Revocation};

/// A process that shares an engine with others: drawn at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(pub u64);

/// The other nodes on the same engine.
///
/// Promises:
/// - A saved revocation or change of bans, and a message, reaches every node that runs, also one that was cut off
///   meanwhile, once and in the order in which the engine took them ([`NodeEvent`]). A node that has missed some
///   is told so.
/// - Of two claims of a session the one with the higher attempt holds, whichever comes first.
pub trait Nodes: Send + Sync {
    /// This node.
    fn id(&self) -> NodeId;

    /// Sends a message of the hub to all other nodes. Nobody waits for it; an engine that cannot says so in its log.
    fn tell(&self, text: Box<str>);

    /// Claims a session for this node.
    fn claim(&self, claim: ClaimSession);
}

/// A client resumes its session on this node.
#[derive(Debug)]
pub struct ClaimSession {
    /// The session.
    pub session: u128,
    /// The number of the client's attempt. A claim with a number that is not above all before it is refused.
    pub attempt: u64,
    /// A higher number counts as this one, or as one more than the last.
    pub attempt_max: u64,
    /// The node that sealed the client's ticket, if it is known: it has the session where no claim was made yet.
    pub sealed_by: Option<NodeId>,
    /// Reply handle.
    pub answer: Answer<SessionClaim>,
}

/// The result of a [`ClaimSession`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionClaim {
    /// The session is this node's, and was before.
    Own {
        /// The number that counts for the attempt.
        attempt: u64,
    },
    /// The session is this node's, and was another one's.
    Moved {
        /// The number that counts for the attempt.
        attempt: u64,
        /// What the other node has handed over; `None` where it did not, or not in time.
        handed: Option<Box<str>>,
    },
    /// A later attempt has the session.
    Superseded {
        /// Its number.
        attempt: u64,
    },
}

/// What other nodes did, as an engine tells the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeEvent {
    /// Logins were revoked.
    Revoked(Revocation),
    /// A user or an address is kept out, or no longer.
    BanChanged(BanChange),
    /// A message of another hub ([`Nodes::tell`]).
    Told(Box<str>),
    /// A session belongs to another node from now on. What the hub returns is handed over to it.
    SessionClaimed {
        /// The session.
        session: u128,
        /// The number of the attempt that claimed it.
        attempt: u64,
    },
    /// Some of these events were missed. This is what the engine keeps.
    Missed {
        /// All revocations.
        revocations: Vec<Revocation>,
        /// All bans.
        bans: Vec<Ban>,
        /// False where the engine has lost data: bans that it does not have may still hold.
        are_all: bool,
    },
    /// Some [`NodeEvent::SessionClaimed`] were missed: sessions that have a connection here may be another node's.
    ClaimsMissed,
}
