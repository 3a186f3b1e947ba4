//! What outlives a connection: who the session belongs to, which requests it made, where it is present.

use std::{
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard},
};

use tautline_protocol::{Now, UserId, server::Ledger};

use crate::{Identity, bell::Bell, channel::Channel, session_id::SessionId, sync::lock};

/// One session. Its lock is held for moments and never together with another session's.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    state: Mutex<SessionState>,
}

/// The part that changes.
pub(crate) struct SessionState {
    pub(crate) identity: Arc<Identity>,
    pub(crate) ledger: Ledger,
    /// The highest dial of the session.
    pub(crate) attempt: u64,
    /// When it was opened, in monotonic milliseconds.
    pub(crate) opened_ms: u64,
    /// The connection that has it; `None` while parked.
    pub(crate) bell: Option<Arc<Bell>>,
    /// When it was parked, in monotonic milliseconds.
    pub(crate) parked_ms: u64,
    /// Channels in whose roster it stands.
    pub(crate) present_in: Vec<Arc<Channel>>,
    /// True where the session is no older than the logs of this node.
    pub(crate) logs_whole: bool,
    /// Ended by `bye` or by time: nothing may attach to it any more.
    pub(crate) ended: bool,
}

impl Session {
    /// A session that begins now, without a connection yet.
    pub(crate) fn new(id: SessionId, identity: Arc<Identity>, ledger: Ledger, now: Now) -> Arc<Self> {
        let state = SessionState {
            identity,
            ledger,
            attempt: 0,
            opened_ms: now.mono_ms,
            bell: None,
            parked_ms: now.mono_ms,
            present_in: Vec::new(),
            logs_whole: true,
            ended: false,
        };
        Arc::new(Self { id, state: Mutex::new(state) })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, SessionState> {
        lock(&self.state)
    }

    pub(crate) fn user(&self) -> Option<UserId> {
        self.lock().identity.user.clone()
    }
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
