//! Inboxes whose user has not read them for a while.
//!
//! Start at [`UnreadInboxes::published`]. Pure: each call is told the time. An inbox is watched from a publication on;
//! when it is due, the caller asks the engine what of it is unread ([`UnreadInboxes::take_due`]) and returns the answer
//! ([`UnreadInboxes::settle`]). What was reported is not reported again until the user has acknowledged it.

use std::collections::{BTreeMap, BTreeSet};

use tautline_protocol::{Now, UserId};

use super::journal::JournalLine;
use crate::HubLimits;

/// Inboxes about which one tick asks the engine.
pub(super) const CHECKS_A_TICK: usize = 2_000;
/// The longest wait before an unread inbox is looked at again, because its user is online or the engine had no answer.
const AGAIN_MS: u64 = 60_000;

/// The watched inboxes.
#[derive(Default)]
pub(super) struct UnreadInboxes {
    after_ms: u64,
    count_max: usize,
    inboxes: BTreeMap<UserId, Watched>,
    /// Those that wait, by the moment in monotonic milliseconds.
    due: BTreeSet<(u64, UserId)>,
    /// Those that were reported and have no newer publication, by the moment of the report: the first gives way.
    reported: BTreeSet<(u64, UserId)>,
}

/// What is known of an inbox; the journal keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unread {
    /// When its first publication since the last report was appended, in wall milliseconds.
    pub(super) since: u64,
    /// The last offset that was reported.
    pub(super) reported: Option<u64>,
}

struct Watched {
    unread: Unread,
    /// The newest publication.
    newest: u64,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    Due(u64),
    /// The engine is being asked.
    Asked,
    Reported(u64),
}

/// What the engine knows of an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InboxState {
    /// The last offset that an app of the user has acknowledged.
    pub(super) acknowledged: u64,
    /// The last offset.
    pub(super) head: u64,
    /// Publications behind the acknowledged one that are kept.
    pub(super) unread: u64,
    /// The user has a connection, or had one a moment ago.
    pub(super) is_online: bool,
}

impl UnreadInboxes {
    pub(super) fn new(limits: &HubLimits) -> Self {
        let (after_ms, count_max) = (limits.inbox_unread_ms, limits.inbox_unread_max);
        Self { after_ms, count_max, ..Self::default() }
    }

    /// What the journal of the process before knew.
    pub(super) fn of_journal(now: Now, limits: &HubLimits, before: BTreeMap<UserId, Unread>) -> Self {
        let mut inboxes = Self::new(limits);
        for (user, unread) in before {
            let wait_ms = (unread.since + inboxes.after_ms).saturating_sub(now.wall_ms).min(inboxes.after_ms);
            if !inboxes.watch(&user, unread, 0, now.mono_ms + wait_ms) {
                break;
            }
        }
        inboxes
    }

    /// Adds what was watched before the journal was read. Returns lines for the journal.
    pub(super) fn add_early(&mut self, early: Self) -> Vec<JournalLine> {
        let due_of = |stage| match stage {
            Stage::Due(due_ms) => due_ms,
            Stage::Asked | Stage::Reported(_) => 0,
        };
        let mut lines = Vec::new();
        for (user, Watched { unread, newest, stage }) in early.inboxes {
            match self.inboxes.get_mut(&user) {
                Some(known) => {
                    known.newest = newest;
                    // Its line of this process knew of no report.
                    lines.push(JournalLine::unread(&user, known.unread));
                }
                None => drop(self.watch(&user, unread, newest, due_of(stage))),
            }
        }
        lines
    }

    /// A publication was appended to the inbox of a user. Returns the line for the journal, if that is news.
    pub(super) fn published(&mut self, now: Now, user: &UserId, offset: u64, at: u64) -> Option<JournalLine> {
        let due_ms = now.mono_ms + self.after_ms;
        let Some(known) = self.inboxes.get_mut(user) else {
            let unread = Unread { since: at, reported: None };
            return self.watch(user, unread, offset, due_ms).then(|| JournalLine::unread(user, unread));
        };
        known.newest = known.newest.max(offset);
        let Stage::Reported(reported_ms) = known.stage else { return None };
        known.unread.since = at;
        let unread = known.unread;
        self.reported.remove(&(reported_ms, user.clone()));
        self.set_due(user, due_ms);
        Some(JournalLine::unread(user, unread))
    }

    /// Watches one more, if there is room, or one that was reported can give way.
    fn watch(&mut self, user: &UserId, unread: Unread, newest: u64, due_ms: u64) -> bool {
        if self.inboxes.len() >= self.count_max {
            let Some((_, reported)) = self.reported.pop_first() else { return false };
            self.inboxes.remove(&reported);
        }
        self.inboxes.insert(user.clone(), Watched { unread, newest, stage: Stage::Asked });
        self.set_due(user, due_ms);
        true
    }

    fn set_due(&mut self, user: &UserId, due_ms: u64) {
        if let Some(known) = self.inboxes.get_mut(user) {
            known.stage = Stage::Due(due_ms);
            self.due.insert((due_ms, user.clone()));
        }
    }

    /// The inboxes to ask about now, a part of them. Each is answered by [`Self::settle`].
    pub(super) fn take_due(&mut self, now: Now) -> Vec<UserId> {
        let mut users = Vec::new();
        while users.len() < CHECKS_A_TICK
            && let Some((due_ms, _)) = self.due.first()
            && *due_ms <= now.mono_ms
            && let Some((_, user)) = self.due.pop_first()
        {
            if let Some(known) = self.inboxes.get_mut(&user) {
                known.stage = Stage::Asked;
            }
            users.push(user);
        }
        users
    }

    /// What the engine says, `None` where it cannot answer. Returns what to report, and the line for the journal.
    pub(super) fn settle(
        &mut self,
        now: Now,
        user: &UserId,
        state: Option<InboxState>,
    ) -> (Option<Unread>, Option<JournalLine>) {
        let Some(known) = self.inboxes.get_mut(user).filter(|known| matches!(known.stage, Stage::Asked))
        else {
            return (None, None);
        };
        let again_ms = now.mono_ms + AGAIN_MS.min(self.after_ms);
        let Some(state) = state else {
            self.set_due(user, again_ms);
            return (None, None);
        };
        let newest = std::mem::replace(&mut known.newest, state.head);
        if state.unread == 0 {
            if newest > state.head {
                // It was appended after the engine had been asked.
                self.set_due(user, now.mono_ms + self.after_ms);
                return (None, None);
            }
            return (None, self.forget(user));
        }
        // A report beyond the head was of another log.
        let reported = known.unread.reported.filter(|reported| *reported <= state.head);
        if reported.is_some_and(|reported| state.acknowledged < reported) {
            known.stage = Stage::Reported(now.mono_ms);
            self.reported.insert((now.mono_ms, user.clone()));
            return (None, None);
        }
        if state.is_online {
            self.set_due(user, again_ms);
            return (None, None);
        }
        let told = known.unread;
        known.unread.reported = Some(state.head.max(newest));
        known.stage = Stage::Reported(now.mono_ms);
        let line = JournalLine::unread(user, known.unread);
        self.reported.insert((now.mono_ms, user.clone()));
        (Some(told), Some(line))
    }

    /// Watches an inbox no longer. Returns the line for the journal, if it was watched.
    pub(super) fn forget(&mut self, user: &UserId) -> Option<JournalLine> {
        match self.inboxes.remove(user)?.stage {
            Stage::Due(due_ms) => self.due.remove(&(due_ms, user.clone())),
            Stage::Reported(reported_ms) => self.reported.remove(&(reported_ms, user.clone())),
            Stage::Asked => true,
        };
        Some(JournalLine::read(user))
    }

    /// The inboxes behind a user, in order.
    pub(super) fn behind(&self, after: Option<&UserId>) -> impl Iterator<Item = (&UserId, Unread)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let behind = self.inboxes.range((after.map_or(Unbounded, Excluded), Unbounded));
        behind.map(|(user, known)| (user, known.unread))
    }

    pub(super) fn len(&self) -> usize {
        self.inboxes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER_MS: u64 = 300_000;

    fn at(ms: u64) -> Now {
        Now::new(5_000 + ms, 1_000_000 + ms)
    }

    fn limits(inbox_unread_max: usize) -> HubLimits {
        HubLimits { inbox_unread_ms: AFTER_MS, inbox_unread_max, ..HubLimits::default() }
    }

    fn watch(count_max: usize) -> UnreadInboxes {
        UnreadInboxes::new(&limits(count_max))
    }

    fn ann() -> UserId {
        UserId::parse("ann").expect("valid")
    }

    fn state(acknowledged: u64, head: u64) -> InboxState {
        InboxState { acknowledged, head, unread: head - acknowledged, is_online: false }
    }

    fn publish(inboxes: &mut UnreadInboxes, ms: u64, offset: u64) -> bool {
        inboxes.published(at(ms), &ann(), offset, 1_000_000 + ms).is_some()
    }

    /// Asks about what is due; true if it was reported.
    fn check(inboxes: &mut UnreadInboxes, ms: u64, state: InboxState) -> Option<u64> {
        let due = inboxes.take_due(at(ms));
        assert!(due.len() <= 1);
        let user = due.first()?;
        inboxes.settle(at(ms), user, Some(state)).0.map(|unread| unread.since)
    }

    #[test]
    fn unread_stretch_is_reported_once() {
        let mut inboxes = watch(10);
        assert!(publish(&mut inboxes, 0, 1) && !publish(&mut inboxes, 1_000, 2));
        assert_eq!(check(&mut inboxes, AFTER_MS - 1, state(0, 2)), None);
        assert_eq!(check(&mut inboxes, AFTER_MS, state(0, 2)), Some(1_000_000));
        publish(&mut inboxes, AFTER_MS + 1, 3);
        assert_eq!(check(&mut inboxes, 2 * AFTER_MS + 1, state(1, 3)), None, "not all of it was read");
        publish(&mut inboxes, 3 * AFTER_MS, 4);
        assert_eq!(check(&mut inboxes, 4 * AFTER_MS, state(2, 4)), Some(1_000_000 + 3 * AFTER_MS));
    }

    #[test]
    fn read_inbox_is_not_reported_or_kept() {
        let mut inboxes = watch(10);
        publish(&mut inboxes, 0, 1);
        assert_eq!(check(&mut inboxes, AFTER_MS, state(1, 1)), None);
        assert_eq!((inboxes.len(), inboxes.due.len(), inboxes.reported.len()), (0, 0, 0));
    }

    #[test]
    fn inbox_of_an_online_user_waits_until_it_goes() {
        let mut inboxes = watch(10);
        publish(&mut inboxes, 0, 1);
        let online = InboxState { is_online: true, ..state(0, 1) };
        assert_eq!(check(&mut inboxes, AFTER_MS, online), None);
        assert_eq!(check(&mut inboxes, AFTER_MS + AGAIN_MS, online), None);
        assert_eq!(check(&mut inboxes, AFTER_MS + 2 * AGAIN_MS, state(0, 1)), Some(1_000_000));
    }

    #[test]
    fn publication_after_the_question_begins_a_stretch() {
        let mut inboxes = watch(10);
        publish(&mut inboxes, 0, 1);
        let due = inboxes.take_due(at(AFTER_MS));
        publish(&mut inboxes, AFTER_MS, 2);
        assert_eq!(inboxes.settle(at(AFTER_MS), &due[0], Some(state(1, 1))), (None, None));
        assert!(check(&mut inboxes, 2 * AFTER_MS, state(1, 2)).is_some());
    }

    #[test]
    fn unavailable_engine_is_asked_again() {
        let mut inboxes = watch(10);
        publish(&mut inboxes, 0, 1);
        let due = inboxes.take_due(at(AFTER_MS));
        assert_eq!(inboxes.settle(at(AFTER_MS), &due[0], None), (None, None));
        assert!(inboxes.take_due(at(AFTER_MS + AGAIN_MS - 1)).is_empty());
        assert!(check(&mut inboxes, AFTER_MS + AGAIN_MS, state(0, 1)).is_some());
    }

    #[test]
    fn full_watch_forgets_the_oldest_report_only() {
        let mut inboxes = watch(2);
        let user = |name: &str| UserId::parse(name).expect("valid");
        let publish =
            |inboxes: &mut UnreadInboxes, name, ms| inboxes.published(at(ms), &user(name), 1, 0).is_some();
        assert!(publish(&mut inboxes, "a", 0) && publish(&mut inboxes, "b", 10));
        assert!(!publish(&mut inboxes, "c", 20), "both are being watched");
        for due in inboxes.take_due(at(AFTER_MS)) {
            inboxes.settle(at(AFTER_MS), &due, Some(state(0, 1)));
        }
        assert!(publish(&mut inboxes, "c", AFTER_MS));
        let watched: Vec<_> = inboxes.behind(None).map(|(user, _)| user.to_string()).collect();
        assert_eq!(watched, ["b", "c"]);
    }

    #[test]
    fn next_process_goes_on_with_what_was_watched() {
        let unread = Unread { since: 1_000_000 - 100_000, reported: Some(3) };
        let before = || UnreadInboxes::of_journal(at(0), &limits(10), [(ann(), unread)].into());
        let mut inboxes = before();
        assert_eq!(check(&mut inboxes, AFTER_MS - 100_000 - 1, state(3, 4)), None);
        assert_eq!(check(&mut inboxes, AFTER_MS - 100_000, state(3, 4)), Some(900_000));
        let mut early = watch(10);
        publish(&mut early, 0, 5);
        let mut inboxes = before();
        assert_eq!(inboxes.add_early(early), [JournalLine::unread(&ann(), unread)]);
        assert_eq!(check(&mut inboxes, AFTER_MS, state(0, 5)), None, "this stretch was reported");
    }
}
