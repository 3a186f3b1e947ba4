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
    pub(crate) login: Login,
    pub(crate) ledger: Ledger,
    /// The highest dial of the session.
    pub(crate) attempt: u64,
    /// When it was opened, in monotonic milliseconds.
    pub(crate) opened_ms: u64,
    /// The connection that has it; `None` while parked.
    pub(crate) bell: Option<Arc<Bell>>,
    /// How often it was parked, in small change: tells whether it came back since a certain time.
    pub(crate) parks: u16,
    /// Channels in whose roster it stands.
    pub(crate) present_in: Rosters,
    /// The life of the logs in which the session began; 0 where that is not known.
    pub(crate) life: u32,
    /// Ended by `bye` or by time: nothing may attach to it any more.
    pub(crate) ended: bool,
}

impl Session {
    /// A session that begins now, without a connection yet.
    pub(crate) fn new(id: SessionId, login: Login, ledger: Ledger, life: u32, now: Now) -> Arc<Self> {
        let state = SessionState {
            login,
            ledger,
            attempt: 0,
            opened_ms: now.mono_ms,
            bell: None,
            parks: 0,
            present_in: Rosters::default(),
            life,
            ended: false,
        };
        Arc::new(Self { id, state: Mutex::new(state) })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, SessionState> {
        lock(&self.state)
    }

    pub(crate) fn user(&self) -> Option<UserId> {
        self.lock().login.identity.user.clone()
    }
}

/// Channels in whose roster a session stands. Most sessions stand in none, so there is nothing but a pointer for them.
#[derive(Clone, Default)]
pub(crate) struct Rosters(Option<Box<Standing>>);

#[derive(Clone, Default)]
struct Standing(Vec<Arc<Channel>>);

impl Rosters {
    pub(crate) fn insert(&mut self, channel: &Arc<Channel>) {
        self.0.get_or_insert_default().0.push(Arc::clone(channel));
    }

    pub(crate) fn remove(&mut self, channel: &Arc<Channel>) {
        if let Some(standing) = &mut self.0 {
            standing.0.retain(|other| !Arc::ptr_eq(other, channel));
        }
    }

    pub(crate) fn contains(&self, channel: &Arc<Channel>) -> bool {
        self.iter().any(|other| Arc::ptr_eq(other, channel))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.0.iter().flat_map(|standing| &standing.0)
    }
}

// What an idle session costs is a figure of the product: with the two counts of its `Arc` it fills 128 bytes. Elsewhere a
// lock may be larger.
#[cfg(target_os = "linux")]
const _: () = assert!(size_of::<Session>() <= 112);

/// Who a session belongs to, and until when that holds.
#[derive(Clone)]
pub(crate) struct Login {
    /// Shared by all guests: there are many of them, and they are all alike.
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
