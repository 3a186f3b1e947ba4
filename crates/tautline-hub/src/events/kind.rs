//! The kinds of events, and sets of them.
//!
//! Start at [`EventSet::parse`].

use std::fmt;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A client has opened a session.
    SessionOpened,
    /// A session has no connection, or its client has announced that it goes away.
    SessionAway,
    /// The client of such a session is back.
    SessionResumed,
    /// A session has ended.
    SessionClosed,
    /// A channel has its first subscriber on this node.
    ChannelOccupied,
    /// A channel has lost its last subscriber on this node.
    ChannelVacated,
    /// A publication was appended.
    MessagePublished,
    /// A user has its first connection on this node.
    UserOnline,
    /// A user has had no connection on this node for a while.
    UserOffline,
    /// A user without a connection on this node has not read its inbox for a while.
    InboxUnread,
    /// Events were dropped for lack of room. Part of every log.
    EventsLost,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::SessionOpened,
        Self::SessionAway,
        Self::SessionResumed,
        Self::SessionClosed,
        Self::ChannelOccupied,
        Self::ChannelVacated,
        Self::MessagePublished,
        Self::UserOnline,
        Self::UserOffline,
        Self::InboxUnread,
        Self::EventsLost,
    ];

    /// Its name in events and in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SessionOpened => "session.opened",
            Self::SessionAway => "session.away",
            Self::SessionResumed => "session.resumed",
            Self::SessionClosed => "session.closed",
            Self::ChannelOccupied => "channel.occupied",
            Self::ChannelVacated => "channel.vacated",
            Self::MessagePublished => "message.published",
            Self::UserOnline => "user.online",
            Self::UserOffline => "user.offline",
            Self::InboxUnread => "inbox.unread",
            Self::EventsLost => "events.lost",
        }
    }
}

impl EventKind {
    /// True for an event of which only the tracker of sessions and users knows.
    pub(super) fn is_tracked(self) -> bool {
        self == Self::InboxUnread
            || ["session.", "user."].iter().any(|family| self.as_str().starts_with(family))
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct EventSet(u16);

/// A pattern that matches no kind of event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no event {0:?}: write a name such as \"session.closed\", a family such as \"session.*\", or \"*\""
)]
pub struct UnknownEvent(pub String);

impl EventSet {
    /// The kinds that a pattern names: one, a family (`session.*`) or all (`*`).
    ///
    /// # Errors
    /// [`UnknownEvent`] for a pattern that names none.
    pub fn parse(pattern: &str) -> Result<Self, UnknownEvent> {
        let prefix = pattern.strip_suffix('*').filter(|prefix| prefix.is_empty() || prefix.ends_with('.'));
        let is_named = |kind: &EventKind| match prefix {
            Some(prefix) => kind.as_str().starts_with(prefix),
            None => kind.as_str() == pattern,
        };
        let found: Self = EventKind::ALL.into_iter().filter(is_named).collect();
        if found == Self::default() { Err(UnknownEvent(pattern.to_owned())) } else { Ok(found) }
    }

    /// True if the kind is one of them.
    #[must_use]
    pub const fn contains(self, kind: EventKind) -> bool {
        self.0 & 1 << kind as u16 != 0
    }

    /// The kinds of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<EventKind> for EventSet {
    fn from_iter<I: IntoIterator<Item = EventKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |set, kind| set | 1 << kind as u16))
    }
}

impl fmt::Debug for EventSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = EventKind::ALL.into_iter().filter(|kind| self.contains(*kind));
        f.debug_set().entries(kinds.map(EventKind::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_names_one_kind_or_a_family() {
        let set = |pattern: &str| EventSet::parse(pattern).expect("it names some");
        assert_eq!(set("session.closed"), [EventKind::SessionClosed].into_iter().collect());
        assert_eq!(set("user.*"), set("user.online").union(set("user.offline")));
        assert_eq!(set("*"), EventKind::ALL.into_iter().collect());
        for unknown in ["", "session", "session*", "session.", "session.left", "Session.*", ".*"] {
            assert_eq!(EventSet::parse(unknown), Err(UnknownEvent(unknown.to_owned())), "{unknown}");
        }
    }
}
