//! One channel of this node: its log, who reads it, who is present.
//!
//! A publication is appended under the channel's lock; subscribers are then rung in chunks, so that a channel with ten
//! thousand of them does not hold up the others.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tautline_protocol::{
    ChannelName, Cursor, ReadFrom, RequestId, UserId,
    packet::server::{Gap, GapReason, Roster, Subscribed},
};

use crate::{
    ChannelRule,
    bell::Bell,
    log::{Found, Log, NewEntry, Origin, Place, Read},
    presence::Presence,
    session_id::SessionId,
    sync::lock,
};

/// Subscribers rung before the pump goes on to the next channel.
const RING_CHUNK: usize = 256;

/// A channel that somebody reads, or that has something to read.
pub(crate) struct Channel {
    pub(crate) name: ChannelName,
    /// The rule that holds for it.
    pub(crate) rule: Arc<ChannelRule>,
    state: Mutex<State>,
}

struct State {
    log: Log,
    /// The last offset that was handed to any connection.
    delivered: u64,
    subscribers: Vec<Option<Subscriber>>,
    free: Vec<u32>,
    presence: Option<Box<Presence>>,
    /// The next subscriber to ring; `None` while nothing is being rung.
    ringing: Option<usize>,
    /// Something came while ringing: ring everybody once more.
    ring_again: bool,
    /// Forgotten by the hub: whoever still holds it must look the channel up again.
    retired: bool,
}

struct Subscriber {
    bell: Arc<Bell>,
    /// The subscription's place at its connection.
    slot: u32,
    /// Rung, and has not read since.
    rung: bool,
}

/// A subscriber's place in the channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeatNo(u32);

/// How a subscription began.
pub(crate) struct Joined {
    pub(crate) seat: SeatNo,
    pub(crate) reply: Subscribed,
    pub(crate) gap: Option<Gap>,
    /// The last offset taken.
    pub(crate) offset: u64,
    pub(crate) presence_seen: u64,
    pub(crate) ring: Ring,
}

/// What a reader got.
#[derive(Default)]
pub(crate) struct News {
    /// Publications.
    pub(crate) packets: Option<Bytes>,
    pub(crate) gap: Option<Gap>,
    /// There is more: come again.
    pub(crate) more: bool,
}

/// Whether subscribers wait to be rung by the pump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Ring {
    Done,
    Pump,
}

/// What a forgotten channel is remembered by.
pub(crate) struct Remains {
    pub(crate) offset: u64,
    pub(crate) at: u64,
    pub(crate) delivered: u64,
}

/// What became of a channel's publications.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    /// The last offset given out.
    pub(crate) head: u64,
    pub(crate) head_at: u64,
    /// The offset just before the oldest kept.
    pub(crate) base: u64,
    /// The last one that was handed to any connection.
    pub(crate) delivered: u64,
    /// Connections that read it.
    pub(crate) subscribers: usize,
}

impl Channel {
    /// A channel whose log goes on from `remains`.
    pub(crate) fn new(name: ChannelName, rule: Arc<ChannelRule>, remains: Option<&Remains>) -> Arc<Self> {
        let (offset, at) = remains.map_or((0, 0), |remains| (remains.offset, remains.at));
        let delivered = remains.map_or(0, |remains| remains.delivered);
        let state = State {
            log: Log::new(offset, at),
            delivered,
            subscribers: Vec::new(),
            free: Vec::new(),
            presence: Presence::new(rule.presence),
            ringing: None,
            ring_again: false,
            retired: false,
        };
        Arc::new(Self { name, rule, state: Mutex::new(state) })
    }

    /// Appends; the bytes of the log before and after tell the hub's budget. `None`: the channel was forgotten.
    pub(crate) fn publish(&self, wall_ms: u64, data: &str, new: Publish<'_>) -> Option<Appended> {
        let mut state = lock(&self.state);
        if state.retired {
            return None;
        }
        let bytes_before = state.log.bytes();
        if let Some(origin @ Origin::Key(_)) = new.origin
            && let Some((offset, at)) = state.log.of_origin(origin)
        {
            let (bytes_after, ring) = (bytes_before, Ring::Done);
            return Some(Appended { offset, at, bytes_before, bytes_after, ring, repeated: true });
        }
        let entry =
            NewEntry { channel: &self.name, data, from: new.from, tags: new.tags, origin: new.origin };
        let offset = state.log.append(wall_ms, &entry, &self.rule.retention);
        let (at, bytes_after) = (state.log.head_at(), state.log.bytes());
        Some(Appended { offset, at, bytes_before, bytes_after, ring: state.start_ringing(), repeated: false })
    }

    /// Whether the log knows this request.
    pub(crate) fn find(&self, session: SessionId, id: RequestId, whole: bool) -> Found {
        lock(&self.state).log.find(session, id, whole)
    }

    /// Lets a connection read from a place on. `None`: the channel was forgotten.
    pub(crate) fn join(&self, who: &Joining<'_>, from: &ReadFrom) -> Option<Joined> {
        let mut state = lock(&self.state);
        if state.retired {
            return None;
        }
        let (offset, gap) = state.place(&self.name, who.epoch, from, who.acked);
        let seat = state.seat(Subscriber { bell: Arc::clone(who.bell), slot: who.slot, rung: true });
        let changed = match &mut state.presence {
            Some(presence) => presence.arrive(&self.name, who.session, who.user, who.wall_ms),
            None => false,
        };
        let ring = if changed { state.start_ringing() } else { Ring::Done };
        let log = &state.log;
        let reply = Subscribed {
            epoch: who.epoch.to_owned(),
            offset: log.head(),
            at: log.head_at(),
            recovering: log.head() - offset,
        };
        let presence_seen = state.presence.as_ref().map_or(0, |presence| presence.head());
        Some(Joined { seat, reply, gap, offset, presence_seen, ring })
    }

    /// Moves a subscription that exists.
    pub(crate) fn rejoin(
        &self,
        epoch: &str,
        from: &ReadFrom,
        acked: Option<u64>,
    ) -> (Subscribed, Option<Gap>, u64) {
        let state = lock(&self.state);
        let (offset, gap) = state.place(&self.name, epoch, from, acked);
        let (head, at) = (state.log.head(), state.log.head_at());
        (Subscribed { epoch: epoch.to_owned(), offset: head, at, recovering: head - offset }, gap, offset)
    }

    /// What a subscriber has not taken yet: moves its places, appends presence changes to `out`.
    pub(crate) fn read(
        &self,
        epoch: &str,
        seat: SeatNo,
        places: Places<'_>,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> News {
        let mut state = lock(&self.state);
        let mut news = News::default();
        if let Some(presence) = &state.presence {
            presence.read(places.presence_seen, out);
        }
        match state.log.read(*places.offset, bytes_max) {
            Read::UpToDate => {}
            Read::Batch { packets, to } => {
                *places.offset = to;
                state.delivered = state.delivered.max(to);
                news.packets = Some(packets);
            }
            Read::Overtaken { to } => {
                news.gap = Some(state.gap(&self.name, epoch, GapReason::Retention, *places.offset, to));
                *places.offset = to;
            }
        }
        news.more = *places.offset < state.log.head();
        if let Some(Some(subscriber)) = state.subscribers.get_mut(seat.0 as usize) {
            subscriber.rung = news.more;
        }
        news
    }

    /// Ends a subscription.
    pub(crate) fn part(&self, seat: SeatNo) {
        let mut state = lock(&self.state);
        if state.subscribers[seat.0 as usize].take().is_some() {
            state.free.push(seat.0);
        }
        if state.free.len() == state.subscribers.len() {
            state.subscribers = Vec::new();
            state.free = Vec::new();
        }
    }

    /// Rings the next chunk. False: everybody was rung.
    pub(crate) fn ring_chunk(&self) -> bool {
        lock(&self.state).ring_chunk()
    }

    /// Changes the roster and tells subscribers if they asked for it.
    pub(crate) fn with_presence(&self, change: impl FnOnce(&mut Presence, &ChannelName) -> bool) -> Ring {
        let mut state = lock(&self.state);
        let changed = state.presence.as_mut().is_some_and(|presence| change(presence, &self.name));
        if changed { state.start_ringing() } else { Ring::Done }
    }

    /// The roster; `None` where the channel keeps none.
    pub(crate) fn roster(&self, members_max: usize) -> Option<Roster> {
        lock(&self.state).presence.as_ref().map(|presence| presence.roster(members_max))
    }

    /// Looks at the log.
    pub(crate) fn with_log<T>(&self, look: impl FnOnce(&Log) -> T) -> T {
        look(&lock(&self.state).log)
    }

    /// What became of its publications.
    pub(crate) fn standing(&self) -> Standing {
        let state = lock(&self.state);
        Standing {
            head: state.log.head(),
            head_at: state.log.head_at(),
            base: state.log.base(),
            delivered: state.delivered,
            subscribers: state.subscribers.len() - state.free.len(),
        }
    }

    /// Drops what is too old; if nothing and nobody is left, the channel is forgotten and this is what remains. The
    /// number is how many bytes the log gave back. Without room to remember it, only a log that never began is forgotten.
    pub(crate) fn tidy(&self, wall_ms: u64, has_room: bool) -> (usize, Option<Remains>) {
        let mut state = lock(&self.state);
        let bytes_before = state.log.bytes();
        state.log.retain(wall_ms, &self.rule.retention);
        let idle = (has_room || state.log.head() == 0)
            && state.log.is_empty()
            && state.subscribers.is_empty()
            && state.ringing.is_none()
            && state.presence.as_ref().is_none_or(|presence| presence.is_empty());
        state.retired = idle;
        let remains = idle.then(|| Remains {
            offset: state.log.head(),
            at: state.log.head_at(),
            delivered: state.delivered,
        });
        (bytes_before - state.log.bytes(), remains)
    }
}

/// Who wants to read.
pub(crate) struct Joining<'a> {
    pub(crate) bell: &'a Arc<Bell>,
    pub(crate) slot: u32,
    pub(crate) session: SessionId,
    pub(crate) user: Option<&'a UserId>,
    /// How far the user has acknowledged the channel.
    pub(crate) acked: Option<u64>,
    pub(crate) epoch: &'a str,
    pub(crate) wall_ms: u64,
}

/// What comes with a publication's data.
#[derive(Default)]
pub(crate) struct Publish<'a> {
    pub(crate) from: Option<&'a UserId>,
    pub(crate) tags: Option<&'a str>,
    pub(crate) origin: Option<Origin>,
}

/// What a publication became.
pub(crate) struct Appended {
    pub(crate) offset: u64,
    pub(crate) at: u64,
    pub(crate) bytes_before: usize,
    pub(crate) bytes_after: usize,
    pub(crate) ring: Ring,
    /// It was there before: the back end sent its key again.
    pub(crate) repeated: bool,
}

/// A reader's places.
pub(crate) struct Places<'a> {
    pub(crate) offset: &'a mut u64,
    pub(crate) presence_seen: &'a mut u64,
}

impl State {
    fn place(
        &self,
        name: &ChannelName,
        epoch: &str,
        from: &ReadFrom,
        acked: Option<u64>,
    ) -> (u64, Option<Gap>) {
        let acked = acked.map(|offset| Cursor { epoch: epoch.to_owned(), offset, at: None });
        let cursor = match from {
            ReadFrom::Now => return (self.log.head(), None),
            ReadFrom::Start => return (self.log.base(), None),
            ReadFrom::Acked => match &acked {
                Some(acked) => acked,
                None => return (self.log.base(), None),
            },
            ReadFrom::Cursor(cursor) => cursor,
        };
        match self.log.locate(epoch, cursor) {
            Place::At(offset) => (offset, None),
            Place::Gap { reason, at } => (at, Some(self.gap(name, epoch, reason, cursor.offset, at))),
        }
    }

    fn gap(&self, name: &ChannelName, epoch: &str, reason: GapReason, after: u64, to: u64) -> Gap {
        let cursor = Cursor { epoch: epoch.to_owned(), offset: to, at: self.log.at(to) };
        Gap { channel: name.to_string(), reason, after, cursor }
    }

    fn seat(&mut self, subscriber: Subscriber) -> SeatNo {
        if let Some(free) = self.free.pop() {
            self.subscribers[free as usize] = Some(subscriber);
            return SeatNo(free);
        }
        if self.subscribers.len() == self.subscribers.capacity() {
            // Most channels have very few subscribers, and doubling a large list would leave half of it unused.
            self.subscribers.reserve_exact(self.subscribers.len() / 8 + 1);
        }
        let seat = u32::try_from(self.subscribers.len()).expect("fewer connections than 2^32");
        self.subscribers.push(Some(subscriber));
        SeatNo(seat)
    }

    /// Rings the first chunk at once, so that a small channel never waits for the pump.
    fn start_ringing(&mut self) -> Ring {
        if self.ringing.is_some() {
            self.ring_again = true;
            return Ring::Done;
        }
        self.ringing = Some(0);
        if self.ring_chunk() { Ring::Pump } else { Ring::Done }
    }

    fn ring_chunk(&mut self) -> bool {
        let Some(from) = self.ringing else { return false };
        let to = self.subscribers.len().min(from + RING_CHUNK);
        for subscriber in self.subscribers.get_mut(from..to).unwrap_or_default().iter_mut().flatten() {
            if !subscriber.rung {
                subscriber.rung = true;
                subscriber.bell.ring(subscriber.slot);
            }
        }
        self.ringing = match (to < self.subscribers.len(), std::mem::take(&mut self.ring_again)) {
            (true, again) => {
                self.ring_again = again;
                Some(to)
            }
            (false, true) => Some(0),
            (false, false) => None,
        };
        self.ringing.is_some()
    }
}
