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
    journal::Replayed,
    log::data_of,
    queue::{Place, WaveItem},
    tracking::Tracking,
};
use crate::{
    Hub,
    sync::{Mutex, lock},
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
        let mut events =
            Events { node: self.node().to_owned(), logs, tracking: None, pump: Mutex::default() };
        if EventKind::ALL.into_iter().any(|kind| kind.is_tracked() && events.wants(kind)) {
            events.tracking = Some(Tracking::new(self.hub_limits(), self.random().id()));
        }
        self.0.events.set(events).map_err(|_| InvalidEvents::Twice)?;
        if let Some(waker) = self.pump_waker() {
            self.set_events_waker(&waker);
        }
        if self.tracking().is_some() {
            self.read_journal(Replayed::default(), 0);
        }
        Ok(())
    }

    fn tracking(&self) -> Option<&Tracking> {
        self.0.events.get()?.tracking.as_ref()
    }

    /// Reads the journal of the process before, behind an offset.
    fn read_journal(&self, mut replayed: Replayed, after: u64) {
        let Some(tracking) = self.tracking() else { return };
        let (hub, now) = (self.clone(), self.last_now());
        let answer = Answer::new(move |page: Result<Page, EngineError>| {
            let Some(tracking) = hub.tracking() else { return };
            let Ok(page) = page else {
                *lock(&tracking.unread) = Some((replayed, after));
                return;
            };
            page.entries.iter().filter_map(data_of).for_each(|line| replayed.take(&line));
            match page.entries.last().map(Entry::offset) {
                Some(last) => hub.read_journal(replayed, last),
                None => {
                    let Some(at) = hub.events() else { return };
                    let ended_at = match hub.engine().last_run_ms() {
                        0 => at.now.wall_ms,
                        known => known,
                    };
                    at.load(ended_at, hub.limits().park_ms, replayed);
                }
            }
        });
        self.engine().submit(Job::Read(Read {
            channel: tracking.store.channel.clone(),
            span: Span::After(after),
            count_max: JOURNAL_PAGE,
            bytes_max: usize::MAX,
            holder: Holder::BACK_END,
            retention: Retention { count: usize::MAX, bytes: usize::MAX, age_ms: u64::MAX },
            wall_ms: now.wall_ms,
            answer,
        }));
    }

    /// Hands the next events of each log to the engine. Returns true if more are ready.
    pub(crate) fn submit_events(&self) -> bool {
        let Some(events) = self.0.events.get() else { return false };
        let journal = events.tracking.as_ref().filter(|tracking| tracking.is_loaded());
        // The journal last: an event of a session is rather stored twice than never.
        let logs = (0..events.logs.len()).map(LogIndex::Recorded).chain(journal.map(|_| LogIndex::Journal));
        let mut is_ready = false;
        for index in logs {
            let Some(log) = events.log(index) else { continue };
            let wave = lock(&log.queue).begin_wave(WAVE_MAX);
            wave.into_iter().for_each(|item| self.submit_event(index, log.channel.clone(), item));
            is_ready |= lock(&log.queue).is_ready();
        }
        is_ready
    }

    fn submit_event(&self, log: LogIndex, channel: ChannelName, item: WaveItem) {
        let WaveItem { index, key, data, expect } = item;
        let (hub, now) = (self.clone(), self.last_now());
        let retention = self.retention_of(now, &channel);
        self.engine().submit(Job::Append(Append {
            channel,
            content: Content { data, from: None, tags: None },
            origin: Some(Origin::Key(key)),
            doubt: None,
            expect: expect.map(|place| Position { epoch: place.epoch, offset: place.offset }),
            holder: Holder::BACK_END,
            retention,
            wall_ms: now.wall_ms,
            answer: Answer::new(move |outcome: Result<Appended, EngineError>| {
                hub.settle_event(log, index, outcome.ok().map(place_of));
            }),
        }));
    }

    fn settle_event(&self, log: LogIndex, index: usize, place: Option<Place>) {
        let Some(events) = self.0.events.get() else { return };
        let Some(log) = events.log(log) else { return };
        let mut queue = lock(&log.queue);
        let (is_stored, is_ready) = (queue.settle(index, place), queue.is_ready());
        drop(queue);
        if is_ready {
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
        if let Some((replayed, after)) = unread {
            self.read_journal(replayed, after);
        }
        at.tick_tracker();
        self.check_inboxes(at);
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

fn place_of(appended: Appended) -> Place {
    match appended {
        Appended::New { epoch, entry, .. } => Place { epoch, offset: entry.offset() },
        Appended::Repeated { epoch, offset, .. } => Place { epoch, offset },
    }
}
