//! The tracker at work: its facts become events, and its lines go to the journal.
//!
//! Start at [`EventsAt::track`].

use tautline_engine::Retention;
use tautline_protocol::{ChannelName, Now};

use super::{
    EventsAt, InternalLog,
    body::{SessionData, UserData},
    journal::{JournalLength, JournalLine, Replayed},
    kind::EventKind,
    tracker::{Absence, EndCause, Fact, Owner, Sink, Tracker},
    unread::UnreadInboxes,
};
use crate::{
    HubLimits,
    session::id::SessionId,
    sync::{Mutex, lock},
};

/// Sessions and users, with their journal.
pub(super) struct Tracking {
    state: Mutex<State>,
    pub(super) store: InternalLog,
    /// How far the journal of the process before was read, where the engine could not go on.
    pub(super) unread: Mutex<Option<(Replayed, u64)>>,
}

struct State {
    tracker: Tracker,
    length: JournalLength,
}

impl Tracking {
    /// The name of the journal's log, without its `$`.
    const LOG: &'static str = "sessions";

    pub(super) fn new(limits: &HubLimits, first_key: u128) -> Self {
        let channel = ChannelName::internal(Self::LOG).expect("a valid name");
        let inboxes = UnreadInboxes::new(limits.inbox_unread_ms, limits.inbox_unread_max);
        let tracker = Tracker::new(limits.user_offline_ms, inboxes);
        let state = State { tracker, length: JournalLength::default() };
        Self {
            state: Mutex::new(state),
            store: InternalLog::new(channel, limits.events_bytes_max, first_key),
            unread: Mutex::default(),
        }
    }

    pub(super) fn retention(&self) -> Retention {
        let state = lock(&self.state);
        // Nothing is dropped before it was read.
        let count = if state.tracker.is_loaded() { state.length.kept().max(1) } else { usize::MAX };
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
        let State { tracker, length } = &mut *state;
        change(tracker, self.now, &mut Recorder { at: self, tracking, length });
    }

    /// Takes the whole journal of the process before.
    pub(super) fn load(&self, ended_at: u64, park_ms: u64, before: Replayed) {
        self.track(|tracker, now, recorder| {
            recorder.length.load(before.lines);
            tracker.load(now, ended_at, park_ms, before);
        });
        self.events.wake_pump();
    }

    /// About once a second.
    pub(super) fn tick_tracker(&self) {
        let is_roomy = |log: &InternalLog| lock(&log.queue).is_roomy();
        let is_roomy = self.events.logs.iter().all(|log| is_roomy(&log.store));
        self.track(|tracker, now, recorder| {
            if tracker.is_loaded() && recorder.length.is_long(tracker.lines()) {
                recorder.length.begin();
                tracker.begin_compaction();
            }
            let is_roomy = is_roomy && lock(&recorder.tracking.store.queue).is_roomy();
            let was_compacting = tracker.is_compacting();
            tracker.tick(now, is_roomy, recorder);
            if was_compacting && !tracker.is_compacting() {
                recorder.length.end();
            }
        });
    }
}

/// Writes down what the tracker says.
pub(super) struct Recorder<'a> {
    at: &'a EventsAt<'a>,
    tracking: &'a Tracking,
    length: &'a mut JournalLength,
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
        let is_kept = self.at.push(&self.tracking.store, line.to_json());
        self.length.add(is_kept);
    }
}

impl Recorder<'_> {
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
