//! The journal of open sessions and online users: what the next process must know of this one.
//!
//! Start at [`JournalLine`]. A log of the gateway's own, which is compacted: see
//! [`Tracker::begin_compaction`](super::tracker::Tracker::begin_compaction).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tautline_protocol::UserId;

use super::{queue::QueueCount, tracker::Owner, unread::Unread};
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
        #[serde(default)]
        epoch: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reported: Option<u64>,
    },
    /// It is no longer.
    Read { user: String },
    /// The lines before this one account for the events up to these places.
    Mark { logs: Marks },
}

/// The last event in each log for which the journal accounts, by the name of the log.
pub(super) type Marks = BTreeMap<String, Mark>;

/// A place in a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) epoch: String,
    pub(super) offset: u64,
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

    pub(super) fn unread(user: &UserId, unread: &Unread) -> Self {
        let Unread { since, epoch, reported } = unread;
        Self::Unread { user: user.to_string(), since: *since, epoch: epoch.to_string(), reported: *reported }
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
    /// How far the journal accounts for the logs of events; those behind it were stored, and their lines maybe not.
    pub(super) marks: Marks,
    /// The lines that events behind the marks came to: the journal has to have them before it marks these.
    pub(super) unmarked: Vec<Box<str>>,
    /// A mark was read.
    pub(super) has_mark: bool,
}

/// An event, as far as it says what is open.
#[derive(Deserialize)]
struct Told {
    #[serde(rename = "type")]
    kind: String,
    data: ToldOf,
}

#[derive(Deserialize)]
struct ToldOf {
    session: Option<String>,
    user: Option<String>,
    #[serde(default)]
    labels: BTreeMap<Box<str>, Box<str>>,
    #[serde(default)]
    since: u64,
    #[serde(default)]
    epoch: String,
    offset: Option<u64>,
}

impl Replayed {
    /// Takes the next line. One that cannot be read, or is about a session whose beginning was dropped by a
    /// compaction, says nothing.
    pub(super) fn take(&mut self, line: &str) {
        self.lines += 1;
        if let Ok(line) = serde_json::from_str(line) {
            self.apply(line);
        }
    }

    /// Takes the next event of a log behind its mark, which was stored at this wall time.
    pub(super) fn take_event(&mut self, event: &str, at: u64) {
        let Ok(Told { kind, data }) = serde_json::from_str(event) else { return };
        let ToldOf { session, user, labels, since, epoch, offset } = data;
        let line = match (kind.as_str(), session, user) {
            ("session.opened" | "session.resumed", Some(session), user) => {
                JournalLine::Open { session, user, labels, away_at: None }
            }
            ("session.away", Some(session), _) => JournalLine::Away { session, at },
            ("session.closed", Some(session), _) => JournalLine::Closed { session },
            ("user.online", _, Some(user)) => JournalLine::Online { user },
            ("user.offline", _, Some(user)) => JournalLine::Offline { user },
            ("inbox.unread", _, Some(user)) => JournalLine::Unread { user, since, epoch, reported: offset },
            _ => return,
        };
        self.unmarked.push(line.to_json());
        self.apply(line);
    }

    fn apply(&mut self, line: JournalLine) {
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
            JournalLine::Unread { user, since, epoch, reported } => {
                let unread = Unread { since, epoch: epoch.into(), reported };
                self.inboxes.extend(UserId::parse(&user).ok().map(|user| (user, unread)));
            }
            JournalLine::Mark { logs } => {
                self.has_mark = true;
                self.marks.extend(logs);
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

/// How much of the journal has to be kept. Counts lines from the first one that is in the log.
#[derive(Debug, Default)]
pub(super) struct JournalLength {
    /// Lines of the process before.
    loaded: u64,
    /// The lines before the last complete state.
    outdated: u64,
    next: Option<NextState>,
    /// A line was dropped: the state has to be written once more.
    is_incomplete: bool,
}

/// A state that is being written.
#[derive(Debug)]
struct NextState {
    /// The lines before it.
    outdated: u64,
    /// The lines up to its last one, once that has been added.
    end: Option<u64>,
}

/// Lines beyond four times the state at which a journal is compacted.
const SPARE_LINES: u64 = 10_000;

impl JournalLength {
    /// There are so many lines of the process before.
    pub(super) const fn load(&mut self, lines: usize) {
        self.loaded += lines as u64;
    }

    /// A line was added, or dropped for lack of room.
    pub(super) const fn add(&mut self, is_kept: bool) {
        self.is_incomplete |= !is_kept;
    }

    /// True if most of the journal is outdated, or some of it is missing.
    pub(super) const fn is_long(&self, state_lines: usize, count: QueueCount) -> bool {
        let lines = self.loaded + count.added - self.outdated;
        let is_outdated = lines > 4 * state_lines as u64 + SPARE_LINES;
        self.next.is_none() && (is_outdated || self.is_incomplete)
    }

    pub(super) fn begin(&mut self, count: QueueCount) {
        self.next = Some(NextState { outdated: self.loaded + count.added, end: None });
        self.is_incomplete = false;
    }

    pub(super) fn end(&mut self, count: QueueCount) {
        // A state with a line missing replaces nothing.
        self.next = self.next.take().filter(|_| !self.is_incomplete);
        if let Some(next) = &mut self.next {
            next.end = Some(self.loaded + count.added);
        }
    }

    /// The newest lines that must not be dropped. A state replaces the one before when its last line is stored.
    pub(super) fn kept(&mut self, count: QueueCount) -> usize {
        let stored = self.loaded + count.stored;
        if let Some(next) = self.next.take_if(|next| next.end.is_some_and(|end| end <= stored)) {
            self.outdated = next.outdated;
        }
        usize::try_from(self.loaded + count.added - self.outdated).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn count(added: u64, stored: u64) -> QueueCount {
        QueueCount { added, stored }
    }

    #[test]
    fn state_replaces_the_one_before_once_it_is_stored() {
        let mut length = JournalLength::default();
        length.load(100);
        length.begin(count(50, 40));
        assert_eq!(length.kept(count(80, 50)), 180);
        length.end(count(80, 50));
        assert_eq!(length.kept(count(90, 79)), 190, "its last line is on its way");
        assert_eq!(length.kept(count(90, 80)), 40);
    }

    #[test]
    fn state_with_a_line_missing_replaces_nothing() {
        let mut length = JournalLength::default();
        length.begin(count(50, 50));
        length.add(false);
        length.end(count(80, 80));
        assert_eq!(length.kept(count(80, 80)), 80);
        assert!(length.is_long(20, count(80, 80)), "it is written once more");
    }

    #[test]
    fn long_journal_is_compacted_once() {
        let mut length = JournalLength::default();
        let lines = SPARE_LINES + 41;
        assert!(!length.is_long(10, count(lines - 1, 0)) && length.is_long(10, count(lines, 0)));
        length.begin(count(lines, 0));
        length.end(count(lines + 10, 0));
        assert!(!length.is_long(10, count(lines + 10, 0)), "it is being stored");
    }
}
