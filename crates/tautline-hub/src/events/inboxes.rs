//! Watches inboxes for `inbox.unread`: asks the engine about those that are due.
//!
//! Start at [`Hub::check_inboxes`]. No lock is held while the engine is asked: it may answer at once.

use tautline_engine::Entry;
use tautline_protocol::{ChannelName, Now, UserId, packet::ErrorBody};

use super::{
    EventsAt,
    body::UnreadData,
    kind::EventKind,
    tracker::Sink as _,
    unread::{InboxState, Unread},
};
use crate::{Hub, Inbox};

impl Hub {
    /// About once a second: asks about the inboxes that are due.
    pub(super) fn check_inboxes(&self, at: EventsAt<'_>) {
        for user in at.inboxes_due() {
            let (hub, of) = (self.clone(), user.clone());
            self.inbox(at.now, &user, move |inbox| hub.settle_inbox(&of, inbox));
        }
    }

    fn settle_inbox(&self, user: &UserId, inbox: Result<Inbox, ErrorBody>) {
        let Some(at) = self.events() else { return };
        at.settle_inbox(user, inbox.ok().as_ref(), self.last_seen().get(user));
    }
}

impl EventsAt<'_> {
    /// A publication was appended, maybe to an inbox.
    pub(super) fn inbox_published(&self, channel: &ChannelName, entry: &Entry) {
        let user = channel.as_str().strip_prefix(ChannelName::USER_PREFIX);
        let Some(user) = user.filter(|_| self.events.wants(EventKind::InboxUnread)) else { return };
        let Ok(user) = UserId::parse(user) else { return };
        self.track(|tracker, now, sink| {
            let line = tracker.inboxes.published(now, &user, entry.offset(), entry.at());
            line.iter().for_each(|line| sink.journal(line));
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

    fn settle_inbox(&self, user: &UserId, inbox: Option<&Inbox>, last_seen: Option<u64>) {
        self.track(|tracker, now: Now, sink| {
            let is_online = tracker.is_online(user);
            let state = inbox.map(|inbox| InboxState {
                acknowledged: inbox.acknowledged,
                head: inbox.sent,
                unread: inbox.kept.min(inbox.sent.saturating_sub(inbox.acknowledged)),
                is_online,
            });
            let (report, line) = tracker.inboxes.settle(now, user, state);
            if let (Some(Unread { since, .. }), Some(inbox), Some(state)) = (report, inbox, state) {
                let data = UnreadData {
                    user: user.as_str(),
                    node: &self.events.node,
                    unread: state.unread,
                    since,
                    epoch: &inbox.epoch,
                    acknowledged: state.acknowledged,
                    offset: state.head,
                    last_seen,
                };
                let kind = EventKind::InboxUnread;
                self.add(kind, |_| true, || self.encode(kind, &data));
            }
            line.iter().for_each(|line| sink.journal(line));
        });
    }
}
