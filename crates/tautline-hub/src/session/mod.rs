//! Session state that outlives a connection: owner, requests and presence.
//!
//! Start at [`Session::live`] and [`Session::owned_by`].

mod attempt;
mod grants;
pub(crate) mod handed;
pub(crate) mod id;
mod live;
mod moved;
mod owned;
mod rare;
pub(crate) mod registry;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use tautline_engine::budget::Holder;
use tautline_protocol::{Now, server::Ledger};

use self::{attempt::Attempt, rare::RareState};
pub(crate) use self::{
    live::{Claim, LiveSession, taken_over},
    owned::OwnedSession,
};
use crate::{Identity, mailbox::PeerMailbox, session::id::SessionId, software::SoftwareId, sync::Mutex};

/// One session. Its lock is held briefly and never together with another session's; channels and mailboxes
/// may be locked under it.
///
/// All access goes through [`Session::live`], for any caller, or [`Session::owned_by`], for the connection
/// that owns the session. An ended session yields neither.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// `None` once the session has ended.
    state: Mutex<Option<State>>,
}

/// The mutable part.
struct State {
    login: Login,
    ledger: Ledger,
    /// The highest attempt number accepted.
    attempt: Attempt,
    /// When it was opened, in monotonic seconds, rounded up.
    opened_s: u32,
    /// The budget holder: the session's user, or the address that opened it.
    holder: Holder,
    /// The owning connection; `None` while parked.
    mailbox: Option<Arc<PeerMailbox>>,
    /// Counts parkings, with wrap-around: detects a return since a given parking.
    parks: u16,
    /// The client's software.
    software: SoftwareId,
    /// Channels that the connection is subscribed to.
    channels: u16,
    rare: RareState,
    /// The incarnation of the logs in which the session began; 0 if unknown.
    incarnation: u32,
}

impl Session {
    /// A new session without a connection.
    pub(crate) fn new(
        (id, holder): (SessionId, Holder),
        login: Login,
        ledger: Ledger,
        incarnation: u32,
        now: Now,
    ) -> Arc<Self> {
        let state = State {
            login,
            ledger,
            attempt: Attempt::default(),
            opened_s: u32::try_from(now.mono_ms.div_ceil(1000)).unwrap_or(u32::MAX),
            holder,
            mailbox: None,
            parks: 0,
            software: SoftwareId::default(),
            channels: 0,
            rare: RareState::default(),
            incarnation,
        };
        Arc::new(Self { id, state: Mutex::new(Some(state)) })
    }
}

// Idle memory per session is a product figure: with the two counts of its `Arc` a session fills 128 bytes. On
// other platforms a lock may be larger.
#[cfg(all(target_os = "linux", not(shuttle)))]
const _: () = assert!(size_of::<Session>() <= 112);

/// The identity that owns a session, and its expiry.
#[derive(Clone)]
pub(crate) struct Login {
    /// Shared by all guests, because their identities are equal.
    pub(crate) identity: Arc<Identity>,
    /// In wall milliseconds.
    pub(crate) expires_at: u64,
}

/// Lets a set of sessions be searched by id without storing the id twice.
pub(crate) struct ById(pub(crate) Arc<Session>);

impl std::borrow::Borrow<SessionId> for ById {
    fn borrow(&self) -> &SessionId {
        &self.0.id
    }
}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ById {}
