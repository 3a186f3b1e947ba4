//! The tracker at work: its facts become events, and its lines go to the journal.
//!
//! Start at [`EventsAt::track`].

use tautline_engine::{Position, Retention};
use tautline_protocol::{ChannelName, Now};

use super::{
    EventsAt, InternalLog,
    body::{SessionData, UserData},
    journal::{JournalLength, JournalLine, Mark, Marks, Replayed},
    kind::EventKind,
    queue::QueueCount,
    tracker::{Absence, Before, EndCause, Fact, Owner, Sink, Tracker},
};
use crate::{
    HubLimits, NodeLimits,
    session::id::SessionId,
    sync::{Mutex, lock},
};

/// Parts of the tracker's work in one tick: others have its lock in between, and the rest waits for the next tick.
const PARTS_A_TICK: usize = 20;

/// Sessions and users, with their journal.
pub(super) struct Tracking {
    state: Mutex<State>,
    pub(super) store: InternalLog,
    /// How far the process before was read, where the engine could not go on.
    pub(super) unread: Mutex<Option<(Replayed, ReadNext)>>,
}

/// What is read next of the process before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadNext {
    /// The journal behind an offset.
    Journal(u64),
    /// The log of a webhook: behind an offset, or else behind its mark.
    Log(usize, Option<u64>),
}

struct State {
    tracker: Tracker,
    length: JournalLength,
    /// As the journal has them.
    marks: Marks,
}

impl Tracking {
    /// The name of the journal's log, without its `$`.
    const LOG: &'static str = "sessions";

    pub(super) fn new(limits: &HubLimits, first_key: u128) -> Self {
        let channel = ChannelName::internal(Self::LOG).expect("a valid name");
        let state =
            State { tracker: Tracker::new(limits), length: JournalLength::default(), marks: Marks::new() };
        Self {
            state: Mutex::new(state),
            store: InternalLog::new(channel, limits.events_bytes_max, first_key),
            unread: Mutex::default(),
        }
    }

    pub(super) fn retention(&self) -> Retention {
        let mut state = lock(&self.state);
        // Nothing is dropped before it was read.
        let kept = state.tracker.is_loaded().then(|| state.length.kept(lock(&self.store.queue).count()));
        let count = kept.map_or(usize::MAX, |kept| kept.max(1));
        Retention { count, bytes: usize::MAX, age_ms: u64::MAX }
    }

    /// True once the journal of the process before was read: until then nothing is added behind it.
    pub(super) fn is_loaded(&self) -> bool {
        lock(&self.state).tracker.is_loaded()
    }
}

impl EventsAt<'_> {
    /// Changes the tracker, if there is one.
    pub(super) fn track(&self, change: impl FnOnce(&mut Tracker, Now, &mut Recorder<'_>)) {
        let Some(tracking) = &self.events.tracking else { return };
        let mut state = lock(&tracking.state);
        let State { tracker, length, marks } = &mut *state;
        change(tracker, self.now, &mut Recorder { at: self, tracking, length, marks });
    }

    /// Takes the whole journal of the process before, which is known to have run at `ended_at`.
    pub(super) fn load(&self, ended_at: u64, limits: &NodeLimits, mut replayed: Replayed) {
        let (lines, marks) = (replayed.lines, replayed.marks.clone());
        let unmarked = std::mem::take(&mut replayed.unmarked);
        let before = Before::new(self.now, ended_at, &limits.hub, replayed);
        self.track(|tracker, now, recorder| {
            recorder.length.load(lines);
            *recorder.marks = marks;
            // First: the next process reads nothing before the marks but these lines.
            unmarked.into_iter().for_each(|line| recorder.add_line(line));
            recorder.write_marks();
            tracker.load(now, limits.protocol.park_ms, before, recorder);
        });
        self.events.wake_pump();
    }

    /// About once a second.
    pub(super) fn tick_tracker(&self) {
        self.track(|tracker, _, recorder| {
            if tracker.is_loaded() && recorder.advance_marks() {
                recorder.write_marks();
            }
        });
        for _ in 0..PARTS_A_TICK {
            if !self.tick_part() {
                return;
            }
        }
    }

    /// A part of a tick. True: there is more to do.
    fn tick_part(&self) -> bool {
        let mut has_more = false;
        let is_roomy = |log: &InternalLog| lock(&log.queue).is_roomy();
        let is_roomy = self.events.logs.iter().all(|log| is_roomy(&log.store));
        self.track(|tracker, now, recorder| {
            let is_roomy = is_roomy && lock(&recorder.tracking.store.queue).is_roomy();
            if tracker.is_loaded() && recorder.length.is_long(tracker.lines(), recorder.count()) {
                recorder.length.begin(recorder.count());
                recorder.write_marks();
                tracker.begin_compaction();
            }
            let was_compacting = tracker.is_compacting();
            has_more = tracker.tick(now, is_roomy, recorder);
            if was_compacting && !tracker.is_compacting() {
                recorder.length.end(recorder.count());
            }
        });
        has_more
    }
}

/// Writes down what the tracker says.
pub(super) struct Recorder<'a> {
    at: &'a EventsAt<'a>,
    tracking: &'a Tracking,
    length: &'a mut JournalLength,
    marks: &'a mut Marks,
}

impl Sink for Recorder<'_> {
    fn fact(&mut self, fact: &Fact<'_>) {
        match *fact {
            Fact::Opened(id, owner) => self.session(EventKind::SessionOpened, id, owner, None, None),
            Fact::Away(id, owner, cause) => {
                self.session(EventKind::SessionAway, id, owner, Some(cause.as_str()), None);
            }
            Fact::Resumed(id, owner, away) => {
                self.session(EventKind::SessionResumed, id, owner, None, Some(away));
            }
            Fact::Closed(id, owner, cause, away) => {
                self.session(EventKind::SessionClosed, id, owner, Some(EndCause::as_str(cause)), away);
            }
            Fact::Online(user) => self.user(EventKind::UserOnline, user.as_str(), None),
            Fact::Offline(user, last_seen) => {
                self.user(EventKind::UserOffline, user.as_str(), Some(last_seen));
            }
        }
    }

    fn journal(&mut self, line: &JournalLine) {
        self.add_line(line.to_json());
    }
}

impl Recorder<'_> {
    fn add_line(&mut self, line: Box<str>) {
        let is_kept = self.at.push(&self.tracking.store, line);
        self.length.add(is_kept);
    }

    /// The lines that are written by now account for all events that are stored by now. True: more than before.
    fn advance_marks(&mut self) -> bool {
        let mut is_news = false;
        for log in &self.at.events.logs {
            let Some(Position { epoch, offset }) = lock(&log.store.queue).stored().cloned() else { continue };
            let mark = Some(Mark { epoch: epoch.to_string(), offset });
            is_news |= self.marks.get(&log.config.name) != mark.as_ref();
            self.marks.extend(mark.map(|mark| (log.config.name.clone(), mark)));
        }
        is_news
    }

    fn write_marks(&mut self) {
        let line = JournalLine::Mark { logs: self.marks.clone() };
        self.journal(&line);
    }

    /// Lines of the journal.
    fn count(&self) -> QueueCount {
        lock(&self.tracking.store.queue).count()
    }

    fn session(
        &self,
        kind: EventKind,
        id: SessionId,
        owner: &Owner,
        cause: Option<&'static str>,
        away: Option<Absence>,
    ) {
        let labels = owner.details.as_ref().map(|details| &details.labels);
        let data = SessionData {
            session: id.to_string(),
            user: owner.user.as_ref().map(tautline_protocol::UserId::as_str),
            node: &self.at.events.node,
            labels: labels.filter(|labels| !labels.is_empty()),
            cause,
            offline_ms: away.map(|away| away.0),
        };
        self.at.add(kind, |_| true, || self.at.encode(kind, &data));
    }

    fn user(&self, kind: EventKind, user: &str, last_seen: Option<u64>) {
        let data = UserData { user, node: &self.at.events.node, last_seen };
        self.at.add(kind, |_| true, || self.at.encode(kind, &data));
    }
}
