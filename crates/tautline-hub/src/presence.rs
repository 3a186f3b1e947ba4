//! Who is subscribed to a channel, and what is told of it.
//!
//! Changes go into a short ring that connections read from a place of their own, like the log: a connection that falls
//! behind misses changes (and may ask for the roster), but never makes a queue grow.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tautline_protocol::{
    ChannelName, UserId, json,
    packet::server::{Member, MemberState, PresenceChange, PresenceKind, Roster},
};

use crate::{PresenceMode, session_id::SessionId};

/// Changes that a channel keeps for connections which have not read them yet.
const CHANGES_MAX: usize = 256;

/// The members of one channel.
pub(crate) struct Presence {
    events: bool,
    members: BTreeMap<SessionId, Seat>,
    changes: VecDeque<Bytes>,
    /// Changes ever made.
    changes_head: u64,
}

struct Seat {
    user: Option<UserId>,
    since: u64,
    state: MemberState,
}

impl Presence {
    /// `None` where the channel tells nothing.
    pub(crate) fn new(mode: PresenceMode) -> Option<Box<Self>> {
        let events = match mode {
            PresenceMode::Off => return None,
            PresenceMode::Roster => false,
            PresenceMode::Events => true,
        };
        Some(Box::new(Self { events, members: BTreeMap::new(), changes: VecDeque::new(), changes_head: 0 }))
    }

    /// How many changes there were, so that a new reader begins behind them.
    pub(crate) const fn head(&self) -> u64 {
        self.changes_head
    }

    /// A session is there: it joins, or is back. True: subscribers must be told.
    pub(crate) fn arrive(
        &mut self,
        channel: &ChannelName,
        session: SessionId,
        user: Option<&UserId>,
        wall_ms: u64,
    ) -> bool {
        let kind = match self.members.get_mut(&session) {
            None => {
                let seat = Seat { user: user.cloned(), since: wall_ms, state: MemberState::Online };
                self.members.insert(session, seat);
                PresenceKind::Join
            }
            Some(seat) if seat.state == MemberState::Away => {
                seat.state = MemberState::Online;
                PresenceKind::Back
            }
            Some(_) => return false,
        };
        self.tell(kind, channel, session, user)
    }

    /// A session's connection is gone, or pauses. True: subscribers must be told.
    pub(crate) fn leave_for_a_while(&mut self, channel: &ChannelName, session: SessionId) -> bool {
        let Some(seat) = self.members.get_mut(&session) else { return false };
        if seat.state == MemberState::Away {
            return false;
        }
        seat.state = MemberState::Away;
        let user = seat.user.clone();
        self.tell(PresenceKind::Away, channel, session, user.as_ref())
    }

    /// A session is no member any more. True: subscribers must be told.
    pub(crate) fn leave(&mut self, channel: &ChannelName, session: SessionId) -> bool {
        match self.members.remove(&session) {
            Some(seat) => self.tell(PresenceKind::Leave, channel, session, seat.user.as_ref()),
            None => false,
        }
    }

    /// Appends the changes behind `seen`, and moves it.
    pub(crate) fn read(&self, seen: &mut u64, out: &mut Vec<u8>) {
        let behind = usize::try_from(self.changes_head - *seen).unwrap_or(usize::MAX).min(self.changes.len());
        for change in self.changes.iter().skip(self.changes.len() - behind) {
            out.extend_from_slice(change);
        }
        *seen = self.changes_head;
    }

    /// The first `members_max` members, and how many there are.
    pub(crate) fn roster(&self, members_max: usize) -> Roster {
        let member = |(session, seat): (&SessionId, &Seat)| Member {
            user: seat.user.as_ref().map(ToString::to_string),
            session: session.to_string(),
            since: seat.since,
            state: seat.state,
        };
        Roster {
            members: self.members.iter().take(members_max).map(member).collect(),
            count: self.members.len(),
        }
    }

    fn tell(
        &mut self,
        kind: PresenceKind,
        channel: &ChannelName,
        session: SessionId,
        user: Option<&UserId>,
    ) -> bool {
        if !self.events {
            return false;
        }
        let change = PresenceChange {
            channel: channel.to_string(),
            user: user.map(ToString::to_string),
            session: session.to_string(),
        };
        let mut packet = Vec::new();
        json::write_server(&mut packet, kind.as_str(), &change);
        if self.changes.len() == CHANGES_MAX {
            self.changes.pop_front();
        }
        self.changes.push_back(packet.into());
        self.changes_head += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(presence: &Presence, seen: &mut u64) -> Vec<String> {
        let mut out = Vec::new();
        presence.read(seen, &mut out);
        let text = String::from_utf8(out).expect("packets are text");
        json::packets(&text).map(|line| line[2..line.find("\":").expect("a verb")].to_owned()).collect()
    }

    #[test]
    fn a_cut_is_away_a_return_is_back_and_only_the_end_is_leave() {
        let channel = ChannelName::parse("room:7").expect("valid");
        let mut presence = Presence::new(PresenceMode::Events).expect("on");
        let (ann, mut seen) = (SessionId(1), 0);
        assert!(presence.arrive(&channel, ann, None, 5));
        assert!(presence.leave_for_a_while(&channel, ann));
        assert!(!presence.leave_for_a_while(&channel, ann), "away is told once");
        assert_eq!(presence.roster(9).members[0].state, MemberState::Away);
        assert!(presence.arrive(&channel, ann, None, 6));
        assert!(!presence.arrive(&channel, ann, None, 7), "a take-over is no news");
        assert!(presence.leave(&channel, ann));
        assert_eq!(told(&presence, &mut seen), ["join", "away", "back", "leave"]);
        assert!(told(&presence, &mut seen).is_empty());
    }

    #[test]
    fn a_reader_that_falls_behind_misses_changes_but_nothing_grows() {
        let channel = ChannelName::parse("room:7").expect("valid");
        let mut presence = Presence::new(PresenceMode::Events).expect("on");
        for n in 0..1000 {
            presence.arrive(&channel, SessionId(n), None, 5);
        }
        let mut seen = 0;
        assert_eq!(told(&presence, &mut seen).len(), CHANGES_MAX);
        assert_eq!(presence.roster(10).members.len(), 10);
        assert_eq!(presence.roster(10).count, 1000);
    }
}
