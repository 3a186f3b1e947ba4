//! A channel in use on this node: the tail of its log, its subscribers and its presence roster.
//!
//! Start at [`Channel::apply`]. A publication enters the tail once the engine has appended it. Subscribers
//! are then notified in chunks, so that a channel with ten thousand of them does not delay the others.

mod mark;
pub(crate) mod registry;

use std::sync::Arc;

use tautline_engine::{
    Entry, LogState, Page, Position, StatResult,
    budget::{Claim, Holder},
};
use tautline_protocol::{
    ChannelName, Cursor, ReadFrom,
    packet::server::{Gap, GapReason, Roster, Subscribed},
};

use self::mark::Mark;
use crate::{
    Identity, PresenceMode,
    budgets::Budgets,
    events::EventsAt,
    limits::HubLimits,
    mailbox::PeerMailbox,
    packets::Packets,
    presence::{NO_READER, Presence},
    session::id::SessionId,
    sync::{AtomicUsize, Mutex, lock},
    tail::{AppendOutcome, LogTail, ResumePoint, TailRead},
};

/// Subscribers notified before the pump continues with the next channel.
const NOTIFY_CHUNK: usize = 256;

/// A channel with subscribers, or with one about to subscribe.
pub(crate) struct Channel {
    pub(crate) name: ChannelName,
    /// Distinguishes it from earlier, dropped channels of the same name.
    pub(crate) number: u64,
    /// What the channel tells of its members, from its first use to its last.
    pub(crate) presence: PresenceMode,
    /// The bytes of all tails of the node.
    tail_bytes: Arc<AtomicUsize>,
    /// The channel's share of the budget of channels, held by its opener.
    _claim: Claim,
    state: Mutex<State>,
}

struct State {
    /// `None` until the engine has reported the log's state.
    tail: Option<LogTail>,
    /// Publications appended before that.
    early_entries: Vec<AppendedEntry>,
    /// The last offset that was handed to any connection.
    delivered: u64,
    /// The `delivered` offset that the engine was last given.
    delivered_saved: u64,
    subscribers: Vec<Option<Subscriber>>,
    free: Vec<u32>,
    presence: Option<Box<Presence>>,
    /// The next subscriber to notify; `None` while no fan-out is running.
    fan_out_at: Option<usize>,
    /// A publication arrived during the fan-out: notify every subscriber once more.
    repeat_fan_out: bool,
    /// While the engine is read because of a hint: the highest head that any hint has named.
    hinted: Option<u64>,
}

struct Subscriber {
    mailbox: Arc<PeerMailbox>,
    /// The subscription's slot at its connection.
    slot: u32,
    mark: Mark,
}

// There is one for each subscription of a node.
const _: () = assert!(size_of::<Option<Subscriber>>() <= 16);

/// Figures of a channel.
#[derive(Default)]
pub(crate) struct ChannelFigures {
    pub(crate) subscribers: usize,
    pub(crate) tail_bytes: usize,
    /// Publications that the slowest reader has not read.
    pub(crate) slowest_lag: u64,
}

/// Identifies a subscriber within the channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubscriberSlot(u32);

/// The start position of a new or moved subscription.
pub(crate) struct SubscribeOutcome {
    pub(crate) subscribed: Subscribed,
    pub(crate) gap: Option<Gap>,
    pub(crate) position: ReaderPosition,
    /// The channel had no subscriber before.
    pub(crate) is_first: bool,
}

/// The position of a reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReaderPosition {
    /// The last offset read.
    pub(crate) offset: u64,
    /// The log's generation in which it was read.
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

/// The result of one read.
#[derive(Default)]
pub(crate) struct Delivery {
    /// Publications.
    pub(crate) packets: Option<Packets>,
    pub(crate) gap: Option<Gap>,
    /// More data is available: read again.
    pub(crate) more: bool,
    /// The next publications have to be read from the engine first.
    pub(crate) behind: bool,
}

/// Whether the pump has subscribers left to notify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum FanOut {
    Done,
    Pending,
}

impl Channel {
    /// A channel whose log state is not yet known.
    pub(crate) fn new(
        name: ChannelName,
        number: u64,
        presence: PresenceMode,
        tail_bytes: Arc<AtomicUsize>,
        claim: Claim,
        budgets: &Budgets,
    ) -> Arc<Self> {
        let state = State {
            tail: None,
            early_entries: Vec::new(),
            delivered: 0,
            delivered_saved: 0,
            subscribers: Vec::new(),
            free: Vec::new(),
            presence: Presence::new(presence, budgets),
            fan_out_at: None,
            repeat_fan_out: false,
            hinted: None,
        };
        Arc::new(Self { name, number, presence, tail_bytes, _claim: claim, state: Mutex::new(state) })
    }

    /// Applies a publication that the engine has appended. At most `entries_max` stay in memory.
    pub(crate) fn apply(
        &self,
        appended: AppendedEntry,
        limits: &HubLimits,
        entries_max: usize,
    ) -> (AppendOutcome, FanOut) {
        let mut state = lock(&self.state);
        let Some(tail) = &mut state.tail else {
            state.early_entries.push(appended);
            // Readers that far behind read pages.
            if state.early_entries.len() > limits.tail_entries_max {
                state.early_entries.remove(0);
            }
            return (AppendOutcome::Duplicate, FanOut::Done);
        };
        let outcome = tail.push(appended, limits, entries_max);
        let fan_out = if outcome == AppendOutcome::Applied { state.start_fan_out() } else { FanOut::Done };
        (outcome, fan_out)
    }

    /// Applies the log state that the engine reported; `then` is the tail position when the engine was asked.
    pub(crate) fn apply_state(
        &self,
        log_state: &LogState,
        then: Option<TailPosition>,
        limits: &HubLimits,
    ) -> FanOut {
        let mut state = lock(&self.state);
        let state = &mut *state;
        let early = std::mem::take(&mut state.early_entries);
        match &mut state.tail {
            Some(tail) => {
                // If the generation has changed since, the engine's result may describe the log before.
                let then = then.filter(|then| then.generation == tail.generation());
                let is_another =
                    |then: TailPosition| then.head == log_state.head && then.head_at != log_state.head_at;
                // A different publication at the old head counts as one publication less.
                let head_then = then.map(|then| then.head + u64::from(is_another(then)));
                if head_then.is_some_and(|head_then| tail.apply_state(log_state, head_then)) {
                    return state.start_fan_out();
                }
            }
            None => {
                let tail = state.tail.insert(LogTail::new(log_state, Arc::clone(&self.tail_bytes)));
                for appended in early {
                    // Publications that the engine reported before and after it was asked.
                    if appended.epoch != log_state.epoch || appended.entry.offset() > log_state.head {
                        tail.push(appended, limits, usize::MAX);
                    }
                }
            }
        }
        FanOut::Done
    }

    /// The tail position; `None` before the engine has reported the log's state.
    pub(crate) fn tail_position(&self) -> Option<TailPosition> {
        lock(&self.state).tail.as_ref().map(|tail| TailPosition {
            head: tail.head(),
            head_at: tail.head_at(),
            generation: tail.generation(),
        })
    }

    /// The log's epoch; `None` before the engine has reported the log's state.
    pub(crate) fn epoch(&self) -> Option<Arc<str>> {
        lock(&self.state).tail.as_ref().map(|tail| Arc::clone(tail.epoch()))
    }

    /// The cached position for a subscription that starts at `from`; `None` if the engine has to be asked.
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

    /// Subscribes a connection from a position on, and adds its session to the roster.
    pub(crate) fn subscribe(
        &self,
        who: &SubscribeParams<'_>,
        from: &ReadFrom,
        evidence: ResumeEvidence<'_>,
    ) -> Result<(SubscriberSlot, u64, SubscribeOutcome, FanOut), SubscribeError> {
        let mut state = lock(&self.state);
        let outcome = state.resolve_start(&self.name, from, evidence).ok_or(SubscribeError::NotLoaded)?;
        let changed = match &mut state.presence {
            Some(presence) => presence
                .set_online(&self.name, (who.session, who.holder), who.identity, who.wall_ms)
                .ok_or(SubscribeError::RosterFull)?,
            None => false,
        };
        let outcome = SubscribeOutcome { is_first: state.is_vacant(), ..outcome };
        if let Some(events) = who.events.filter(|_| outcome.is_first) {
            events.channel_occupied(&self.name);
        }
        let subscriber = state.add_subscriber(Subscriber {
            mailbox: Arc::clone(who.mailbox),
            slot: who.slot,
            mark: Mark::new(true, outcome.position.offset),
        });
        let fan_out = if changed { state.start_fan_out() } else { FanOut::Done };
        let presence = state.presence.as_mut().filter(|_| who.sees_presence);
        let presence_seen = presence.map_or(NO_READER, |presence| presence.add_reader());
        Ok((subscriber, presence_seen, outcome, fan_out))
    }

    /// Moves an existing subscription. `None`: the engine has to be asked first.
    pub(crate) fn move_subscription(
        &self,
        subscriber: SubscriberSlot,
        from: &ReadFrom,
        evidence: ResumeEvidence<'_>,
    ) -> Option<SubscribeOutcome> {
        let mut state = lock(&self.state);
        let outcome = state.resolve_start(&self.name, from, evidence)?;
        state.set_mark(subscriber, Mark::new(true, outcome.position.offset));
        Some(outcome)
    }

    /// Reads the subscriber's new publications: advances its positions, appends presence changes to `out`.
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
        // The page store notifies a reader that waits for a page.
        let is_notified = delivery.more || delivery.behind;
        state.set_mark(subscriber, Mark::new(is_notified, position.offset));
        delivery
    }

    /// Advances a subscriber past a page. Returns true if more data is available.
    pub(crate) fn read_page(&self, subscriber: SubscriberSlot, to: u64) -> bool {
        let mut state = lock(&self.state);
        state.delivered = state.delivered.max(to);
        let more = state.tail.as_ref().is_some_and(|tail| to < tail.head());
        state.set_mark(subscriber, Mark::new(more, to));
        more
    }

    /// Takes a hint that the log has come to `head`. True: read what is behind the tail, then call
    /// [`Self::end_hint`].
    pub(crate) fn take_hint(&self, head: u64) -> bool {
        let mut state = lock(&self.state);
        if state.tail.as_ref().is_none_or(|tail| head <= tail.head()) {
            return false;
        }
        let begins = state.hinted.is_none();
        state.hinted = state.hinted.max(Some(head));
        begins
    }

    /// The engine was read behind `head_then`. True: read again, because that has brought something and hints
    /// named more.
    pub(crate) fn end_hint(&self, head_then: Option<u64>) -> bool {
        let mut state = lock(&self.state);
        let head = state.tail.as_ref().map(|tail| tail.head());
        let reads_on = head > head_then && head < state.hinted;
        if !reads_on {
            state.hinted = None;
        }
        reads_on
    }

    /// Compares a page that the engine read behind `after` with the tail. The page must not be delivered if
    /// the result is false.
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

    /// Ends a subscription that has read presence up to `presence_seen`. True: it was the last one.
    pub(crate) fn remove_subscriber(
        &self,
        subscriber: SubscriberSlot,
        presence_seen: u64,
        events: Option<EventsAt<'_>>,
    ) -> bool {
        let mut state = lock(&self.state);
        if state.subscribers[subscriber.0 as usize].take().is_some() {
            state.free.push(subscriber.0);
            if let Some(presence) = &mut state.presence {
                presence.remove_reader(presence_seen);
            }
            if let Some(events) = events.filter(|_| state.is_vacant()) {
                events.channel_vacated(&self.name);
            }
        }
        if state.is_vacant() {
            state.subscribers = Vec::new();
            state.free = Vec::new();
        }
        state.subscribers.is_empty()
    }

    /// Notifies the next chunk. Returns false once every subscriber was notified.
    pub(crate) fn notify_chunk(&self) -> bool {
        lock(&self.state).notify_chunk()
    }

    /// Changes the roster, and notifies subscribers if the closure asks for it.
    pub(crate) fn with_presence(&self, change: impl FnOnce(&mut Presence, &ChannelName) -> bool) -> FanOut {
        let mut state = lock(&self.state);
        let changed = state.presence.as_mut().is_some_and(|presence| change(presence, &self.name));
        if changed { state.start_fan_out() } else { FanOut::Done }
    }

    /// The roster; `None` if the channel keeps none.
    pub(crate) fn roster(&self, members_max: usize, bytes_max: usize) -> Option<Roster> {
        lock(&self.state).presence.as_ref().map(|presence| presence.roster(members_max, bytes_max))
    }

    /// The number of members; `None` if the channel keeps no roster.
    pub(crate) fn members(&self) -> Option<usize> {
        lock(&self.state).presence.as_ref().map(|presence| presence.members())
    }

    /// A subscriber that has seen so many changes of the roster may see them from now on, or no longer.
    pub(crate) fn set_presence_reader(&self, seen: &mut u64, sees: bool) {
        let mut state = lock(&self.state);
        let Some(presence) = &mut state.presence else { return };
        match (*seen == NO_READER, sees) {
            (true, true) => *seen = presence.add_reader(),
            (false, false) => presence.remove_reader(std::mem::replace(seen, NO_READER)),
            _ => {}
        }
    }

    /// The figures of this moment. Looks at every subscriber, at a chunk of them under the lock.
    pub(crate) fn figures(&self) -> ChannelFigures {
        let (mut figures, mut from) = (ChannelFigures::default(), 0);
        loop {
            let state = lock(&self.state);
            let (head, tail_bytes) = state.tail.as_ref().map_or((0, 0), |tail| (tail.head(), tail.bytes()));
            let to = state.subscribers.len().min(from + NOTIFY_CHUNK);
            let chunk = state.subscribers.get(from..to).unwrap_or_default();
            let lags = chunk.iter().flatten().map(|subscriber| subscriber.mark.lag(head));
            figures.slowest_lag = lags.max().unwrap_or_default().max(figures.slowest_lag);
            (figures.subscribers, figures.tail_bytes) =
                (state.subscribers.len() - state.free.len(), tail_bytes);
            if to == state.subscribers.len() {
                return figures;
            }
            from = to;
        }
    }

    /// The number of subscribed connections.
    pub(crate) fn subscribers(&self) -> usize {
        let state = lock(&self.state);
        state.subscribers.len() - state.free.len()
    }

    /// The last position delivered to any connection; `None` before the first.
    pub(crate) fn delivered(&self) -> Option<Position> {
        let state = lock(&self.state);
        let epoch = Arc::clone(state.tail.as_ref()?.epoch());
        (state.delivered > 0).then_some(Position { epoch, offset: state.delivered })
    }

    /// The same, if it has risen since the last call.
    pub(crate) fn take_delivered(&self) -> Option<Position> {
        let mut state = lock(&self.state);
        if state.delivered_saved == state.delivered {
            return None;
        }
        state.delivered_saved = state.delivered;
        let epoch = Arc::clone(state.tail.as_ref()?.epoch());
        Some(Position { epoch, offset: state.delivered })
    }

    /// Drops expired publications.
    pub(crate) fn expire(&self, wall_ms: u64, age_ms: u64) {
        if let Some(tail) = &mut lock(&self.state).tail {
            tail.expire(wall_ms, age_ms);
        }
    }
}

/// A position in the cached tail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TailPosition {
    /// The last offset that the engine reported.
    pub(crate) head: u64,
    /// When the publication at `head` was appended.
    pub(crate) head_at: u64,
    /// The log's generation.
    pub(crate) generation: u32,
}

/// A reader's position as cached when its lookup began; the tail may have evicted it since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CachedPosition {
    /// When the publication at its offset was appended.
    pub(crate) at: Option<u64>,
    /// The log's generation in which it was cached.
    pub(crate) generation: u32,
}

/// Evidence for a reader's resume position, from the engine or from memory.
#[derive(Clone, Copy, Default)]
pub(crate) struct ResumeEvidence<'a> {
    pub(crate) stat: Option<&'a StatResult>,
    /// The cached position when the lookup began.
    pub(crate) cached: Option<CachedPosition>,
    /// True if the tail was loaded when the lookup began.
    pub(crate) had_tail: bool,
}

/// Why a connection is not subscribed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubscribeError {
    /// The engine has to be asked first.
    NotLoaded,
    /// The session's holder has its share of the members of all rosters.
    RosterFull,
}

/// A connection's request to subscribe.
pub(crate) struct SubscribeParams<'a> {
    pub(crate) mailbox: &'a Arc<PeerMailbox>,
    pub(crate) slot: u32,
    pub(crate) session: SessionId,
    pub(crate) holder: Holder,
    pub(crate) identity: &'a Arc<Identity>,
    /// Whether the client may see presence.
    pub(crate) sees_presence: bool,
    pub(crate) wall_ms: u64,
    pub(crate) events: Option<EventsAt<'a>>,
}

/// A reader's positions in the log and the presence changes.
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
            is_first: false,
        })
    }

    /// True if there is no subscriber.
    fn is_vacant(&self) -> bool {
        self.free.len() == self.subscribers.len()
    }

    fn set_mark(&mut self, slot: SubscriberSlot, mark: Mark) {
        if let Some(Some(subscriber)) = self.subscribers.get_mut(slot.0 as usize) {
            subscriber.mark = mark;
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
        let slot = u32::try_from(self.subscribers.len()).expect("fewer than 2^32 connections");
        self.subscribers.push(Some(subscriber));
        SubscriberSlot(slot)
    }

    /// Notifies the first chunk at once, so that a small channel never waits for the pump.
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
            if !subscriber.mark.is_notified() {
                subscriber.mark.set_notified();
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
