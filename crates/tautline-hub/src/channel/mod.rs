//! One channel of this node while somebody uses it: the tail of its log, who reads it, who is present.
//!
//! A publication enters the tail once the engine has it; subscribers are then rung in chunks, so that a channel with ten
//! thousand of them does not hold up the others.

pub(crate) mod registry;

use std::sync::Arc;

use tautline_engine::{
    Entry, LogState, Page, Position, StatResult,
    budget::{Budget, Claim},
};
use tautline_protocol::{
    ChannelName, Cursor, Limits, ReadFrom, UserId,
    packet::server::{Gap, GapReason, Roster, Subscribed},
};

use crate::{
    ChannelRule,
    mailbox::PeerMailbox,
    packets::Packets,
    presence::Presence,
    session::id::SessionId,
    sync::{AtomicUsize, Mutex, lock},
    tail::{AppendOutcome, LogTail, ResumePoint, TailRead},
};

/// Subscribers rung before the pump goes on to the next channel.
const NOTIFY_CHUNK: usize = 256;

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
    tail: Option<LogTail>,
    /// What was appended meanwhile.
    early_entries: Vec<AppendedEntry>,
    /// The last offset that was handed to any connection.
    delivered: u64,
    /// The same when the engine was last told of it.
    delivered_saved: u64,
    subscribers: Vec<Option<Subscriber>>,
    free: Vec<u32>,
    presence: Option<Box<Presence>>,
    /// The next subscriber to ring; `None` while nothing is being rung.
    fan_out_at: Option<usize>,
    /// Something came while ringing: ring everybody once more.
    repeat_fan_out: bool,
}

struct Subscriber {
    mailbox: Arc<PeerMailbox>,
    /// The subscription's place at its connection.
    slot: u32,
    /// Rung, and has not read since.
    notified: bool,
}

/// A subscriber's place in the channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubscriberSlot(u32);

/// How a subscription began, or where it was moved.
pub(crate) struct SubscribeOutcome {
    pub(crate) subscribed: Subscribed,
    pub(crate) gap: Option<Gap>,
    pub(crate) position: ReaderPosition,
}

/// What a reader has taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReaderPosition {
    /// The last offset.
    pub(crate) offset: u64,
    /// Of which turn of the log.
    pub(crate) generation: u32,
}

/// A publication that the engine has appended.
#[derive(Clone)]
pub(crate) struct AppendedEntry {
    pub(crate) epoch: Arc<str>,
    pub(crate) entry: Entry,
    pub(crate) before_at: u64,
    pub(crate) base: u64,
    pub(crate) base_at: Option<u64>,
}

/// What a reader got.
#[derive(Default)]
pub(crate) struct Delivery {
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
pub(crate) enum FanOut {
    Done,
    Pending,
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
            tail: None,
            early_entries: Vec::new(),
            delivered: 0,
            delivered_saved: 0,
            subscribers: Vec::new(),
            free: Vec::new(),
            presence: Presence::new(rule.presence, changes),
            fan_out_at: None,
            repeat_fan_out: false,
        };
        Arc::new(Self { name, number, rule, tail_bytes, _claim: claim, state: Mutex::new(state) })
    }

    /// Takes a publication that the engine has appended. `entries_max`: how many may stay in memory.
    pub(crate) fn apply(
        &self,
        appended: AppendedEntry,
        limits: &Limits,
        entries_max: usize,
    ) -> (AppendOutcome, FanOut) {
        let mut state = lock(&self.state);
        let Some(tail) = &mut state.tail else {
            state.early_entries.push(appended);
            // Whoever reads that far behind reads pages.
            if state.early_entries.len() > limits.tail_entries_max {
                state.early_entries.remove(0);
            }
            return (AppendOutcome::Duplicate, FanOut::Done);
        };
        let outcome = tail.push(appended, limits, entries_max);
        let fan_out = if outcome == AppendOutcome::Applied { state.start_fan_out() } else { FanOut::Done };
        (outcome, fan_out)
    }

    /// Takes what the engine says of the log; `then` is where memory stood when it was asked.
    pub(crate) fn apply_state(
        &self,
        log_state: &LogState,
        then: Option<TailPosition>,
        limits: &Limits,
    ) -> FanOut {
        let mut state = lock(&self.state);
        let state = &mut *state;
        let early = std::mem::take(&mut state.early_entries);
        match &mut state.tail {
            Some(tail) => {
                // Where memory has learned of another log since, the answer may be about the one before.
                let then = then.filter(|then| then.generation == tail.generation());
                let is_another =
                    |then: TailPosition| then.head == log_state.head && then.head_at != log_state.head_at;
                // Another publication where memory's last one was is as good as one less.
                let head_then = then.map(|then| then.head + u64::from(is_another(then)));
                if head_then.is_some_and(|head_then| tail.apply_state(log_state, head_then)) {
                    return state.start_fan_out();
                }
            }
            None => {
                let tail = state.tail.insert(LogTail::new(log_state, Arc::clone(&self.tail_bytes)));
                for appended in early {
                    // What the engine told of before it was asked, and after.
                    if appended.epoch != log_state.epoch || appended.entry.offset() > log_state.head {
                        tail.push(appended, limits, usize::MAX);
                    }
                }
            }
        }
        FanOut::Done
    }

    /// Where memory stands; nothing before the engine has said it.
    pub(crate) fn tail_position(&self) -> Option<TailPosition> {
        lock(&self.state).tail.as_ref().map(|tail| TailPosition {
            head: tail.head(),
            head_at: tail.head_at(),
            generation: tail.generation(),
        })
    }

    /// The log's life; nothing before the engine has said it.
    pub(crate) fn epoch(&self) -> Option<Arc<str>> {
        lock(&self.state).tail.as_ref().map(|tail| Arc::clone(tail.epoch()))
    }

    /// What memory alone knows of the place where a reader begins; nothing, where the engine has to be asked.
    pub(crate) fn cached_position(&self, from: &ReadFrom) -> Option<CachedPosition> {
        let state = lock(&self.state);
        let tail = state.tail.as_ref()?;
        let at = match from {
            ReadFrom::Now => None,
            ReadFrom::Cursor(cursor) if tail.resolves(cursor) => tail.at(cursor.offset),
            _ => return None,
        };
        Some(CachedPosition { at, generation: tail.generation() })
    }

    /// Lets a connection read from a place on. `None`: the engine has to be asked first.
    pub(crate) fn subscribe(
        &self,
        who: &SubscribeParams<'_>,
        from: &ReadFrom,
        evidence: ResumeEvidence<'_>,
    ) -> Option<(SubscriberSlot, u64, SubscribeOutcome, FanOut)> {
        let mut state = lock(&self.state);
        let outcome = state.resolve_start(&self.name, from, evidence)?;
        let subscriber = state.add_subscriber(Subscriber {
            mailbox: Arc::clone(who.mailbox),
            slot: who.slot,
            notified: true,
        });
        let changed = match &mut state.presence {
            Some(presence) => presence.set_online(&self.name, who.session, who.user, who.wall_ms),
            None => false,
        };
        let fan_out = if changed { state.start_fan_out() } else { FanOut::Done };
        let presence_seen = state.presence.as_mut().map_or(0, |presence| presence.add_reader());
        Some((subscriber, presence_seen, outcome, fan_out))
    }

    /// Moves a subscription that exists. `None`: the engine has to be asked first.
    pub(crate) fn move_subscription(
        &self,
        subscriber: SubscriberSlot,
        from: &ReadFrom,
        evidence: ResumeEvidence<'_>,
    ) -> Option<SubscribeOutcome> {
        let mut state = lock(&self.state);
        let outcome = state.resolve_start(&self.name, from, evidence)?;
        state.set_notified(subscriber, true);
        Some(outcome)
    }

    /// What a subscriber has not taken yet: moves its places, appends presence changes to `out`.
    pub(crate) fn read(
        &self,
        subscriber: SubscriberSlot,
        positions: ReaderPositions<'_>,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Delivery {
        let mut state = lock(&self.state);
        let state = &mut *state;
        let mut delivery = Delivery::default();
        if let Some(presence) = &mut state.presence {
            presence.read(positions.presence_seen, out);
        }
        let Some(tail) = &mut state.tail else { return delivery };
        let position = positions.position;
        match tail.read(position.offset, &mut position.generation, bytes_max) {
            TailRead::UpToDate => {}
            TailRead::Batch { packets, to } => {
                position.offset = to;
                state.delivered = state.delivered.max(to);
                delivery.packets = Some(packets);
            }
            TailRead::Behind => delivery.behind = true,
            TailRead::Gap { reason, to } => {
                delivery.gap = Some(gap(&self.name, tail, reason, position.offset, to));
                position.offset = to;
            }
        }
        delivery.more = position.offset < tail.head() && !delivery.behind;
        // Who waits for a page is rung by it.
        state.set_notified(subscriber, delivery.more || delivery.behind);
        delivery
    }

    /// A subscriber has taken a page. True: there is more.
    pub(crate) fn read_page(&self, subscriber: SubscriberSlot, to: u64) -> bool {
        let mut state = lock(&self.state);
        state.delivered = state.delivered.max(to);
        let more = state.tail.as_ref().is_some_and(|tail| to < tail.head());
        state.set_notified(subscriber, more);
        more
    }

    /// The engine was asked for what follows `after`, and this is what it read. False: it is nothing to be handed out.
    pub(crate) fn verify_page(&self, after: u64, page: &Page) -> (bool, FanOut) {
        let mut state = lock(&self.state);
        let Some(tail) = &mut state.tail else { return (false, FanOut::Done) };
        if tail.verify_page(after, page.at, &page.entries) {
            return (false, state.start_fan_out());
        }
        let first = page.entries.first().map(Entry::offset);
        if first != Some(after + 1) {
            tail.record_gap(after, first);
        }
        (first == Some(after + 1), FanOut::Done)
    }

    /// Ends a subscription that has read presence up to `presence_seen`.
    pub(crate) fn remove_subscriber(&self, subscriber: SubscriberSlot, presence_seen: u64) {
        let mut state = lock(&self.state);
        if state.subscribers[subscriber.0 as usize].take().is_some() {
            state.free.push(subscriber.0);
            if let Some(presence) = &mut state.presence {
                presence.remove_reader(presence_seen);
            }
        }
        if state.free.len() == state.subscribers.len() {
            state.subscribers = Vec::new();
            state.free = Vec::new();
        }
    }

    /// Rings the next chunk. False: everybody was rung.
    pub(crate) fn notify_chunk(&self) -> bool {
        lock(&self.state).notify_chunk()
    }

    /// Changes the roster and tells subscribers if they asked for it.
    pub(crate) fn with_presence(&self, change: impl FnOnce(&mut Presence, &ChannelName) -> bool) -> FanOut {
        let mut state = lock(&self.state);
        let changed = state.presence.as_mut().is_some_and(|presence| change(presence, &self.name));
        if changed { state.start_fan_out() } else { FanOut::Done }
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
        let epoch = Arc::clone(state.tail.as_ref()?.epoch());
        (state.delivered > 0).then_some(Position { epoch, offset: state.delivered })
    }

    /// The same, where it has risen since the last time.
    pub(crate) fn take_delivered(&self) -> Option<Position> {
        let mut state = lock(&self.state);
        if state.delivered_saved == state.delivered {
            return None;
        }
        state.delivered_saved = state.delivered;
        let epoch = Arc::clone(state.tail.as_ref()?.epoch());
        Some(Position { epoch, offset: state.delivered })
    }

    /// Drops what is too old.
    pub(crate) fn expire(&self, wall_ms: u64) {
        if let Some(tail) = &mut lock(&self.state).tail {
            tail.expire(wall_ms, self.rule.retention.age_ms);
        }
    }
}

/// Where memory stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TailPosition {
    /// The last offset that it was told of.
    pub(crate) head: u64,
    /// When that one was appended.
    pub(crate) head_at: u64,
    /// The turn of the log.
    pub(crate) generation: u32,
}

/// What memory knew of a reader's place when it was asked; it may have let go of it since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CachedPosition {
    /// When the publication at its offset was appended.
    pub(crate) at: Option<u64>,
    /// In which turn of the log.
    pub(crate) generation: u32,
}

/// What is known of a reader's place, by the engine or by memory.
#[derive(Clone, Copy, Default)]
pub(crate) struct ResumeEvidence<'a> {
    pub(crate) stat: Option<&'a StatResult>,
    /// What memory knew when it was asked first.
    pub(crate) cached: Option<CachedPosition>,
    /// Memory had the log then.
    pub(crate) had_tail: bool,
}

/// Who wants to read.
pub(crate) struct SubscribeParams<'a> {
    pub(crate) mailbox: &'a Arc<PeerMailbox>,
    pub(crate) slot: u32,
    pub(crate) session: SessionId,
    pub(crate) user: Option<&'a UserId>,
    pub(crate) wall_ms: u64,
}

/// A reader's places.
pub(crate) struct ReaderPositions<'a> {
    pub(crate) position: &'a mut ReaderPosition,
    pub(crate) presence_seen: &'a mut u64,
}

impl State {
    fn resolve_start(
        &self,
        name: &ChannelName,
        from: &ReadFrom,
        evidence: ResumeEvidence<'_>,
    ) -> Option<SubscribeOutcome> {
        let tail = self.tail.as_ref()?;
        let stat = evidence.stat;
        let acknowledged = || {
            let position = stat?.acknowledged.as_ref().filter(|position| position.epoch == *tail.epoch())?;
            Some(Cursor { epoch: position.epoch.to_string(), offset: position.offset, at: None })
        };
        let cursor = match from {
            ReadFrom::Now | ReadFrom::Start => None,
            ReadFrom::Acked => acknowledged(),
            ReadFrom::Cursor(cursor) => Some(cursor.clone()),
        };
        let (offset, gap) = match (from, cursor) {
            (ReadFrom::Now, _) => (tail.head(), None),
            (_, None) => (tail.base(), None),
            (_, Some(cursor)) => match tail.locate(&cursor, evidence) {
                ResumePoint::At(offset) => (offset, None),
                ResumePoint::Gap { reason, at } => (at, Some(gap(name, tail, reason, cursor.offset, at))),
            },
        };
        let (head, at) = (tail.head(), tail.head_at());
        let recovering = head.saturating_sub(offset);
        let reply = Subscribed { epoch: tail.epoch().to_string(), offset: head, at, recovering };
        Some(SubscribeOutcome {
            subscribed: reply,
            gap,
            position: ReaderPosition { offset, generation: tail.generation() },
        })
    }

    /// Whether a subscriber has been rung and not read since.
    fn set_notified(&mut self, slot: SubscriberSlot, notified: bool) {
        if let Some(Some(subscriber)) = self.subscribers.get_mut(slot.0 as usize) {
            subscriber.notified = notified;
        }
    }

    fn add_subscriber(&mut self, subscriber: Subscriber) -> SubscriberSlot {
        if let Some(free) = self.free.pop() {
            self.subscribers[free as usize] = Some(subscriber);
            return SubscriberSlot(free);
        }
        if self.subscribers.len() == self.subscribers.capacity() {
            // Most channels have very few subscribers, and doubling a large list would leave half of it unused.
            self.subscribers.reserve_exact(self.subscribers.len() / 8 + 1);
        }
        let slot = u32::try_from(self.subscribers.len()).expect("fewer connections than 2^32");
        self.subscribers.push(Some(subscriber));
        SubscriberSlot(slot)
    }

    /// Rings the first chunk at once, so that a small channel never waits for the pump.
    fn start_fan_out(&mut self) -> FanOut {
        if self.fan_out_at.is_some() {
            self.repeat_fan_out = true;
            return FanOut::Done;
        }
        self.fan_out_at = Some(0);
        if self.notify_chunk() { FanOut::Pending } else { FanOut::Done }
    }

    fn notify_chunk(&mut self) -> bool {
        let Some(from) = self.fan_out_at else { return false };
        let to = self.subscribers.len().min(from + NOTIFY_CHUNK);
        for subscriber in self.subscribers.get_mut(from..to).unwrap_or_default().iter_mut().flatten() {
            if !subscriber.notified {
                subscriber.notified = true;
                subscriber.mailbox.notify(subscriber.slot);
            }
        }
        self.fan_out_at = match (to < self.subscribers.len(), std::mem::take(&mut self.repeat_fan_out)) {
            (true, again) => {
                self.repeat_fan_out = again;
                Some(to)
            }
            (false, true) => Some(0),
            (false, false) => None,
        };
        self.fan_out_at.is_some()
    }
}

fn gap(name: &ChannelName, tail: &LogTail, reason: GapReason, after: u64, to: u64) -> Gap {
    let cursor = Cursor { epoch: tail.epoch().to_string(), offset: to, at: tail.at(to) };
    Gap { channel: name.to_string(), reason, after, cursor }
}
