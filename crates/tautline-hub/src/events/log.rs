//! A log of events as its reader sees it: pages, its standing, and the position of the reader.
//!
//! Start at [`Hub::event_log`].

use std::{sync::Arc, task::Waker};

use serde::Deserialize;
use serde_json::value::RawValue;
use tautline_engine::{
    Answer, EngineError, Entry, Job, LogState, Page, Position, PositionUpdate, Read, SavePositions, Span,
    StatRequest, StatResult, budget::Holder,
};
use tautline_protocol::Now;

use super::RecordedLog;
use crate::{Hub, sync::lock};

/// The log of one webhook. Cheap to clone.
#[derive(Clone)]
pub struct EventLog {
    hub: Hub,
    index: usize,
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place in the log; the first one has 1, and each next one more.
    pub offset: u64,
    /// When it was stored, in wall milliseconds.
    pub at: u64,
    /// `{"type":…,"timestamp":…,"data":…}`: the same bytes whenever it is read.
    pub body: Box<str>,
}

/// A part of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// The state of the log.
    pub log: LogState,
    /// The events behind the offset, as far as they are kept.
    pub events: Vec<StoredEvent>,
}

/// How a log and its reader stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLogStanding {
    /// The state of the log.
    pub log: LogState,
    /// The last event that its reader has done; `None` before the first.
    pub position: Option<Position>,
}

/// Figures of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventLogFigures {
    /// The last event that this process has stored; `None` before the first.
    pub stored: Option<Position>,
    /// Events that the engine has not stored.
    pub waiting: usize,
    /// Events dropped since the start of the process, for lack of room.
    pub lost: u64,
}

impl Hub {
    /// The log with this name; `None` where none is recorded.
    #[must_use]
    pub fn event_log(&self, name: &str) -> Option<EventLog> {
        let index = self.0.events.get()?.logs.iter().position(|log| log.config.name == name)?;
        Some(EventLog { hub: self.clone(), index })
    }
}

impl EventLog {
    fn recorded(&self) -> &RecordedLog {
        &self.hub.0.events.get().expect("event_log() found it").logs[self.index]
    }

    /// The name of the log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.recorded().config.name
    }

    /// Wakes this when an event was stored.
    pub fn set_waker(&self, waker: &Waker) {
        *lock(&self.recorded().store.reader) = Some(waker.clone());
    }

    /// Current figures.
    #[must_use]
    pub fn figures(&self) -> EventLogFigures {
        let queue = lock(&self.recorded().store.queue);
        EventLogFigures { stored: queue.stored().cloned(), waiting: queue.waiting(), lost: queue.lost_ever() }
    }

    /// Reads the events behind `after`: at most so many of them, and so many bytes, but one at least. `done` is
    /// called once, from any thread.
    pub fn read(
        &self,
        now: Now,
        after: u64,
        (count_max, bytes_max): (usize, usize),
        done: impl FnOnce(Result<EventPage, EngineError>) + Send + 'static,
    ) {
        let channel = self.recorded().store.channel.clone();
        let retention = self.hub.retention_of(now, &channel);
        let answer = Answer::new(move |page: Result<Page, EngineError>| {
            done(page.map(|page| EventPage {
                events: page.entries.iter().filter_map(stored_event).collect(),
                log: page.log,
            }));
        });
        self.hub.engine().submit(Job::Read(Read {
            channel,
            span: Span::After(after),
            count_max,
            bytes_max,
            holder: Holder::BACK_END,
            retention,
            wall_ms: now.wall_ms,
            answer,
        }));
    }

    /// Asks how the log and its reader stand. `done` is called once, from any thread.
    pub fn standing(
        &self,
        now: Now,
        done: impl FnOnce(Result<EventLogStanding, EngineError>) + Send + 'static,
    ) {
        let channel = self.recorded().store.channel.clone();
        let retention = self.hub.retention_of(now, &channel);
        let answer = Answer::new(move |stat: Result<StatResult, EngineError>| {
            done(stat.map(|stat| EventLogStanding { log: stat.log, position: stat.delivered }));
        });
        self.hub.engine().submit(Job::Stat(StatRequest {
            channel,
            offset: None,
            user: None,
            holder: Holder::BACK_END,
            retention,
            wall_ms: now.wall_ms,
            answer,
        }));
    }

    /// Has the engine keep the position of the reader. In one epoch the highest one counts. `done` is called once,
    /// from any thread: where it was not kept, the reader begins at an earlier one after a restart.
    pub fn save_position(
        &self,
        epoch: &Arc<str>,
        offset: u64,
        done: impl FnOnce(Result<(), EngineError>) + Send + 'static,
    ) {
        let channel = self.recorded().store.channel.clone();
        let position = Position { epoch: Arc::clone(epoch), offset };
        let updates = vec![PositionUpdate { channel, user: None, position }];
        self.hub.engine().submit(Job::SavePositions(SavePositions { updates, answer: Answer::new(done) }));
    }
}

impl std::fmt::Debug for EventLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("EventLog").field(&self.name()).finish()
    }
}

fn stored_event(entry: &Entry) -> Option<StoredEvent> {
    Some(StoredEvent { offset: entry.offset(), at: entry.at(), body: data_of(entry)? })
}

/// What was appended, byte for byte.
pub(super) fn data_of(entry: &Entry) -> Option<Box<str>> {
    #[derive(Deserialize)]
    struct Packet<'a> {
        #[serde(rename = "pub", borrow)]
        publication: Publication<'a>,
    }
    #[derive(Deserialize)]
    struct Publication<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let packet: Packet<'_> = serde_json::from_slice(entry.line()).ok()?;
    Some(packet.publication.data.get().into())
}
