//! What outlives a connection: who the session belongs to, which requests it made, where it is present.

pub(crate) mod id;
mod live;
mod owned;
pub(crate) mod registry;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use tautline_engine::budget::Holder;
use tautline_protocol::{Now, server::Ledger};

pub(crate) use self::{
    live::{Claim, LiveSession, taken_over},
    owned::OwnedSession,
};
use crate::{
    Identity,
    channel::Channel,
    mailbox::PeerMailbox,
    session::id::SessionId,
    sync::{Mutex, lock},
};

/// One session. Its lock is held for moments and never together with another session's; channels and mailboxes may be
/// locked under it.
///
/// There are two ways in, and none round them: [`Session::living`] for what anybody may do, and [`Session::owned_by`] for
/// what a connection does for its client. A session that has ended yields neither.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// Nothing once it has ended.
    state: Mutex<Option<State>>,
}

/// The part that changes.
struct State {
    login: Login,
    ledger: Ledger,
    /// The highest dial of the session.
    attempt: u64,
    /// When it was opened, in monotonic seconds, rounded up.
    opened_s: u32,
    /// Who its shares are booked on: its user, or the address that it was opened from.
    holder: Holder,
    /// The connection that has it; `None` while parked.
    mailbox: Option<Arc<PeerMailbox>>,
    /// How often it was parked, in small change: tells whether it came back since a certain time.
    parks: u16,
    /// Channels in whose roster it stands.
    present_in: Rosters,
    /// The life of the logs in which the session began; 0 where that is not known.
    incarnation: u32,
}

impl Session {
    /// A session that begins now, without a connection yet.
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
            attempt: 0,
            opened_s: u32::try_from(now.mono_ms.div_ceil(1000)).unwrap_or(u32::MAX),
            holder,
            mailbox: None,
            parks: 0,
            present_in: Rosters::default(),
            incarnation: incarnation,
        };
        Arc::new(Self { id, state: Mutex::new(Some(state)) })
    }

    /// The session, locked, unless it has ended.
    pub(crate) fn live(&self) -> Option<LiveSession<'_>> {
        LiveSession::new(self.id, lock(&self.state))
    }

    /// The session, locked, for the connection that has it. `None` where it has another one by now, or has ended: then
    /// nothing that this connection's client says counts any more.
    pub(crate) fn owned_by(&self, mailbox: &Arc<PeerMailbox>) -> Option<OwnedSession<'_>> {
        self.live()?.owned_by(mailbox)
    }
}

/// Channels in whose roster a session stands. Most sessions stand in none, so there is nothing but a pointer for them.
#[derive(Default)]
struct Rosters(Option<Box<Attachment>>);

#[derive(Default)]
struct Attachment(Vec<Arc<Channel>>);

impl Rosters {
    fn insert(&mut self, channel: &Arc<Channel>) {
        if !self.iter().any(|other| Arc::ptr_eq(other, channel)) {
            self.0.get_or_insert_default().0.push(Arc::clone(channel));
        }
    }

    fn retain(&mut self, keep: impl FnMut(&Arc<Channel>) -> bool) {
        if let Some(attachment) = &mut self.0 {
            attachment.0.retain(keep);
        }
        self.0.take_if(|attachment| attachment.0.is_empty());
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.0.iter().flat_map(|attachment| &attachment.0)
    }
}

// What an idle session costs is a figure of the product: with the two counts of its `Arc` it fills 128 bytes. Elsewhere a
// lock may be larger.
#[cfg(all(target_os = "linux", not(shuttle)))]
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
