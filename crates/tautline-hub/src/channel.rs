//! One channel of this node while somebody uses it: the tail of its log, who reads it, who is present.
//!
//! A publication enters the tail once the engine has it; subscribers are then rung in chunks, so that a channel with ten
//! thousand of them does not hold up the others.

use std::sync::Arc;

use tautline_protocol::{
    ChannelName, Cursor, Limits, ReadFrom, UserId,
    packet::server::{Gap, GapReason, Roster, Subscribed},
};

use crate::{
    ChannelRule,
    bell::Bell,
    budget::{Budget, Claim},
    engine::{Entry, Looked, Page, Position, Standing},
    log::{Log, Place, Pushed, Read},
    packets::Packets,
    presence::Presence,
    session_id::SessionId,
    sync::{AtomicUsize, Mutex, lock},
};

/// Subscribers rung before the pump goes on to the next channel.
const RING_CHUNK: usize = 256;

/// A channel that somebody reads or is about to read.
pub(crate) struct Channel {
    pub(crate) name: ChannelName,
    /// Tells it from those that bore its name before it, and were dropped.
    pub(crate) number: u64,
    /// The rule that holds for it.
    pub(crate) rule: Arc<ChannelRule>,
    /// The bytes of all tails of the node.
    tail_bytes: Arc<AtomicUsize>,
    /// Its place among the channels of the node, booked on the one that opened it.
    _claim: Claim,
    state: Mutex<State>,
}

struct State {
    /// Nothing until the engine has said where the log stands.
    log: Option<Log>,
    /// What was appended meanwhile.
    early: Vec<News>,
    /// The last offset that was handed to any connection.
    delivered: u64,
    /// The same when the engine was last told of it.
    delivered_told: u64,
    subscribers: Vec<Option<Subscriber>>,
    free: Vec<u32>,
    presence: Option<Box<Presence>>,
    /// The next subscriber to ring; `None` while nothing is being rung.
    ringing: Option<usize>,
    /// Something came while ringing: ring everybody once more.
    ring_again: bool,
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

/// How a subscription began, or where it was moved.
pub(crate) struct Joined {
    pub(crate) reply: Subscribed,
    pub(crate) gap: Option<Gap>,
    pub(crate) place: ReaderPlace,
}

/// What a reader has taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReaderPlace {
    /// The last offset.
    pub(crate) offset: u64,
    /// Of which turn of the log.
    pub(crate) turn: u32,
}

/// A publication that the engine has appended.
#[derive(Clone)]
pub(crate) struct News {
    pub(crate) epoch: Arc<str>,
    pub(crate) entry: Entry,
    pub(crate) before_at: u64,
    pub(crate) base: u64,
    pub(crate) base_at: Option<u64>,
}

/// What a reader got.
#[derive(Default)]
pub(crate) struct Taken {
    /// Publications.
    pub(crate) packets: Option<Packets>,
    pub(crate) gap: Option<Gap>,
    /// There is more: come again.
    pub(crate) more: bool,
    /// What follows has to be read from the engine first.
    pub(crate) behind: bool,
}

/// Whether subscribers wait to be rung by the pump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Ring {
    Done,
    Pump,
}

impl Channel {
    /// A channel of which nothing is known yet.
    pub(crate) fn new(
        name: ChannelName,
        number: u64,
        rule: Arc<ChannelRule>,
        tail_bytes: Arc<AtomicUsize>,
        claim: Claim,
        changes: &Arc<Budget>,
    ) -> Arc<Self> {
        let state = State {
            log: None,
            early: Vec::new(),
            delivered: 0,
            delivered_told: 0,
            subscribers: Vec::new(),
            free: Vec::new(),
            presence: Presence::new(rule.presence, changes),
            ringing: None,
            ring_again: false,
        };
        Arc::new(Self { name, number, rule, tail_bytes, _claim: claim, state: Mutex::new(state) })
    }

    /// Takes a publication that the engine has appended. `entries_max`: how many may stay in memory.
    pub(crate) fn take(&self, news: News, limits: &Limits, entries_max: usize) -> (Pushed, Ring) {
        let mut state = lock(&self.state);
        let Some(log) = &mut state.log else {
            state.early.push(news);
            // Whoever reads that far behind reads pages.
            if state.early.len() > limits.tail_entries_max {
                state.early.remove(0);
            }
            return (Pushed::Known, Ring::Done);
        };
        let pushed = log.push(news, limits, entries_max);
        let ring = if pushed == Pushed::Taken { state.start_ringing() } else { Ring::Done };
        (pushed, ring)
    }

    /// Takes what the engine says of the log; `then` is where memory stood when it was asked.
    pub(crate) fn learn(&self, standing: &Standing, then: Option<Stand>, limits: &Limits) -> Ring {
        let mut state = lock(&self.state);
        let state = &mut *state;
        let early = std::mem::take(&mut state.early);
        match &mut state.log {
            Some(log) => {
                // Where memory has learned of another log since, the answer may be about the one before.
                let then = then.filter(|then| then.turn == log.turn());
                let is_another = |then: Stand| then.head == standing.head && then.head_at != standing.head_at;
                // Another publication where memory's last one was is as good as one less.
                let head_then = then.map(|then| then.head + u64::from(is_another(then)));
                if head_then.is_some_and(|head_then| log.learn(standing, head_then)) {
                    return state.start_ringing();
                }
            }
            None => {
                let log = state.log.insert(Log::new(standing, Arc::clone(&self.tail_bytes)));
                for news in early {
                    // What the engine told of before it was asked, and after.
                    if news.epoch != standing.epoch || news.entry.offset() > standing.head {
                        log.push(news, limits, usize::MAX);
                    }
                }
            }
        }
        Ring::Done
    }

    /// Where memory stands; nothing before the engine has said it.
    pub(crate) fn stand(&self) -> Option<Stand> {
        lock(&self.state).log.as_ref().map(|log| Stand {
            head: log.head(),
            head_at: log.head_at(),
            turn: log.turn(),
        })
    }

    /// The log's life; nothing before the engine has said it.
    pub(crate) fn epoch(&self) -> Option<Arc<str>> {
        lock(&self.state).log.as_ref().map(|log| Arc::clone(log.epoch()))
    }

    /// What memory alone knows of the place where a reader begins; nothing, where the engine has to be asked.
    pub(crate) fn known(&self, from: &ReadFrom) -> Option<Known> {
        let state = lock(&self.state);
        let log = state.log.as_ref()?;
        let at = match from {
            ReadFrom::Now => None,
            ReadFrom::Cursor(cursor) if log.knows(cursor) => log.at(cursor.offset),
            _ => return None,
        };
        Some(Known { at, turn: log.turn() })
    }

    /// Lets a connection read from a place on. `None`: the engine has to be asked first.
    pub(crate) fn join(
        &self,
        who: &Joining<'_>,
        from: &ReadFrom,
        seen: Seen<'_>,
    ) -> Option<(SeatNo, u64, Joined, Ring)> {
        let mut state = lock(&self.state);
        let joined = state.place(&self.name, from, seen)?;
        let seat = state.seat(Subscriber { bell: Arc::clone(who.bell), slot: who.slot, rung: true });
        let changed = match &mut state.presence {
            Some(presence) => presence.arrive(&self.name, who.session, who.user, who.wall_ms),
            None => false,
        };
        let ring = if changed { state.start_ringing() } else { Ring::Done };
        let presence_seen = state.presence.as_mut().map_or(0, |presence| presence.enter());
        Some((seat, presence_seen, joined, ring))
    }

    /// Moves a subscription that exists. `None`: the engine has to be asked first.
    pub(crate) fn rejoin(&self, seat: SeatNo, from: &ReadFrom, seen: Seen<'_>) -> Option<Joined> {
        let mut state = lock(&self.state);
        let joined = state.place(&self.name, from, seen)?;
        state.note(seat, true);
        Some(joined)
    }

    /// What a subscriber has not taken yet: moves its places, appends presence changes to `out`.
    pub(crate) fn read(
        &self,
        seat: SeatNo,
        places: Places<'_>,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Taken {
        let mut state = lock(&self.state);
        let state = &mut *state;
        let mut taken = Taken::default();
        if let Some(presence) = &mut state.presence {
            presence.read(places.presence_seen, out);
        }
        let Some(log) = &mut state.log else { return taken };
        let place = places.place;
        match log.read(place.offset, &mut place.turn, bytes_max) {
            Read::UpToDate => {}
            Read::Batch { packets, to } => {
                place.offset = to;
                state.delivered = state.delivered.max(to);
                taken.packets = Some(packets);
            }
            Read::Behind => taken.behind = true,
            Read::Gap { reason, to } => {
                taken.gap = Some(gap(&self.name, log, reason, place.offset, to));
                place.offset = to;
            }
        }
        taken.more = place.offset < log.head() && !taken.behind;
        // Who waits for a page is rung by it.
        state.note(seat, taken.more || taken.behind);
        taken
    }

    /// A subscriber has taken a page. True: there is more.
    pub(crate) fn read_page(&self, seat: SeatNo, to: u64) -> bool {
        let mut state = lock(&self.state);
        state.delivered = state.delivered.max(to);
        let more = state.log.as_ref().is_some_and(|log| to < log.head());
        state.note(seat, more);
        more
    }

    /// The engine was asked for what follows `after`, and this is what it read. False: it is nothing to be handed out.
    pub(crate) fn check_page(&self, after: u64, page: &Page) -> (bool, Ring) {
        let mut state = lock(&self.state);
        let Some(log) = &mut state.log else { return (false, Ring::Done) };
        if log.compare(after, page.at, &page.entries) {
            return (false, state.start_ringing());
        }
        let first = page.entries.first().map(Entry::offset);
        if first != Some(after + 1) {
            log.admit_hole(after, first);
        }
        (first == Some(after + 1), Ring::Done)
    }

    /// Ends a subscription that has read presence up to `presence_seen`.
    pub(crate) fn part(&self, seat: SeatNo, presence_seen: u64) {
        let mut state = lock(&self.state);
        if state.subscribers[seat.0 as usize].take().is_some() {
            state.free.push(seat.0);
            if let Some(presence) = &mut state.presence {
                presence.quit(presence_seen);
            }
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

    /// How many connections read it.
    pub(crate) fn subscribers(&self) -> usize {
        let state = lock(&self.state);
        state.subscribers.len() - state.free.len()
    }

    /// How far it was handed to any connection, where it was at all.
    pub(crate) fn delivered(&self) -> Option<Position> {
        let state = lock(&self.state);
        let epoch = Arc::clone(state.log.as_ref()?.epoch());
        (state.delivered > 0).then_some(Position { epoch, offset: state.delivered })
    }

    /// The same, where it has risen since the last time.
    pub(crate) fn take_delivered(&self) -> Option<Position> {
        let mut state = lock(&self.state);
        if state.delivered_told == state.delivered {
            return None;
        }
        state.delivered_told = state.delivered;
        let epoch = Arc::clone(state.log.as_ref()?.epoch());
        Some(Position { epoch, offset: state.delivered })
    }

    /// Drops what is too old.
    pub(crate) fn expire(&self, wall_ms: u64) {
        if let Some(log) = &mut lock(&self.state).log {
            log.expire(wall_ms, self.rule.retention.age_ms);
        }
    }
}

/// Where memory stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stand {
    /// The last offset that it was told of.
    pub(crate) head: u64,
    /// When that one was appended.
    pub(crate) head_at: u64,
    /// The turn of the log.
    pub(crate) turn: u32,
}

/// What memory knew of a reader's place when it was asked; it may have let go of it since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// When the publication at its offset was appended.
    pub(crate) at: Option<u64>,
    /// In which turn of the log.
    pub(crate) turn: u32,
}

/// What is known of a reader's place, by the engine or by memory.
#[derive(Clone, Copy, Default)]
pub(crate) struct Seen<'a> {
    pub(crate) looked: Option<&'a Looked>,
    /// What memory knew when it was asked first.
    pub(crate) known: Option<Known>,
    /// Memory had the log then.
    pub(crate) live: bool,
}

/// Who wants to read.
pub(crate) struct Joining<'a> {
    pub(crate) bell: &'a Arc<Bell>,
    pub(crate) slot: u32,
    pub(crate) session: SessionId,
    pub(crate) user: Option<&'a UserId>,
    pub(crate) wall_ms: u64,
}

/// A reader's places.
pub(crate) struct Places<'a> {
    pub(crate) place: &'a mut ReaderPlace,
    pub(crate) presence_seen: &'a mut u64,
}

impl State {
    fn place(&self, name: &ChannelName, from: &ReadFrom, seen: Seen<'_>) -> Option<Joined> {
        let log = self.log.as_ref()?;
        let looked = seen.looked;
        let acknowledged = || {
            let position = looked?.acknowledged.as_ref().filter(|position| position.epoch == *log.epoch())?;
            Some(Cursor { epoch: position.epoch.to_string(), offset: position.offset, at: None })
        };
        let cursor = match from {
            ReadFrom::Now | ReadFrom::Start => None,
            ReadFrom::Acked => acknowledged(),
            ReadFrom::Cursor(cursor) => Some(cursor.clone()),
        };
        let (offset, gap) = match (from, cursor) {
            (ReadFrom::Now, _) => (log.head(), None),
            (_, None) => (log.base(), None),
            (_, Some(cursor)) => match log.locate(&cursor, seen) {
                Place::At(offset) => (offset, None),
                Place::Gap { reason, at } => (at, Some(gap(name, log, reason, cursor.offset, at))),
            },
        };
        let (head, at) = (log.head(), log.head_at());
        let recovering = head.saturating_sub(offset);
        let reply = Subscribed { epoch: log.epoch().to_string(), offset: head, at, recovering };
        Some(Joined { reply, gap, place: ReaderPlace { offset, turn: log.turn() } })
    }

    /// Whether a subscriber has been rung and not read since.
    fn note(&mut self, seat: SeatNo, rung: bool) {
        if let Some(Some(subscriber)) = self.subscribers.get_mut(seat.0 as usize) {
            subscriber.rung = rung;
        }
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

fn gap(name: &ChannelName, log: &Log, reason: GapReason, after: u64, to: u64) -> Gap {
    let cursor = Cursor { epoch: log.epoch().to_string(), offset: to, at: log.at(to) };
    Gap { channel: name.to_string(), reason, after, cursor }
}
