//! Publications that may be in a log without an event: their event comes once the engine knows.
//!
//! Start at [`Hub::note_doubt`] and [`Hub::tell_repeated`]. An append whose outcome the engine did not know is looked
//! for by its origin, and so is one of the process before that is repeated now.

use std::collections::VecDeque;

use tautline_engine::{
    Answer, Append, Appended, Content, Doubt, EngineError, Job, Origin, Page, Position, Read, Span,
    budget::Holder,
};
use tautline_protocol::{ChannelName, Now};

use super::{EventKind, Events, EventsAt};
use crate::{Hub, sync::lock};

/// Appends in doubt that are remembered; beyond it the oldest is forgotten.
const DOUBTS_MAX: usize = 10_000;
/// How many of them one tick looks for.
const PROBES_A_TICK: usize = 100;
/// How often the engine may say once more that it does not know.
const TRIES_MAX: u32 = 60;
/// So long before its end the process before may have appended without an event.
const LAST_MS: u64 = 60_000;

/// Appends in doubt.
pub(super) struct Doubts {
    waiting: VecDeque<DoubtfulAppend>,
    /// When this process began to record events, in wall milliseconds.
    began_ms: u64,
}

/// An append that may have happened without an event.
pub(crate) struct DoubtfulAppend {
    channel: ChannelName,
    origin: Origin,
    doubt: Option<Doubt>,
    tries: u32,
}

impl Doubts {
    pub(super) const fn new(now: Now) -> Self {
        Self { waiting: VecDeque::new(), began_ms: now.wall_ms }
    }

    fn add(&mut self, append: DoubtfulAppend) {
        if self.waiting.len() >= DOUBTS_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(append);
    }

    fn take_some(&mut self) -> Vec<DoubtfulAppend> {
        let count = self.waiting.len().min(PROBES_A_TICK);
        self.waiting.drain(..count).collect()
    }
}

impl DoubtfulAppend {
    pub(crate) fn new(channel: &ChannelName, origin: Origin, doubt: Option<Doubt>) -> Self {
        Self { channel: channel.clone(), origin, doubt, tries: 0 }
    }
}

impl Events {
    /// True if an event tells of the publications in this channel.
    fn tells_of(&self, channel: &ChannelName) -> bool {
        let has_event = |log: &super::RecordedLog| {
            let config = &log.config;
            config.events.contains(EventKind::MessagePublished) && config.is_about(channel)
                || channel.is_user() && config.events.contains(EventKind::InboxUnread)
        };
        self.logs.iter().any(has_event)
    }
}

impl Hub {
    /// An origin for an append without one, where its event asks for one: by it the append is found later.
    pub(crate) fn origin_of(&self, channel: &ChannelName, origin: Option<Origin>) -> Option<Origin> {
        let is_needed = || self.0.events.get().is_some_and(|events| events.tells_of(channel));
        origin.or_else(|| is_needed().then(|| Origin::Key(self.random().id())))
    }

    /// The engine does not know whether an append has happened.
    pub(crate) fn note_doubt(&self, append: DoubtfulAppend) {
        let Some(events) = self.0.events.get() else { return };
        if events.tells_of(&append.channel) {
            lock(&events.doubts).add(append);
        }
    }

    /// An append was a repetition. If the process before made the first one just before its end, its event may be
    /// missing.
    pub(crate) fn tell_repeated(&self, append: DoubtfulAppend, offset: u64, at: u64) {
        let Some(events) = self.0.events.get() else { return };
        let is_of_before = at < lock(&events.doubts).began_ms && at + LAST_MS >= self.engine().last_run_ms();
        if is_of_before && events.tells_of(&append.channel) {
            self.tell_stored(append, offset);
        }
    }

    /// About once a second: looks for some of the appends in doubt.
    pub(super) fn check_doubts(&self, at: EventsAt<'_>) {
        let some = lock(&at.events.doubts).take_some();
        some.into_iter().for_each(|append| self.look_for(append));
    }

    /// Appends once more, where it cannot succeed: the engine recognises what is there by its origin.
    fn look_for(&self, append: DoubtfulAppend) {
        let (hub, now) = (self.clone(), self.last_now());
        let DoubtfulAppend { channel, origin, doubt, tries } = append;
        let of_request =
            || matches!(origin, Origin::Request { .. }).then_some(Doubt { session_incarnation: 0 });
        let again = DoubtfulAppend { tries: tries + 1, ..DoubtfulAppend::new(&channel, origin, doubt) };
        let retention = self.retention_of(now, &channel);
        self.engine().submit(Job::Append(Append {
            channel,
            content: Content { data: "null".into(), from: None, tags: None },
            origin: Some(origin),
            doubt: doubt.or_else(of_request),
            // No log has this head.
            expect: Some(Position { epoch: "".into(), offset: 0 }),
            holder: Holder::BACK_END,
            retention,
            wall_ms: now.wall_ms,
            answer: Answer::new(move |outcome: Result<Appended, EngineError>| match outcome {
                Ok(Appended::Repeated { offset, .. }) => hub.tell_stored(again, offset),
                // It is not there.
                Ok(Appended::New { .. }) | Err(EngineError::Conflict { .. }) => {}
                Err(EngineError::InDoubt(_)) if again.tries >= TRIES_MAX => {}
                Err(_) => hub.note_doubt(again),
            }),
        }));
    }

    /// Adds the event of a publication that is in its log.
    fn tell_stored(&self, append: DoubtfulAppend, offset: u64) {
        let (hub, now) = (self.clone(), self.last_now());
        let channel = append.channel.clone();
        let answer = Answer::new(move |page: Result<Page, EngineError>| {
            let Ok(page) = page else { return hub.note_doubt(append) };
            let entry = page.entries.first().filter(|entry| entry.offset() == offset);
            if let (Some(entry), Some(events)) = (entry, hub.events()) {
                events.published(&append.channel, &page.log.epoch, entry);
            }
        });
        self.engine().submit(Job::Read(Read {
            retention: self.retention_of(now, &channel),
            channel,
            span: Span::After(offset.saturating_sub(1)),
            count_max: 1,
            bytes_max: usize::MAX,
            holder: Holder::BACK_END,
            wall_ms: now.wall_ms,
            answer,
        }));
    }
}
