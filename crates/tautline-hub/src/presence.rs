//! Presence: the members of a channel, and the changes sent to subscribers.
//!
//! Start at [`Presence::set_online`] and [`Presence::read`]. Changes go into a short ring buffer that each
//! connection reads from its own position, like the log: a slow connection misses changes (and may request
//! the roster), but never makes a queue grow. A change is dropped when all have read it, and at once without
//! readers; its bytes count for the session that made it. A reader that has not received a join does not
//! receive the leave that cancels it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use tautline_engine::budget::{Budget, Claim, Claimant, Holder};
use tautline_protocol::{
    ChannelName, json,
    packet::server::{Member, MemberState, PresenceChange, PresenceKind, Roster},
};

use crate::{Identity, PresenceMode, budgets::Budgets, session::id::SessionId};

/// Changes that a channel keeps for connections that have not read them yet.
const CHANGES_MAX: usize = 256;

/// In place of the changes seen: this subscriber may not see presence.
pub(crate) const NO_READER: u64 = u64::MAX;

/// The members of one channel.
pub(crate) struct Presence {
    events: bool,
    members: BTreeMap<SessionId, MemberEntry>,
    changes: VecDeque<Change>,
    /// The number of changes ever made.
    changes_head: u64,
    /// Connections that read changes.
    readers: usize,
    /// The bytes of all changes on the node.
    budget: Arc<Budget>,
    /// The members of all rosters on the node.
    members_budget: Arc<Budget>,
}

/// A change that some reader has not received.
struct Change {
    number: u64,
    /// Only readers past this change receive it: the change that it cancels.
    behind: u64,
    session: SessionId,
    kind: PresenceKind,
    packet: Bytes,
    /// Readers that have not received it.
    unread: usize,
    _claim: Claim,
}

struct MemberEntry {
    identity: Arc<Identity>,
    since: u64,
    state: MemberState,
    _claim: Claim,
}

impl Presence {
    /// `None` if the channel has no presence.
    pub(crate) fn new(mode: PresenceMode, budgets: &Budgets) -> Option<Box<Self>> {
        let events = match mode {
            PresenceMode::Off => return None,
            PresenceMode::Roster => false,
            PresenceMode::Events => true,
        };
        Some(Box::new(Self {
            events,
            members: BTreeMap::new(),
            changes: VecDeque::new(),
            changes_head: 0,
            readers: 0,
            budget: Arc::clone(&budgets.changes),
            members_budget: Arc::clone(&budgets.members),
        }))
    }

    /// Adds a reader. Returns the current number of changes, its start position.
    pub(crate) const fn add_reader(&mut self) -> u64 {
        self.readers += 1;
        self.changes_head
    }

    /// Removes a reader that had read up to `seen`.
    pub(crate) fn remove_reader(&mut self, seen: u64) {
        if seen == NO_READER {
            return;
        }
        self.read_changes(seen, |_| {});
        self.readers -= 1;
    }

    /// A session of this holder joins or returns. True: subscribers must be notified. `None`: it cannot join, for
    /// its holder has its share of the members of all rosters.
    pub(crate) fn set_online(
        &mut self,
        channel: &ChannelName,
        (session, holder): (SessionId, Holder),
        identity: &Arc<Identity>,
        wall_ms: u64,
    ) -> Option<bool> {
        let kind = match self.members.get_mut(&session) {
            None => {
                let claim = self.members_budget.claim(holder, 1, Claimant::Ordinary)?;
                let (identity, state) = (Arc::clone(identity), MemberState::Online);
                let subscriber = MemberEntry { identity, since: wall_ms, state, _claim: claim };
                self.members.insert(session, subscriber);
                PresenceKind::Join
            }
            Some(subscriber) if subscriber.state == MemberState::Away => {
                subscriber.state = MemberState::Online;
                PresenceKind::Back
            }
            Some(_) => return Some(false),
        };
        Some(self.record(kind, channel, session, identity))
    }

    /// A session lost its connection, or pauses. Returns true if subscribers must be notified.
    pub(crate) fn set_away(&mut self, channel: &ChannelName, session: SessionId) -> bool {
        let Some(subscriber) = self.members.get_mut(&session) else { return false };
        if subscriber.state == MemberState::Away {
            return false;
        }
        subscriber.state = MemberState::Away;
        let identity = Arc::clone(&subscriber.identity);
        self.record(PresenceKind::Away, channel, session, &identity)
    }

    /// A session is no longer a member. Returns true if subscribers must be notified.
    pub(crate) fn remove_member(&mut self, channel: &ChannelName, session: SessionId) -> bool {
        match self.members.remove(&session) {
            Some(subscriber) => self.record(PresenceKind::Leave, channel, session, &subscriber.identity),
            None => false,
        }
    }

    /// Appends the changes behind `seen`, and advances it.
    pub(crate) fn read(&mut self, seen: &mut u64, out: &mut Vec<u8>) {
        if *seen < self.changes_head {
            self.read_changes(*seen, |packet| out.extend_from_slice(packet));
            *seen = self.changes_head;
        }
    }

    /// Passes the changes behind `seen` to one reader, and drops changes that all have read.
    fn read_changes(&mut self, seen: u64, mut tell: impl FnMut(&[u8])) {
        let from = self.changes.partition_point(|change| change.number <= seen);
        for change in self.changes.iter_mut().skip(from).filter(|change| change.behind <= seen) {
            tell(&change.packet);
            change.unread = change.unread.saturating_sub(1);
        }
        while self.changes.pop_front_if(|oldest| oldest.unread == 0).is_some() {}
        if self.changes.is_empty() {
            self.changes = VecDeque::new();
        }
    }

    /// The number of members.
    pub(crate) fn members(&self) -> usize {
        self.members.len()
    }

    /// The first `members_max` members, as far as `bytes_max` has room for them, and the total.
    pub(crate) fn roster(&self, members_max: usize, bytes_max: usize) -> Roster {
        /// A session's id, a date, a state, and the names of the fields.
        const MEMBER_BYTES: usize = 128;
        let mut room = bytes_max;
        let member = |(session, subscriber): (&SessionId, &MemberEntry)| {
            let member = Member {
                user: subscriber.identity.user.as_ref().map(ToString::to_string),
                session: session.to_string(),
                since: subscriber.since,
                state: subscriber.state,
                info: subscriber.identity.info().cloned(),
            };
            let user_bytes = member.user.as_ref().map_or(0, String::len);
            let info_bytes = member.info.as_ref().map_or(0, |info| info.as_str().len());
            room = room.checked_sub(MEMBER_BYTES + user_bytes + info_bytes)?;
            Some(member)
        };
        Roster {
            members: self.members.iter().take(members_max).map_while(member).collect(),
            count: self.members.len(),
        }
    }

    fn record(
        &mut self,
        kind: PresenceKind,
        channel: &ChannelName,
        session: SessionId,
        identity: &Identity,
    ) -> bool {
        if !self.events {
            return false;
        }
        self.changes_head += 1;
        let (behind, unread) = self.cancel_opposite(kind, session);
        if unread == 0 {
            return false;
        }
        let change = PresenceChange {
            channel: channel.to_string(),
            user: identity.user.as_ref().map(ToString::to_string),
            session: session.to_string(),
            info: identity.info().filter(|_| kind == PresenceKind::Join).cloned(),
        };
        let mut packet = Vec::new();
        json::write_server(&mut packet, kind.as_str(), &change);
        if self.changes.len() == CHANGES_MAX {
            self.changes.pop_front();
        }
        let claimant = Claimant::Ordinary;
        // Session ids are random, so any part of one serves as a hash.
        let holder = Holder::of_hash((session.0 >> 96) as u32);
        // Without room the change is dropped: readers miss it, like readers that fall too far behind.
        let Some(claim) = self.budget.claim(holder, packet.len(), claimant) else { return false };
        let number = self.changes_head;
        let packet = packet.into();
        self.changes.push_back(Change { number, behind, session, kind, packet, unread, _claim: claim });
        true
    }

    /// If this change cancels the session's last one, readers that have not received that one receive
    /// neither. Returns the readers of this change: the number they must have passed, and their count.
    fn cancel_opposite(&mut self, kind: PresenceKind, session: SessionId) -> (u64, usize) {
        let last = self.changes.iter().rposition(|change| change.session == session);
        match last.map(|at| (at, &self.changes[at])) {
            Some((at, undone)) if undone.behind == 0 && undoes(kind, undone.kind) => {
                let undone = self.changes.remove(at).expect("found at this index");
                (undone.number, self.readers.saturating_sub(undone.unread))
            }
            _ => (0, self.readers),
        }
    }
}

const fn undoes(kind: PresenceKind, undone: PresenceKind) -> bool {
    use PresenceKind::{Away, Back, Join, Leave};
    matches!((undone, kind), (Join, Leave) | (Leave, Join) | (Away, Back) | (Back, Away))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LoginDetails, limits::HubLimits};

    fn presence() -> (Box<Presence>, Arc<Budget>) {
        let budgets = Budgets::new(&HubLimits::default());
        (Presence::new(PresenceMode::Events, &budgets).expect("on"), budgets.changes)
    }

    fn join(presence: &mut Presence, session: SessionId, wall_ms: u64) -> bool {
        let who = (session, Holder::of_hash(7));
        presence.set_online(&room(), who, &guest(), wall_ms).expect("there is room in rosters")
    }

    fn guest() -> Arc<Identity> {
        Arc::default()
    }

    fn room() -> ChannelName {
        ChannelName::parse("room:7").expect("valid")
    }

    fn told(presence: &mut Presence, seen: &mut u64) -> Vec<String> {
        let mut out = Vec::new();
        presence.read(seen, &mut out);
        let text = String::from_utf8(out).expect("packets are text");
        json::packets(&text).map(|line| line[2..line.find("\":").expect("a verb")].to_owned()).collect()
    }

    #[test]
    fn disconnect_is_away_return_back_end_leave() {
        let (mut presence, _) = presence();
        let (ann, mut seen) = (SessionId(1), presence.add_reader());
        assert!(join(&mut presence, ann, 5));
        assert_eq!(told(&mut presence, &mut seen), ["join"]);
        assert!(presence.set_away(&room(), ann));
        assert!(!presence.set_away(&room(), ann), "away is sent once");
        assert_eq!(presence.roster(9, usize::MAX).members[0].state, MemberState::Away);
        assert_eq!(told(&mut presence, &mut seen), ["away"]);
        assert!(join(&mut presence, ann, 6));
        assert!(!join(&mut presence, ann, 7), "a take-over is no change");
        assert_eq!(told(&mut presence, &mut seen), ["back"]);
        assert!(presence.remove_member(&room(), ann));
        assert_eq!(told(&mut presence, &mut seen), ["leave"]);
        assert!(told(&mut presence, &mut seen).is_empty());
    }

    #[test]
    fn roster_with_long_info_stops_at_its_bytes() {
        let (mut presence, _) = presence();
        let info = serde_json::value::RawValue::from_string(format!("\"{}\"", "x".repeat(1_000)));
        let details = LoginDetails { info: Some(info.expect("json").into()), ..LoginDetails::default() };
        let ann = Arc::new(Identity { details: details.shared(), ..Identity::default() });
        for n in 0..100 {
            let who = (SessionId(n), Holder::of_hash(7));
            presence.set_online(&room(), who, &ann, 5).expect("there is room in rosters");
        }
        let roster = presence.roster(1_000, 10_000);
        let bytes = serde_json::to_string(&roster).expect("json").len();
        assert_eq!((roster.count, roster.members.len()), (100, 8));
        assert!(bytes <= 10_000, "{bytes}");
    }

    #[test]
    fn slow_reader_misses_changes_without_queue_growth() {
        let (mut presence, _) = presence();
        let mut seen = presence.add_reader();
        for n in 0..1000 {
            join(&mut presence, SessionId(n), 5);
        }
        assert_eq!(told(&mut presence, &mut seen).len(), CHANGES_MAX);
        assert_eq!(presence.roster(10, usize::MAX).members.len(), 10);
        assert_eq!(presence.roster(10, usize::MAX).count, 1000);
    }

    #[test]
    fn changes_are_dropped_after_last_reader() {
        let (mut presence, budget) = presence();
        let (mut first, second, mut third) =
            (presence.add_reader(), presence.add_reader(), presence.add_reader());
        (0..10).for_each(|n| assert!(join(&mut presence, SessionId(n), 5)));
        assert_eq!(told(&mut presence, &mut first).len(), 10);
        assert_eq!(presence.changes.len(), 10);
        presence.remove_reader(second);
        assert_eq!(presence.changes.len(), 10);
        assert_eq!(told(&mut presence, &mut third).len(), 10);
        assert_eq!((presence.changes.capacity(), budget.used()), (0, 0));
    }

    #[test]
    fn changes_without_readers_are_not_kept() {
        let (mut presence, budget) = presence();
        for n in 0..130 {
            assert!(!join(&mut presence, SessionId(n), 5));
            presence.remove_member(&room(), SessionId(n));
        }
        assert_eq!((presence.changes.capacity(), budget.used()), (0, 0));
    }

    #[test]
    fn unread_join_and_leave_cancel_out() {
        let (mut presence, budget) = presence();
        let mut slow = presence.add_reader();
        for n in 0..100 {
            join(&mut presence, SessionId(n % 2), 5);
            presence.remove_member(&room(), SessionId(n % 2));
        }
        assert!(told(&mut presence, &mut slow).is_empty());
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn reader_that_received_join_receives_leave() {
        let (mut presence, budget) = presence();
        let (mut quick, mut slow) = (presence.add_reader(), presence.add_reader());
        join(&mut presence, SessionId(1), 5);
        assert_eq!(told(&mut presence, &mut quick), ["join"]);
        presence.remove_member(&room(), SessionId(1));
        join(&mut presence, SessionId(1), 6);
        assert_eq!(told(&mut presence, &mut quick), ["leave", "join"]);
        assert_eq!(told(&mut presence, &mut slow), ["join"], "none of the changes in between");
        presence.remove_member(&room(), SessionId(1));
        assert_eq!(told(&mut presence, &mut slow), ["leave"]);
        presence.remove_reader(quick);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn greedy_session_takes_half_of_the_bytes_of_changes() {
        let budgets = Budgets::new(&HubLimits { presence_bytes_max: 20_000, ..HubLimits::default() });
        let budget = Arc::clone(&budgets.changes);
        let mut rings: Vec<_> = (0..300)
            .map(|_| {
                let mut presence = Presence::new(PresenceMode::Events, &budgets).expect("on");
                presence.add_reader();
                presence
            })
            .collect();
        let greedy = SessionId(7 << 96);
        let kept = rings.iter_mut().filter_map(|ring| join(ring, greedy, 5).then_some(())).count();
        assert!((8_000..12_000).contains(&budget.used()) && kept < 300, "{budget:?} {kept}");
        assert!(join(&mut rings[0], SessionId(9 << 96), 5), "another member is announced");
        drop(rings);
        assert_eq!(budget.used(), 0);
    }
}
