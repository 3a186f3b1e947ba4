//! Inboxes whose user has not read them for a while.
//!
//! Start at [`UnreadInboxes::published`]. Pure: each call is told the time. An inbox is watched from a publication on;
//! when it is due, the caller asks the engine what of it is unread ([`UnreadInboxes::take_due`]) and returns the answer
//! ([`UnreadInboxes::settle`]). What was reported is not reported again until the user has acknowledged it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unread {
    /// When the publication was appended since which the inbox is due, in wall milliseconds.
    pub(super) since: u64,
    /// The log in which the offsets are; empty where that is not known.
    pub(super) epoch: Arc<str>,
    /// The last offset that was reported.
    pub(super) reported: Option<u64>,
}

struct Watched {
    unread: Unread,
    /// The newest publication of this epoch; 0 where none is known.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InboxState {
    pub(super) epoch: Arc<str>,
    /// The last offset that an app of the user has acknowledged.
    pub(super) acknowledged: u64,
    /// The last offset.
    pub(super) head: u64,
    /// Publications behind the acknowledged one that are kept.
    pub(super) unread: u64,
    /// When the first of them was appended, in wall milliseconds; `None` where the engine was not asked.
    pub(super) since: Option<u64>,
    /// The user has a connection, or had one a moment ago.
    pub(super) is_online: bool,
}

/// What follows from an answer of the engine.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// Nothing now.
    Waits,
    /// Ask the engine when the publication at this offset was appended, and settle again.
    Ask { offset: u64 },
    /// Nothing is unread: the inbox is watched no longer.
    Read(JournalLine),
    /// The user is to be told of what is unread.
    Report(JournalLine),
}

impl UnreadInboxes {
    pub(super) fn new(limits: &HubLimits) -> Self {
        let (after_ms, count_max) = (limits.inbox_unread_ms, limits.inbox_unread_max);
        Self { after_ms, count_max, ..Self::default() }
    }

    /// What the journal of the process before knew, and lines for what has no room any more: those of which most is
    /// reported, and then the newest.
    pub(super) fn of_journal(
        now: Now,
        limits: &HubLimits,
        before: BTreeMap<UserId, Unread>,
    ) -> (Self, Vec<JournalLine>) {
        let mut inboxes = Self::new(limits);
        let mut before: Vec<_> = before.into_iter().collect();
        if before.len() > inboxes.count_max {
            before.sort_by_key(|(_, unread)| (unread.reported.is_some(), unread.since));
        }
        let without_room = before.split_off(before.len().min(inboxes.count_max));
        for (user, unread) in before {
            let wait_ms = (unread.since + inboxes.after_ms).saturating_sub(now.wall_ms).min(inboxes.after_ms);
            inboxes.insert(&user, Watched { unread, newest: 0, stage: Stage::Asked }, now.mono_ms + wait_ms);
        }
        (inboxes, without_room.iter().map(|(user, _)| JournalLine::read(user)).collect())
    }

    /// Adds what was watched before the journal was read. Returns lines for the journal.
    pub(super) fn add_early(&mut self, early: Self) -> Vec<JournalLine> {
        let due_of = |stage| match stage {
            Stage::Due(due_ms) => due_ms,
            Stage::Asked | Stage::Reported(_) => 0,
        };
        let mut lines = Vec::new();
        for (user, watched) in early.inboxes {
            match self.inboxes.get_mut(&user) {
                Some(known) => {
                    known.see(&watched.unread.epoch, watched.newest);
                    // Its line of this process knew of no report.
                    lines.push(JournalLine::unread(&user, &known.unread));
                }
                None => {
                    let due_ms = due_of(watched.stage);
                    let (is_watched, evicted) = self.watch(&user, watched, due_ms);
                    lines.extend(evicted);
                    // Its line is written already.
                    lines.extend((!is_watched).then(|| JournalLine::read(&user)));
                }
            }
        }
        lines
    }

    /// A publication was appended to the inbox of a user. Returns the lines for the journal, if that is news.
    pub(super) fn published(
        &mut self,
        now: Now,
        user: &UserId,
        (epoch, offset): (&Arc<str>, u64),
        at: u64,
    ) -> Vec<JournalLine> {
        let due_ms = now.mono_ms + self.after_ms;
        let Some(known) = self.inboxes.get_mut(user) else {
            let unread = Unread { since: at, epoch: Arc::clone(epoch), reported: None };
            let line = JournalLine::unread(user, &unread);
            let watched = Watched { unread, newest: offset, stage: Stage::Asked };
            let (is_watched, evicted) = self.watch(user, watched, due_ms);
            return evicted.into_iter().chain(is_watched.then_some(line)).collect();
        };
        known.see(epoch, offset);
        let Stage::Reported(reported_ms) = known.stage else { return Vec::new() };
        known.unread.since = at;
        let line = JournalLine::unread(user, &known.unread);
        self.reported.remove(&(reported_ms, user.clone()));
        self.set_due(user, due_ms);
        vec![line]
    }

    /// A user has lost its last connection. It may have read a part of what was reported.
    pub(super) fn user_gone(&mut self, now: Now, user: &UserId) {
        if let Some(Stage::Reported(reported_ms)) = self.inboxes.get(user).map(|known| known.stage) {
            self.reported.remove(&(reported_ms, user.clone()));
            self.set_due(user, now.mono_ms);
        }
    }

    /// Watches one more, if there is room, or one that was reported can give way. Returns the line of the latter.
    fn watch(&mut self, user: &UserId, watched: Watched, due_ms: u64) -> (bool, Option<JournalLine>) {
        let mut evicted = None;
        if self.inboxes.len() >= self.count_max {
            let Some((_, reported)) = self.reported.pop_first() else { return (false, None) };
            self.inboxes.remove(&reported);
            evicted = Some(JournalLine::read(&reported));
        }
        self.insert(user, watched, due_ms);
        (true, evicted)
    }

    fn insert(&mut self, user: &UserId, watched: Watched, due_ms: u64) {
        self.inboxes.insert(user.clone(), watched);
        self.set_due(user, due_ms);
    }

    fn set_due(&mut self, user: &UserId, due_ms: u64) {
        if let Some(known) = self.inboxes.get_mut(user) {
            known.stage = Stage::Due(due_ms);
            self.due.insert((due_ms, user.clone()));
        }
    }

    fn set_reported(&mut self, now: Now, user: &UserId) {
        if let Some(known) = self.inboxes.get_mut(user) {
            known.stage = Stage::Reported(now.mono_ms);
            self.reported.insert((now.mono_ms, user.clone()));
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

    /// What the engine says, `None` where it cannot answer.
    pub(super) fn settle(&mut self, now: Now, user: &UserId, state: Option<&InboxState>) -> Settled {
        let is_asked = |known: &&mut Watched| matches!(known.stage, Stage::Asked);
        let Some(known) = self.inboxes.get_mut(user).filter(is_asked) else { return Settled::Waits };
        let again_ms = now.mono_ms + AGAIN_MS.min(self.after_ms);
        let state = state.filter(|state| known.unread.epoch == state.epoch).ok_or(state);
        let state = match state {
            Ok(state) => state,
            Err(other) => {
                // Another log: either it has begun since the last publication that is known, or it has ended since the
                // question. The next look tells.
                if let Some(InboxState { epoch, head, .. }) = other {
                    known.see(epoch, *head);
                }
                self.set_due(user, again_ms);
                return Settled::Waits;
            }
        };
        let newest = std::mem::replace(&mut known.newest, state.head);
        // It was appended after the engine had been asked.
        let has_newer = newest > state.head;
        if state.unread == 0 {
            if has_newer {
                self.set_due(user, now.mono_ms + self.after_ms);
                return Settled::Waits;
            }
            return self.forget(user).map_or(Settled::Waits, Settled::Read);
        }
        // A report beyond the head was of another log.
        let reported = known.unread.reported.filter(|reported| *reported <= state.head);
        if reported.is_some_and(|reported| state.acknowledged < reported) {
            self.set_reported(now, user);
            return Settled::Waits;
        }
        if state.is_online {
            self.set_due(user, again_ms);
            return Settled::Waits;
        }
        let Some(since) = state.since else { return Settled::Ask { offset: state.acknowledged + 1 } };
        let left_ms = (since + self.after_ms).saturating_sub(now.wall_ms).min(self.after_ms);
        if left_ms > 0 {
            // The user has read what was here before.
            self.set_due(user, now.mono_ms + left_ms);
            return Settled::Waits;
        }
        known.unread.reported = Some(state.head);
        let line = JournalLine::unread(user, &known.unread);
        if has_newer {
            self.set_due(user, now.mono_ms + self.after_ms);
        } else {
            self.set_reported(now, user);
        }
        Settled::Report(line)
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
    pub(super) fn behind(&self, after: Option<&UserId>) -> impl Iterator<Item = (&UserId, &Unread)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let behind = self.inboxes.range((after.map_or(Unbounded, Excluded), Unbounded));
        behind.map(|(user, known)| (user, &known.unread))
    }

    pub(super) fn len(&self) -> usize {
        self.inboxes.len()
    }
}

impl Watched {
    /// The log has this publication. In another epoch nothing of before counts.
    fn see(&mut self, epoch: &Arc<str>, offset: u64) {
        if self.unread.epoch == *epoch {
            self.newest = self.newest.max(offset);
        } else {
            self.unread.epoch = Arc::clone(epoch);
            (self.unread.reported, self.newest) = (None, offset);
        }
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

    fn epoch(name: &str) -> Arc<str> {
        name.into()
    }

    /// What is unread is old enough.
    fn state(acknowledged: u64, head: u64) -> InboxState {
        let unread = head - acknowledged;
        InboxState { epoch: epoch("e"), acknowledged, head, unread, since: Some(0), is_online: false }
    }

    fn publish_in(inboxes: &mut UnreadInboxes, of: &str, ms: u64, offset: u64) -> bool {
        !inboxes.published(at(ms), &ann(), (&epoch(of), offset), 1_000_000 + ms).is_empty()
    }

    fn publish(inboxes: &mut UnreadInboxes, ms: u64, offset: u64) -> bool {
        publish_in(inboxes, "e", ms, offset)
    }

    /// Asks about what is due; true if it was reported.
    fn check(inboxes: &mut UnreadInboxes, ms: u64, state: &InboxState) -> bool {
        let due = inboxes.take_due(at(ms));
        assert!(due.len() <= 1);
        due.first()
            .is_some_and(|user| matches!(inboxes.settle(at(ms), user, Some(state)), Settled::Report(_)))
    }

    #[test]
    fn unread_stretch_is_reported_once() {
        let mut inboxes = watch(10);
        assert!(publish(&mut inboxes, 0, 1) && !publish(&mut inboxes, 1_000, 2));
        assert!(!check(&mut inboxes, AFTER_MS - 1, &state(0, 2)));
        assert!(check(&mut inboxes, AFTER_MS, &state(0, 2)));
        publish(&mut inboxes, AFTER_MS + 1, 3);
        assert!(!check(&mut inboxes, 2 * AFTER_MS + 1, &state(1, 3)), "not all of it was read");
        publish(&mut inboxes, 3 * AFTER_MS, 4);
        assert!(check(&mut inboxes, 4 * AFTER_MS, &state(2, 4)));
    }

    #[test]
    fn read_inbox_is_not_reported_or_kept() {
        let mut inboxes = watch(10);
        publish(&mut inboxes, 0, 1);
        assert!(!check(&mut inboxes, AFTER_MS, &state(1, 1)));
        assert_eq!((inboxes.len(), inboxes.due.len(), inboxes.reported.len()), (0, 0, 0));
    }

    #[test]
    fn inbox_of_an_online_user_waits_until_it_goes() {
        let mut inboxes = watch(10);
        publish(&mut inboxes, 0, 1);
        let online = InboxState { is_online: true, ..state(0, 1) };
        assert!(!check(&mut inboxes, AFTER_MS, &online));
        assert!(!check(&mut inboxes, AFTER_MS + AGAIN_MS, &online));
        assert!(check(&mut inboxes, AFTER_MS + 2 * AGAIN_MS, &state(0, 1)));
    }

    #[test]
    fn stretch_is_as_old_as_its_first_publication() {
        let mut inboxes = watch(10);
        publish(&mut inboxes, 0, 1);
        publish(&mut inboxes, 200_000, 2);
        let due = inboxes.take_due(at(AFTER_MS)).remove(0);
        let read = |since| InboxState { since, ..state(1, 2) };
        assert_eq!(inboxes.settle(at(AFTER_MS), &due, Some(&read(None))), Settled::Ask { offset: 2 });
        let since = Some(1_000_000 + 200_000);
        assert_eq!(inboxes.settle(at(AFTER_MS), &due, Some(&read(since))), Settled::Waits);
        assert!(!check(&mut inboxes, AFTER_MS + 199_999, &read(since)));
        assert!(check(&mut inboxes, AFTER_MS + 200_000, &read(since)), "5 minutes old");
    }

    #[test]
    fn publication_after_the_question_begins_a_stretch() {
        let mut inboxes = watch(10);
        publish(&mut inboxes, 0, 1);
        let due = inboxes.take_due(at(AFTER_MS));
        publish(&mut inboxes, AFTER_MS, 2);
        assert_eq!(inboxes.settle(at(AFTER_MS), &due[0], Some(&state(1, 1))), Settled::Waits);
        assert!(check(&mut inboxes, 2 * AFTER_MS, &state(1, 2)));
    }

    #[test]
    fn publication_during_a_report_is_looked_at_later() {
        let mut inboxes = watch(10);
        publish(&mut inboxes, 0, 1);
        let due = inboxes.take_due(at(AFTER_MS));
        publish(&mut inboxes, AFTER_MS, 2);
        assert!(matches!(inboxes.settle(at(AFTER_MS), &due[0], Some(&state(0, 1))), Settled::Report(_)));
        assert!(check(&mut inboxes, 2 * AFTER_MS, &state(1, 2)), "the report was read, this was not");
    }

    #[test]
    fn user_who_read_a_part_is_told_of_the_rest() {
        let mut inboxes = watch(10);
        publish(&mut inboxes, 0, 1);
        assert!(check(&mut inboxes, AFTER_MS, &state(0, 1)));
        publish(&mut inboxes, AFTER_MS + 1, 2);
        assert!(!check(&mut inboxes, 2 * AFTER_MS + 1, &state(0, 2)), "this stretch was reported");
        inboxes.user_gone(at(3 * AFTER_MS), &ann());
        assert!(check(&mut inboxes, 3 * AFTER_MS, &state(1, 2)));
    }

    #[test]
    fn new_epoch_reports_its_own_stretch_once() {
        let mut inboxes = watch(10);
        publish(&mut inboxes, 0, 50);
        assert!(check(&mut inboxes, AFTER_MS, &state(0, 50)));
        publish_in(&mut inboxes, "f", AFTER_MS, 1);
        let of_new = |head| InboxState { epoch: epoch("f"), ..state(0, head) };
        assert!(check(&mut inboxes, 2 * AFTER_MS, &of_new(60)), "the report was of another log");
        publish_in(&mut inboxes, "f", 2 * AFTER_MS, 61);
        assert!(!check(&mut inboxes, 3 * AFTER_MS, &of_new(61)), "it is told once");
    }

    #[test]
    fn answer_of_another_epoch_is_looked_at_again() {
        let mut inboxes = watch(10);
        publish(&mut inboxes, 0, 50);
        let of_new = |head| InboxState { epoch: epoch("f"), ..state(0, head) };
        assert!(!check(&mut inboxes, AFTER_MS, &of_new(3)));
        assert!(check(&mut inboxes, AFTER_MS + AGAIN_MS, &of_new(3)));
        publish_in(&mut inboxes, "g", 2 * AFTER_MS, 1);
        let empty = InboxState { epoch: epoch("h"), ..state(0, 0) };
        assert!(!check(&mut inboxes, 3 * AFTER_MS, &empty) && inboxes.len() == 1);
        assert!(!check(&mut inboxes, 3 * AFTER_MS + AGAIN_MS, &empty));
        assert_eq!(inboxes.len(), 0, "nothing is in it");
    }

    #[test]
    fn unavailable_engine_is_asked_again() {
        let mut inboxes = watch(10);
        publish(&mut inboxes, 0, 1);
        let due = inboxes.take_due(at(AFTER_MS));
        assert_eq!(inboxes.settle(at(AFTER_MS), &due[0], None), Settled::Waits);
        assert!(inboxes.take_due(at(AFTER_MS + AGAIN_MS - 1)).is_empty());
        assert!(check(&mut inboxes, AFTER_MS + AGAIN_MS, &state(0, 1)));
    }

    fn user(name: &str) -> UserId {
        UserId::parse(name).expect("valid")
    }

    #[test]
    fn full_watch_forgets_the_oldest_report_only() {
        let mut inboxes = watch(2);
        let publish = |inboxes: &mut UnreadInboxes, name, ms| {
            inboxes.published(at(ms), &user(name), (&epoch("e"), 1), 0)
        };
        assert!(!publish(&mut inboxes, "a", 0).is_empty() && !publish(&mut inboxes, "b", 10).is_empty());
        assert!(publish(&mut inboxes, "c", 20).is_empty(), "both are being watched");
        for due in inboxes.take_due(at(AFTER_MS)) {
            inboxes.settle(at(AFTER_MS), &due, Some(&state(0, 1)));
        }
        let lines = publish(&mut inboxes, "c", AFTER_MS);
        assert_eq!(
            (lines.len(), &lines[0]),
            (2, &JournalLine::read(&user("a"))),
            "the journal forgets it, too"
        );
        let watched: Vec<_> = inboxes.behind(None).map(|(user, _)| user.to_string()).collect();
        assert_eq!(watched, ["b", "c"]);
    }

    #[test]
    fn next_process_goes_on_with_what_was_watched() {
        let unread = Unread { since: 1_000_000 - 100_000, epoch: epoch("e"), reported: Some(3) };
        let before = || UnreadInboxes::of_journal(at(0), &limits(10), [(ann(), unread.clone())].into()).0;
        let mut inboxes = before();
        assert!(!check(&mut inboxes, AFTER_MS - 100_000 - 1, &state(3, 4)));
        assert!(check(&mut inboxes, AFTER_MS - 100_000, &state(3, 4)));
        let mut early = watch(10);
        publish(&mut early, 0, 5);
        let mut inboxes = before();
        assert_eq!(inboxes.add_early(early), [JournalLine::unread(&ann(), &unread)]);
        assert!(!check(&mut inboxes, AFTER_MS, &state(0, 5)), "this stretch was reported");
    }

    #[test]
    fn next_process_with_less_room_keeps_the_unreported() {
        let of = |since, reported| Unread { since, epoch: epoch("e"), reported };
        let before = [("a", of(1, Some(7))), ("b", of(3, None)), ("c", of(2, None))];
        let before = before.map(|(name, unread)| (user(name), unread)).into();
        let (mut inboxes, lines) = UnreadInboxes::of_journal(at(0), &limits(2), before);
        assert_eq!(lines, [JournalLine::read(&user("a"))]);
        let mut early = watch(2);
        publish(&mut early, 0, 1);
        assert_eq!(inboxes.add_early(early), [JournalLine::read(&ann())], "its line is taken back");
        assert_eq!(inboxes.len(), 2);
    }
}
