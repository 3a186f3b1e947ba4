//! Open sessions and online users, and the events of their changes.
//!
//! Start at [`Tracker::attach`]. Pure: each call is told the time, and hands its [`Fact`]s to the caller. What it
//! knows is also in the journal, so that the next process can tell what became of a session whose node was killed.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    sync::Arc,
};

use tautline_protocol::{Now, UserId};

use super::{
    journal::{JournalLine, Replayed},
    unread::UnreadInboxes,
};
use crate::{HubLimits, Identity, LoginDetails, session::id::SessionId};

/// Users that go, sessions that are closed, and lines of a compaction in one [`Tracker::tick`]: its lock is held for as
/// long as these take.
const PART: usize = 250;

/// Why a session is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AwayCause {
    /// Its connection is gone.
    Disconnected,
    /// The client has announced that it goes away.
    Paused,
}

impl AwayCause {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Paused => "paused",
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndCause {
    /// The client has said goodbye.
    Bye,
    /// It was away for too long.
    Expired,
    /// The back end or an operator has ended it.
    Kicked,
    /// The user is kept out.
    Banned,
    /// Its login was revoked.
    Revoked,
    /// Its node was killed, and the client has not come back.
    NodeLost,
}

impl EndCause {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Bye => "bye",
            Self::Expired => "expired",
            Self::Kicked => "kicked",
            Self::Banned => "banned",
            Self::Revoked => "revoked",
            Self::NodeLost => "node_lost",
        }
    }
}

/// The owner of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) user: Option<UserId>,
    /// With the login's labels.
    pub(super) details: Option<Arc<LoginDetails>>,
}

impl Owner {
    fn of(identity: &Identity) -> Self {
        Self { user: identity.user.clone(), details: identity.details.clone() }
    }
}

/// What has changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fact<'a> {
    Opened(SessionId, &'a Owner),
    Away(SessionId, &'a Owner, AwayCause),
    Resumed(SessionId, &'a Owner, Absence),
    Closed(SessionId, &'a Owner, EndCause, Option<Absence>),
    Online(&'a UserId),
    /// With the time at which the last connection ended.
    Offline(&'a UserId, u64),
}

/// How long a session was away, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Absence(pub(super) u64);

/// Takes facts, and the lines of the journal that keep them.
pub(super) trait Sink {
    fn fact(&mut self, fact: &Fact<'_>);
    fn journal(&mut self, line: &JournalLine);
}

/// The state.
#[derive(Default)]
pub(super) struct Tracker {
    sessions: BTreeMap<SessionId, Tracked>,
    users: BTreeMap<UserId, Online>,
    /// When users without a connection count as offline, in monotonic milliseconds; outdated ones included.
    offline_due: VecDeque<(u64, UserId)>,
    user_offline_ms: u64,
    /// The journal of the process before was read.
    is_loaded: bool,
    /// Its sessions that have not come back, and some that have, and when these count as closed, in monotonic
    /// milliseconds.
    orphans: VecDeque<SessionId>,
    orphans_until_ms: u64,
    /// What has ended before the journal was read, and may be in it.
    ended_early: Vec<SessionId>,
    offline_early: Vec<UserId>,
    compaction: Option<Compaction>,
    pub(super) inboxes: UnreadInboxes,
}

struct Tracked {
    owner: Owner,
    /// In wall milliseconds.
    away_at: Option<u64>,
    is_connected: bool,
    /// It was open in the process before, and has not come back.
    orphan: Option<EndCause>,
}

struct Online {
    connections: u32,
    /// Without connections: since when, in wall milliseconds, and when the user counts as offline.
    gone: Option<(u64, u64)>,
}

/// Where a compaction continues.
enum Compaction {
    Sessions(Option<SessionId>),
    Users(Option<UserId>),
    Inboxes(Option<UserId>),
}

impl Tracker {
    pub(super) fn new(limits: &HubLimits) -> Self {
        let (user_offline_ms, inboxes) = (limits.user_offline_ms, UnreadInboxes::new(limits));
        Self { user_offline_ms, inboxes, ..Self::default() }
    }

    /// True if the user has a connection, or had one a moment ago.
    pub(super) fn is_online(&self, user: &UserId) -> bool {
        self.users.contains_key(user)
    }

    /// A connection has taken a session, which a ticket has named if `has_ticket`.
    pub(super) fn attach(
        &mut self,
        now: Now,
        id: SessionId,
        identity: &Identity,
        has_ticket: bool,
        sink: &mut impl Sink,
    ) {
        let owner = Owner::of(identity);
        let was_connected = match self.sessions.entry(id) {
            Entry::Occupied(known) => {
                let known = known.into_mut();
                known.owner = owner;
                known.orphan = None;
                if let Some(away_at) = known.away_at.take() {
                    sink.fact(&Fact::Resumed(id, &known.owner, absence(now, away_at)));
                    sink.journal(&JournalLine::back(id));
                }
                std::mem::replace(&mut known.is_connected, true)
            }
            Entry::Vacant(room) => {
                let known = room.insert(Tracked { owner, away_at: None, is_connected: true, orphan: None });
                // The journal may still name the session of the ticket, and most likely does.
                match has_ticket && !self.is_loaded {
                    true => sink.fact(&Fact::Resumed(id, &known.owner, Absence(0))),
                    false => sink.fact(&Fact::Opened(id, &known.owner)),
                }
                sink.journal(&JournalLine::open(id, &known.owner, None));
                false
            }
        };
        if let Some(user) = identity.user.as_ref().filter(|_| !was_connected) {
            self.connect(user, sink);
        }
    }

    fn connect(&mut self, user: &UserId, sink: &mut impl Sink) {
        match self.users.entry(user.clone()) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.connections += 1;
                known.gone = None;
            }
            Entry::Vacant(room) => {
                room.insert(Online { connections: 1, gone: None });
                sink.fact(&Fact::Online(user));
                sink.journal(&JournalLine::online(user));
            }
        }
    }

    fn disconnect(&mut self, now: Now, user: &UserId) {
        let Some(known) = self.users.get_mut(user) else { return };
        known.connections = known.connections.saturating_sub(1);
        if known.connections == 0 {
            let due = now.mono_ms + self.user_offline_ms;
            known.gone = Some((now.wall_ms, due));
            self.offline_due.push_back((due, user.clone()));
        }
    }

    /// A session is away.
    pub(super) fn leave(&mut self, now: Now, id: SessionId, cause: AwayCause, sink: &mut impl Sink) {
        let Some(known) = self.sessions.get_mut(&id) else { return };
        if known.away_at.is_none() {
            known.away_at = Some(now.wall_ms);
            sink.fact(&Fact::Away(id, &known.owner, cause));
            sink.journal(&JournalLine::away(id, now.wall_ms));
        }
        let loses_connection = cause == AwayCause::Disconnected && std::mem::take(&mut known.is_connected);
        if let Some(user) = known.owner.user.clone().filter(|_| loses_connection) {
            self.disconnect(now, &user);
        }
    }

    /// The client of a session that had announced that it goes away is back.
    pub(super) fn unpause(&mut self, now: Now, id: SessionId, sink: &mut impl Sink) {
        let Some(known) = self.sessions.get_mut(&id) else { return };
        if let Some(away_at) = known.away_at.take() {
            sink.fact(&Fact::Resumed(id, &known.owner, absence(now, away_at)));
            sink.journal(&JournalLine::back(id));
        }
    }

    /// A session has ended. One that no connection ever had is not known here.
    pub(super) fn end(&mut self, now: Now, id: SessionId, cause: EndCause, sink: &mut impl Sink) {
        let Some(known) = self.sessions.remove(&id) else { return };
        if !self.is_loaded {
            self.ended_early.push(id);
        }
        let away = known.away_at.map(|away_at| absence(now, away_at));
        sink.fact(&Fact::Closed(id, &known.owner, cause, away));
        sink.journal(&JournalLine::closed(id));
        if let Some(user) = known.owner.user.as_ref().filter(|_| known.is_connected) {
            self.disconnect(now, user);
        }
    }

    /// Another node has a session: nothing is told, and nothing is left of it here.
    pub(super) fn moved(&mut self, now: Now, id: SessionId, sink: &mut impl Sink) {
        let Some(known) = self.sessions.remove(&id) else { return };
        if !self.is_loaded {
            self.ended_early.push(id);
        }
        sink.journal(&JournalLine::closed(id));
        if let Some(user) = known.owner.user.as_ref().filter(|_| known.is_connected) {
            self.disconnect(now, user);
        }
    }

    /// Takes what the journal of the process before knew. Its sessions may come back by their tickets for as long as
    /// a session may be away.
    pub(super) fn load(&mut self, now: Now, park_ms: u64, mut before: Before, sink: &mut impl Sink) {
        self.is_loaded = true;
        for id in std::mem::take(&mut self.ended_early) {
            before.sessions.remove(&id);
        }
        for user in std::mem::take(&mut self.offline_early) {
            before.users.remove(&user);
        }
        // The new ones are few: they are added to the old ones.
        before.sessions.extend(std::mem::take(&mut self.sessions));
        before.users.extend(std::mem::take(&mut self.users));
        self.offline_due.drain(..).rev().for_each(|due| before.offline_due.push_front(due));
        (self.sessions, self.users, self.offline_due) = (before.sessions, before.users, before.offline_due);
        (self.orphans, self.orphans_until_ms) = (before.orphans, now.mono_ms + park_ms);
        let early = std::mem::replace(&mut self.inboxes, before.inboxes);
        before.lines.iter().for_each(|line| sink.journal(line));
        self.inboxes.add_early(early).iter().for_each(|line| sink.journal(line));
    }

    /// About once a second, and again as long as it returns true: there is more to do. `is_roomy`: many events at once
    /// have room.
    pub(super) fn tick(&mut self, now: Now, is_roomy: bool, sink: &mut impl Sink) -> bool {
        if !is_roomy {
            return false;
        }
        let more_offline = self.report_offline(now, sink);
        let more_orphans = self.close_orphans(now, sink);
        self.compact_some(sink) || more_offline || more_orphans
    }

    fn report_offline(&mut self, now: Now, sink: &mut impl Sink) -> bool {
        for _ in 0..PART {
            let due = self.offline_due.pop_front_if(|(due, _)| *due <= now.mono_ms);
            let Some((_, user)) = due else { return false };
            let gone = self.users.get(&user).and_then(|known| known.gone);
            if let Some((since, _)) = gone.filter(|(_, due)| *due <= now.mono_ms) {
                self.users.remove(&user);
                sink.fact(&Fact::Offline(&user, since));
                sink.journal(&JournalLine::offline(&user));
                self.inboxes.user_gone(now, &user);
                if !self.is_loaded {
                    self.offline_early.push(user);
                }
            }
        }
        true
    }

    fn close_orphans(&mut self, now: Now, sink: &mut impl Sink) -> bool {
        if now.mono_ms < self.orphans_until_ms {
            return false;
        }
        for _ in 0..PART {
            let Some(id) = self.orphans.pop_front() else {
                self.orphans = VecDeque::new();
                return false;
            };
            if let Some(cause) = self.sessions.get(&id).and_then(|known| known.orphan) {
                self.end(now, id, cause, sink);
            }
        }
        true
    }

    /// Writes the whole state into the journal once more, a part at a time, so that all before it can be dropped.
    pub(super) fn begin_compaction(&mut self) {
        self.compaction = Some(Compaction::Sessions(None));
    }

    fn compact_some(&mut self, sink: &mut impl Sink) -> bool {
        use std::ops::Bound::{Excluded, Unbounded};
        // What is opened behind the last one from now on writes its own line.
        self.compaction = match &self.compaction {
            None => None,
            Some(Compaction::Sessions(after)) => {
                let part = self.sessions.range((after.map_or(Unbounded, Excluded), Unbounded));
                let line = |(id, known): (&SessionId, &Tracked)| {
                    (*id, JournalLine::open(*id, &known.owner, known.away_at))
                };
                let last = write_part(part.map(line), sink);
                Some(last.map_or(Compaction::Users(None), |last| Compaction::Sessions(Some(last))))
            }
            Some(Compaction::Users(after)) => {
                let part = self.users.range((after.as_ref().map_or(Unbounded, Excluded), Unbounded));
                let last = write_part(part.map(|(user, _)| (user, JournalLine::online(user))), sink);
                let next = last.map(|last| Compaction::Users(Some(last.clone())));
                Some(next.unwrap_or(Compaction::Inboxes(None)))
            }
            Some(Compaction::Inboxes(after)) => {
                let part = self.inboxes.behind(after.as_ref());
                let lines = part.map(|(user, unread)| (user, JournalLine::unread(user, unread)));
                write_part(lines, sink).map(|last| Compaction::Inboxes(Some(last.clone())))
            }
        };
        self.compaction.is_some()
    }

    pub(super) const fn is_compacting(&self) -> bool {
        self.compaction.is_some()
    }

    pub(super) const fn is_loaded(&self) -> bool {
        self.is_loaded
    }

    /// Lines that the state takes in the journal.
    pub(super) fn lines(&self) -> usize {
        self.sessions.len() + self.users.len() + self.inboxes.len()
    }
}

/// Writes the next part of a compaction. Returns its last key, if there may be more.
fn write_part<K>(lines: impl Iterator<Item = (K, JournalLine)>, sink: &mut impl Sink) -> Option<K> {
    let (mut count, mut last) = (0, None);
    for (key, line) in lines.take(PART) {
        sink.journal(&line);
        (count, last) = (count + 1, Some(key));
    }
    last.filter(|_| count == PART)
}

/// What the journal of the process before comes to, made ready outside of all locks.
pub(super) struct Before {
    sessions: BTreeMap<SessionId, Tracked>,
    orphans: VecDeque<SessionId>,
    users: BTreeMap<UserId, Online>,
    offline_due: VecDeque<(u64, UserId)>,
    inboxes: UnreadInboxes,
    /// For the journal.
    lines: Vec<JournalLine>,
}

impl Before {
    /// `ended_at` is when that process is known to have run.
    pub(super) fn new(now: Now, ended_at: u64, limits: &HubLimits, before: Replayed) -> Self {
        let orphans = before.sessions.keys().copied().collect();
        let orphan = |(id, (owner, away_at)): (SessionId, (Owner, Option<u64>))| {
            let cause = if away_at.is_some() { EndCause::Expired } else { EndCause::NodeLost };
            let away_at = Some(away_at.unwrap_or(ended_at).min(now.wall_ms));
            (id, Tracked { owner, away_at, is_connected: false, orphan: Some(cause) })
        };
        let sessions = before.sessions.into_iter().map(orphan).collect();
        let due = now.mono_ms + limits.user_offline_ms;
        let offline_due = before.users.iter().map(|user| (due, user.clone())).collect();
        let gone = Some((ended_at.min(now.wall_ms), due));
        let users = before.users.into_iter().map(|user| (user, Online { connections: 0, gone })).collect();
        let (inboxes, lines) = UnreadInboxes::of_journal(now, limits, before.inboxes);
        Self { sessions, orphans, users, offline_due, inboxes, lines }
    }
}

fn absence(now: Now, away_at: u64) -> Absence {
    Absence(now.wall_ms.saturating_sub(away_at))
}

#[cfg(test)]
mod tests;
