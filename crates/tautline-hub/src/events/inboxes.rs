//! Watches inboxes for `inbox.unread`: asks the engine about those that are due.
//!
//! Start at [`Hub::check_inboxes`]. No lock is held while the engine is asked: it may answer at once.

use std::sync::Arc;

use tautline_engine::Entry;
use tautline_protocol::{ChannelName, Now, UserId, packet::ErrorBody};

use super::{
    EventsAt,
    body::UnreadData,
    kind::EventKind,
    tracker::Sink as _,
    unread::{InboxState, Settled},
};
use crate::{Hub, Inbox};

impl Hub {
    /// About once a second: asks about the inboxes that are due.
    pub(super) fn check_inboxes(&self, at: EventsAt<'_>) {
        at.inboxes_due().into_iter().for_each(|user| self.check_inbox(at.now, user, None));
    }

    /// Asks about an inbox, and when its publication at an offset was appended.
    fn check_inbox(&self, now: Now, user: UserId, offset: Option<u64>) {
        let (hub, of) = (self.clone(), user.clone());
        self.inbox_at(now, &user, offset, move |inbox| hub.settle_inbox(of, offset, inbox));
    }

    fn settle_inbox(
        &self,
        user: UserId,
        offset: Option<u64>,
        inbox: Result<(Inbox, Option<u64>), ErrorBody>,
    ) {
        let Some(at) = self.events() else { return };
        let (inbox, since) = inbox.ok().unzip();
        // What was acknowledged meanwhile is not unread: then its time is asked for once more.
        let asked_about = inbox.as_ref().filter(|inbox| Some(inbox.acknowledged + 1) == offset);
        let since = asked_about.map(|inbox| since.flatten().unwrap_or(inbox.at));
        let next = at.settle_inbox(&user, inbox.as_ref(), since, self.last_seen().get(&user));
        if let Some(offset) = next {
            self.check_inbox(at.now, user, Some(offset));
        }
    }
}

impl EventsAt<'_> {
    /// A publication was appended, maybe to an inbox.
    pub(super) fn inbox_published(&self, channel: &ChannelName, epoch: &Arc<str>, entry: &Entry) {
        let user = channel.as_str().strip_prefix(ChannelName::USER_PREFIX);
        let Some(user) = user.filter(|_| self.events.wants(EventKind::InboxUnread)) else { return };
        let Ok(user) = UserId::parse(user) else { return };
        self.track(|tracker, now, sink| {
            let lines = tracker.inboxes.published(now, &user, (epoch, entry.offset()), entry.at());
            lines.iter().for_each(|line| sink.journal(line));
        });
    }

    /// The user is forgotten.
    pub(crate) fn inbox_forgotten(&self, user: &UserId) {
        self.track(|tracker, _, sink| {
            tracker.inboxes.forget(user).iter().for_each(|line| sink.journal(line));
        });
    }

    /// The inboxes to ask about now. Before the journal is read it is not known who is online.
    fn inboxes_due(&self) -> Vec<UserId> {
        let mut due = Vec::new();
        self.track(|tracker, now, _| {
            if tracker.is_loaded() {
                due = tracker.inboxes.take_due(now);
            }
        });
        due
    }

    /// Takes what the engine says. Returns the offset to ask about next, if any.
    fn settle_inbox(
        &self,
        user: &UserId,
        inbox: Option<&Inbox>,
        since: Option<u64>,
        last_seen: Option<u64>,
    ) -> Option<u64> {
        let mut next = None;
        self.track(|tracker, now: Now, sink| {
            let is_online = tracker.is_online(user);
            let state = inbox.map(|inbox| InboxState {
                epoch: inbox.epoch.as_str().into(),
                acknowledged: inbox.acknowledged,
                head: inbox.sent,
                unread: inbox.kept.min(inbox.sent.saturating_sub(inbox.acknowledged)),
                since,
                is_online,
            });
            match (tracker.inboxes.settle(now, user, state.as_ref()), &state) {
                (Settled::Waits, _) | (Settled::Report(_), None) => {}
                (Settled::Ask { offset }, _) => next = Some(offset),
                (Settled::Read(line), _) => sink.journal(&line),
                (Settled::Report(line), Some(state)) => {
                    self.report_unread(user, state, last_seen);
                    sink.journal(&line);
                }
            }
        });
        next
    }

    fn report_unread(&self, user: &UserId, state: &InboxState, last_seen: Option<u64>) {
        let data = UnreadData {
            user: user.as_str(),
            node: &self.events.node,
            unread: state.unread,
            since: state.since.unwrap_or(self.now.wall_ms),
            epoch: &state.epoch,
            acknowledged: state.acknowledged,
            offset: state.head,
            last_seen,
        };
        let kind = EventKind::InboxUnread;
        self.add(kind, |_| true, || self.encode(kind, &data));
    }
}
