//! The journal of open sessions and online users: what the next process must know of this one.
//!
//! Start at [`JournalLine`]. A log of the gateway's own, which is compacted: see
//! [`Tracker::begin_compaction`](super::tracker::Tracker::begin_compaction).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tautline_protocol::UserId;

use super::{tracker::Owner, unread::Unread};
use crate::{LoginDetails, session::id::SessionId};

/// One change.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum JournalLine {
    /// A session is open.
    Open {
        session: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<Box<str>, Box<str>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        away_at: Option<u64>,
    },
    /// It is away.
    Away { session: String, at: u64 },
    /// It is back.
    Back { session: String },
    /// It has ended.
    Closed { session: String },
    /// A user is online.
    Online { user: String },
    /// A user is offline.
    Offline { user: String },
    /// An inbox is watched.
    Unread {
        user: String,
        since: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reported: Option<u64>,
    },
    /// It is no longer.
    Read { user: String },
}

impl JournalLine {
    pub(super) fn open(id: SessionId, owner: &Owner, away_at: Option<u64>) -> Self {
        let labels = owner.details.as_ref().map(|details| details.labels.clone()).unwrap_or_default();
        let user = owner.user.as_ref().map(ToString::to_string);
        Self::Open { session: id.to_string(), user, labels, away_at }
    }

    pub(super) fn away(id: SessionId, at: u64) -> Self {
        Self::Away { session: id.to_string(), at }
    }

    pub(super) fn back(id: SessionId) -> Self {
        Self::Back { session: id.to_string() }
    }

    pub(super) fn closed(id: SessionId) -> Self {
        Self::Closed { session: id.to_string() }
    }

    pub(super) fn online(user: &UserId) -> Self {
        Self::Online { user: user.to_string() }
    }

    pub(super) fn offline(user: &UserId) -> Self {
        Self::Offline { user: user.to_string() }
    }

    pub(super) fn unread(user: &UserId, Unread { since, reported }: Unread) -> Self {
        Self::Unread { user: user.to_string(), since, reported }
    }

    pub(super) fn read(user: &UserId) -> Self {
        Self::Read { user: user.to_string() }
    }

    pub(super) fn to_json(&self) -> Box<str> {
        serde_json::to_string(self).expect("strings and numbers are json").into()
    }
}

/// What the lines of a journal come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Replayed {
    /// Open sessions, with the time since which they are away.
    pub(super) sessions: BTreeMap<SessionId, (Owner, Option<u64>)>,
    pub(super) users: BTreeSet<UserId>,
    /// Watched inboxes.
    pub(super) inboxes: BTreeMap<UserId, Unread>,
    /// Lines read.
    pub(super) lines: usize,
}

impl Replayed {
    /// Takes the next line. One that cannot be read, or is about a session whose beginning was dropped by a
    /// compaction, says nothing.
    pub(super) fn take(&mut self, line: &str) {
        self.lines += 1;
        let Ok(line) = serde_json::from_str(line) else { return };
        match line {
            JournalLine::Open { session, user, labels, away_at } => {
                let Some(id) = SessionId::parse(&session) else { return };
                let details = LoginDetails { labels, ..LoginDetails::default() }.shared();
                let user = user.and_then(|user| UserId::parse(&user).ok());
                self.sessions.insert(id, (Owner { user, details }, away_at));
            }
            JournalLine::Away { session, at } => self.set_away(&session, Some(at)),
            JournalLine::Back { session } => self.set_away(&session, None),
            JournalLine::Closed { session } => {
                SessionId::parse(&session).and_then(|id| self.sessions.remove(&id));
            }
            JournalLine::Online { user } => self.users.extend(UserId::parse(&user).ok()),
            JournalLine::Offline { user } => {
                if let Ok(user) = UserId::parse(&user) {
                    self.users.remove(&user);
                }
            }
            JournalLine::Unread { user, since, reported } => {
                let user = UserId::parse(&user).ok();
                self.inboxes.extend(user.map(|user| (user, Unread { since, reported })));
            }
            JournalLine::Read { user } => {
                if let Ok(user) = UserId::parse(&user) {
                    self.inboxes.remove(&user);
                }
            }
        }
    }

    fn set_away(&mut self, session: &str, at: Option<u64>) {
        if let Some((_, away_at)) = SessionId::parse(session).and_then(|id| self.sessions.get_mut(&id)) {
            *away_at = at;
        }
    }
}

/// How much of the journal has to be kept.
#[derive(Debug, Default)]
pub(super) struct JournalLength {
    /// Lines since the beginning of the last complete state.
    kept: usize,
    /// Lines since the beginning of the state that is being written.
    since_begin: Option<usize>,
    /// A line was dropped: the state has to be written once more.
    is_incomplete: bool,
}

/// Lines beyond four times the state at which a journal is compacted.
const SPARE_LINES: usize = 10_000;

impl JournalLength {
    /// There are so many lines of the process before.
    pub(super) const fn load(&mut self, lines: usize) {
        self.kept += lines;
    }

    /// A line was added, or dropped for lack of room.
    pub(super) fn add(&mut self, is_kept: bool) {
        self.is_incomplete |= !is_kept;
        self.kept += 1;
        self.since_begin = self.since_begin.map(|lines| lines + 1);
    }

    /// True if most of the journal is outdated, or some of it is missing.
    pub(super) const fn is_long(&self, state_lines: usize) -> bool {
        let is_outdated = self.kept > 4 * state_lines + SPARE_LINES;
        self.since_begin.is_none() && (is_outdated || self.is_incomplete)
    }

    pub(super) const fn begin(&mut self) {
        (self.since_begin, self.is_incomplete) = (Some(0), false);
    }

    pub(super) fn end(&mut self) {
        // A state with a line missing replaces nothing.
        let since_begin = self.since_begin.take().filter(|_| !self.is_incomplete);
        self.kept = since_begin.unwrap_or(self.kept);
    }

    /// The newest lines that must not be dropped.
    pub(super) const fn kept(&self) -> usize {
        self.kept
    }
}
