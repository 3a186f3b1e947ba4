//! Events on their way between the queues and the engine.
//!
//! Start at [`Hub::record_events`] and [`Hub::submit_events`]. No lock is held while the engine is called: it may
//! answer at once.

use std::task::Waker;

use tautline_engine::{
    Answer, Append, Appended, Content, EngineError, Entry, Job, Origin, Page, Position, Read, Retention,
    Span, budget::Holder,
};
use tautline_protocol::{ChannelName, Now};

use super::{
    EventKind, Events, EventsAt, EventsConfig, InternalLog, InvalidEvents, RecordedLog,
    doubts::Doubts,
    journal::{Mark, Replayed},
    log::data_of,
    queue::WaveItem,
    tracking::{ReadNext, Tracking},
};
use crate::{
    Hub,
    sync::{AtomicU64, Mutex, lock},
};

/// Appends that are submitted before the first of them is answered.
const WAVE_MAX: usize = 256;
/// Entries of the journal that are read at once.
const JOURNAL_PAGE: usize = 1_000;

/// A log of the node.
#[derive(Clone, Copy, Debug)]
enum LogIndex {
    /// Of a webhook.
    Recorded(usize),
    /// Of sessions and users.
    Journal,
}

impl Hub {
    /// Records events from now on. Call once, before there are connections; the sessions of the process before are
    /// then known, as far as the engine has outlived it.
    ///
    /// # Errors
    /// [`InvalidEvents`] where the logs cannot be kept.
    pub fn record_events(&self, now: Now, config: &EventsConfig) -> Result<(), InvalidEvents> {
        config.check()?;
        if config.logs.is_empty() {
            return Ok(());
        }
        self.observe_time(now);
        let bytes_max = self.hub_limits().events_bytes_max;
        let log = |config: &super::EventLogConfig| RecordedLog {
            config: config.clone(),
            store: InternalLog::new(config.channel(), bytes_max, self.random().id()),
        };
        let logs: Box<[RecordedLog]> = config.logs.iter().map(log).collect();
        let mut events = Events {
            node: self.node().to_owned(),
            logs,
            tracking: None,
            pump: Mutex::default(),
            next_number: AtomicU64::new(0),
            doubts: Mutex::new(Doubts::new(now)),
            held: Mutex::default(),
        };
        if EventKind::ALL.into_iter().any(|kind| kind.is_tracked() && events.wants(kind)) {
            events.tracking = Some(Tracking::new(self.hub_limits(), self.random().id()));
        }
        self.0.events.set(events).map_err(|_| InvalidEvents::Twice)?;
        if let Some(waker) = self.pump_waker() {
            self.set_events_waker(&waker);
        }
        if self.tracking().is_some() {
            self.read_before(Replayed::default(), ReadNext::Journal(0));
        }
        Ok(())
    }

    fn tracking(&self) -> Option<&Tracking> {
        self.0.events.get()?.tracking.as_ref()
    }

    /// Reads the journal of the process before, and then what is in the logs behind their marks.
    fn read_before(&self, mut replayed: Replayed, next: ReadNext) {
        let Some(at) = self.events() else { return };
        let (events, Some(tracking)) = (at.events, &at.events.tracking) else { return };
        let (channel, span) = match next {
            ReadNext::Journal(after) => (tracking.store.channel.clone(), Span::After(after)),
            ReadNext::Log(index, after) => {
                let Some(log) = events.logs.get(index) else {
                    let ended_at = Some(self.engine().last_run_ms()).filter(|known| *known > 0);
                    return at.load(ended_at.unwrap_or(at.now.wall_ms), &self.0.limits, replayed);
                };
                let mark = replayed.marks.get(&log.config.name).map_or(0, |mark| mark.offset);
                (log.store.channel.clone(), Span::After(after.unwrap_or(mark)))
            }
        };
        let hub = self.clone();
        let answer = Answer::new(move |page: Result<Page, EngineError>| {
            let Some(events) = hub.0.events.get() else { return };
            let Ok(page) = page else {
                if let Some(tracking) = &events.tracking {
                    *lock(&tracking.unread) = Some((replayed, next));
                }
                return;
            };
            let next = match next {
                ReadNext::Journal(_) => take_lines(&mut replayed, &page),
                ReadNext::Log(index, _) => match events.logs.get(index) {
                    Some(log) => take_events(&mut replayed, index, &log.config.name, &page),
                    None => next,
                },
            };
            hub.read_before(replayed, next);
        });
        self.engine().submit(Job::Read(Read {
            channel,
            span,
            count_max: JOURNAL_PAGE,
            bytes_max: usize::MAX,
            holder: Holder::BACK_END,
            retention: Retention { count: usize::MAX, bytes: usize::MAX, age_ms: u64::MAX },
            wall_ms: at.now.wall_ms,
            answer,
        }));
    }

    /// Hands the next events of each log to the engine. Returns true if more are ready.
    pub(crate) fn submit_events(&self) -> bool {
        let Some(events) = self.0.events.get() else { return false };
        let mut is_ready = false;
        for index in 0..events.logs.len() {
            is_ready |= self.submit_wave(events, LogIndex::Recorded(index), u64::MAX);
        }
        if events.tracking.as_ref().is_some_and(Tracking::is_loaded) {
            // Behind the events that its lines account for: a kill in between has them told twice, rather than never.
            is_ready |= self.submit_wave(events, LogIndex::Journal, events.stored_before());
        }
        is_ready
    }

    /// Hands the next entries of a log to the engine, of those with a number below `before`. True: more are ready.
    fn submit_wave(&self, events: &Events, index: LogIndex, before: u64) -> bool {
        let Some(log) = events.log(index) else { return false };
        let wave = lock(&log.queue).begin_wave(WAVE_MAX, before);
        if !wave.is_empty() {
            let retention = self.retention_of(self.last_now(), &log.channel);
            wave.into_iter().for_each(|item| self.submit_event(index, log.channel.clone(), item, retention));
        }
        lock(&log.queue).is_ready(before)
    }

    fn submit_event(&self, log: LogIndex, channel: ChannelName, item: WaveItem, retention: Retention) {
        let WaveItem { index, key, data, expect } = item;
        let (hub, now) = (self.clone(), self.last_now());
        self.engine().submit(Job::Append(Append {
            channel,
            content: Content { data, from: None, tags: None },
            origin: Some(Origin::Key(key)),
            doubt: None,
            expect,
            holder: Holder::BACK_END,
            retention,
            wall_ms: now.wall_ms,
            answer: Answer::new(move |outcome: Result<Appended, EngineError>| {
                hub.settle_event(log, index, outcome.ok().map(place_of));
            }),
        }));
    }

    fn settle_event(&self, log: LogIndex, index: usize, place: Option<Position>) {
        let Some(events) = self.0.events.get() else { return };
        let Some(log) = events.log(log) else { return };
        let mut queue = lock(&log.queue);
        let (is_stored, is_ready) = (queue.settle(index, place), queue.is_ready(u64::MAX));
        drop(queue);
        if is_stored {
            self.release_answers(events);
        }
        // The journal may have waited for it.
        if is_ready || is_stored && events.tracking.is_some() {
            events.wake_pump();
        }
        if is_stored && let Some(reader) = &*lock(&log.reader) {
            reader.wake_by_ref();
        }
    }

    /// About once a second: tries again what the engine refused, and lets time pass.
    pub(crate) fn tick_events(&self, now: Now) {
        let Some(at) = self.events_at(now) else { return };
        let stores = at.events.logs.iter().map(|log| &log.store);
        for log in stores.chain(at.events.tracking.iter().map(|tracking| &tracking.store)) {
            let mut queue = lock(&log.queue);
            queue.resume();
            queue.report_lost(0, |count| at.lost_event(count));
        }
        let unread = at.events.tracking.as_ref().and_then(|tracking| lock(&tracking.unread).take());
        if let Some((replayed, next)) = unread {
            self.read_before(replayed, next);
        }
        at.tick_tracker();
        self.check_inboxes(at);
        self.check_doubts(at);
        self.release_answers(at.events);
        at.events.wake_pump();
    }

    /// Events that the engine has not stored.
    #[must_use]
    pub fn events_waiting(&self) -> usize {
        let Some(events) = self.0.events.get() else { return 0 };
        let stores = events.logs.iter().map(|log| &log.store);
        let journal = events.tracking.iter().map(|tracking| &tracking.store);
        stores.chain(journal).map(|log| lock(&log.queue).waiting()).sum()
    }
}

/// For the rest of the hub.
impl Hub {
    /// The events at this moment; `None` where none are recorded.
    pub(crate) fn events_at(&self, now: Now) -> Option<EventsAt<'_>> {
        self.0.events.get().map(|events| EventsAt { events, now })
    }

    /// The same at the time of the last input.
    pub(crate) fn events(&self) -> Option<EventsAt<'_>> {
        let events = self.0.events.get()?;
        Some(EventsAt { events, now: self.last_now() })
    }

    /// The retention of a log of the gateway's own.
    pub(crate) fn internal_retention(&self, channel: &ChannelName) -> Retention {
        self.0.events.get().map_or_else(Retention::default, |events| events.retention_of(channel))
    }

    /// The longest age that a log of the gateway's own keeps, in milliseconds.
    pub(crate) fn internal_age_ms_max(&self) -> u64 {
        self.0.events.get().map_or(0, Events::age_ms_max)
    }

    /// Wakes this when an event is ready for the engine.
    pub(crate) fn set_events_waker(&self, waker: &Waker) {
        if let Some(events) = self.0.events.get() {
            *lock(&events.pump) = Some(waker.clone());
        }
    }
}

impl Events {
    fn log(&self, index: LogIndex) -> Option<&InternalLog> {
        match index {
            LogIndex::Recorded(index) => self.logs.get(index).map(|log| &log.store),
            LogIndex::Journal => self.tracking.as_ref().map(|tracking| &tracking.store),
        }
    }
}

fn take_lines(replayed: &mut Replayed, page: &Page) -> ReadNext {
    page.entries.iter().filter_map(data_of).for_each(|line| replayed.take(&line));
    let last = page.entries.last().map(Entry::offset);
    last.map_or(ReadNext::Log(0, None), ReadNext::Journal)
}

/// A log without a mark in this epoch is new to the journal, which accounts for it from its head on. Where the journal
/// has no mark, all logs are read: the process before may have been killed before its first one.
fn take_events(replayed: &mut Replayed, index: usize, name: &str, page: &Page) -> ReadNext {
    let log = &page.log;
    let is_marked = replayed.marks.get(name).is_some_and(|mark| *mark.epoch == *log.epoch);
    let last = page.entries.last().map(Entry::offset);
    if let Some(last) = last.filter(|_| is_marked || !replayed.has_mark) {
        for entry in &page.entries {
            data_of(entry).iter().for_each(|event| replayed.take_event(event, entry.at()));
        }
        return ReadNext::Log(index, Some(last));
    }
    replayed.marks.insert(name.to_owned(), Mark { epoch: log.epoch.to_string(), offset: log.head });
    ReadNext::Log(index + 1, None)
}

fn place_of(appended: Appended) -> Position {
    match appended {
        Appended::New { epoch, entry, .. } => Position { epoch, offset: entry.offset() },
        Appended::Repeated { epoch, offset, .. } => Position { epoch, offset },
    }
}
