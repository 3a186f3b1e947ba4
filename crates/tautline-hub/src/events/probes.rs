//! Looks for publications that may be in a log without an event.
//!
//! Start at [`Hub::note_doubt`] and [`Hub::tell_repeated`]. An append whose outcome the engine did not know is looked
//! for by its origin, and so is one of the process before that is repeated now.

use tautline_engine::{
    Answer, Append, Appended, Content, Doubt, EngineError, Job, Origin, Page, Position, Read, Span,
    budget::Holder,
};
use tautline_protocol::ChannelName;

use super::{EventKind, Events, EventsAt, doubts::DoubtfulAppend};
use crate::{Hub, sync::lock};

/// How often the engine may say once more that it does not know.
const TRIES_MAX: u32 = 60;
/// So long before its end the process before may have appended without an event.
const LAST_MS: u64 = 60_000;

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

    /// An append has happened now, and is told as such: one of the same origin that was in doubt had not.
    pub(crate) fn settle_doubt(&self, channel: &ChannelName, origin: Origin) {
        let Some(events) = self.0.events.get() else { return };
        let mut doubts = lock(&events.doubts);
        if !doubts.open.is_empty() {
            doubts.settle(&(channel.clone(), origin));
        }
    }

    fn put_back_doubt(&self, append: DoubtfulAppend) {
        if let Some(events) = self.0.events.get() {
            lock(&events.doubts).put_back(append);
        }
    }

    /// An append was a repetition. If the process before made the first one just before its end, its event may be
    /// missing; it is told once. Where the engine does not know when that process ended, nothing is: any repetition of
    /// an old append would be one. `answer` is given once its event is stored.
    pub(crate) fn tell_repeated(
        &self,
        append: DoubtfulAppend,
        offset: u64,
        at: u64,
        answer: impl FnOnce() + Send + 'static,
    ) {
        match self.is_told_again(&append, at) {
            true => self.tell_stored(append, offset, answer),
            false => self.when_told(&append.channel, answer),
        }
    }

    fn is_told_again(&self, append: &DoubtfulAppend, at: u64) -> bool {
        let Some(events) = self.0.events.get() else { return false };
        if lock(&events.doubts).open.contains(&append.key()) {
            // The first one is in doubt, or its event is on its way: one of the two tells it.
            return true;
        }
        let ended_ms = self.engine().last_run_ms();
        if ended_ms == 0 || at.saturating_add(LAST_MS) < ended_ms || !events.tells_of(&append.channel) {
            return false;
        }
        let mut doubts = lock(&events.doubts);
        at < doubts.began_ms && doubts.begin_repeated(append.key())
    }

    /// About once a second: looks for some of the appends in doubt.
    pub(super) fn check_doubts(&self, at: EventsAt<'_>) {
        let mut doubts = lock(&at.events.doubts);
        let (some, lost) = (doubts.take_some(), std::mem::take(&mut doubts.lost));
        drop(doubts);
        let telling =
            |log: &&super::RecordedLog| log.config.events.contains(EventKind::MessagePublished) && lost > 0;
        for log in at.events.logs.iter().filter(telling) {
            at.push(&log.store, at.lost_event(lost));
        }
        some.into_iter().for_each(|append| self.look_for(append));
    }

    /// Appends once more, where it cannot succeed: the engine recognises what is there by its origin.
    fn look_for(&self, append: DoubtfulAppend) {
        let (hub, now) = (self.clone(), self.last_now());
        let DoubtfulAppend { channel, origin, doubt, tries, trace } = append;
        let of_request =
            || matches!(origin, Origin::Request { .. }).then_some(Doubt { session_incarnation: 0 });
        let again =
            DoubtfulAppend { tries: tries + 1, trace, ..DoubtfulAppend::new(&channel, origin, doubt) };
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
                Ok(Appended::Repeated { offset, .. }) => hub.tell_stored(again, offset, || {}),
                // It is not there.
                Ok(Appended::New { .. }) | Err(EngineError::Conflict { .. }) => {
                    hub.settle_doubt(&again.channel, origin);
                }
                Err(EngineError::InDoubt(_)) if again.tries >= TRIES_MAX => {
                    hub.settle_doubt(&again.channel, origin);
                }
                Err(_) => hub.put_back_doubt(again),
            }),
        }));
    }

    /// Adds the event of a publication that is in its log. `then` is called when it is stored, or cannot be told now.
    fn tell_stored(&self, append: DoubtfulAppend, offset: u64, then: impl FnOnce() + Send + 'static) {
        let (hub, now) = (self.clone(), self.last_now());
        let channel = append.channel.clone();
        let answer = Answer::new(move |page: Result<Page, EngineError>| {
            let Ok(page) = page else {
                hub.put_back_doubt(append);
                return then();
            };
            let entry = page.entries.first().filter(|entry| entry.offset() == offset);
            let Some(events) = hub.events() else { return then() };
            let is_open = lock(&events.events.doubts).settle(&append.key());
            if let Some(entry) = entry.filter(|_| is_open) {
                events.published(&append.channel, &page.log.epoch, entry, append.trace);
            }
            hub.when_told(&append.channel, then);
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
