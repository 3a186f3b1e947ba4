//! Who may do what in which channel, and what a channel keeps.

use tautline_protocol::Pattern;

/// Whom an act is open to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Nobody but the back end. The default.
    #[default]
    None,
    /// Those whose token names the channel in `channels`.
    Token,
    /// Everybody who is connected, guests included.
    Any,
}

/// What a channel tells of its subscribers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PresenceMode {
    /// Nothing; `presence` is refused. The default.
    #[default]
    Off,
    /// The roster, to those who ask.
    Roster,
    /// The roster, and `join`, `away`, `back` and `leave` to every subscriber.
    Events,
}

/// How much of a channel's log is kept: the oldest goes as soon as one of the three is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Publications. Default 1,000.
    pub count: usize,
    /// Bytes, encoded. Default 1 MiB.
    pub bytes: usize,
    /// Milliseconds. Default one hour.
    pub age_ms: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { count: 1000, bytes: 1024 * 1024, age_ms: 3600 * 1000 }
    }
}

/// What holds for the channels of a pattern. The first rule that matches a channel's name is its rule; a channel without
/// one is closed to everybody but the back end.
///
/// Inboxes (`user:…`) belong to the gateway: only a rule whose pattern begins with `user:` is theirs, and of it only the
/// retention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRule {
    /// Which channels.
    pub pattern: Pattern,
    /// Who may subscribe, read history and see presence.
    pub subscribe: Access,
    /// Who may publish.
    pub publish: Access,
    /// What is told of subscribers.
    pub presence: PresenceMode,
    /// What is kept.
    pub retention: Retention,
    /// Whether users' acknowledged positions are kept, so that a new phone begins where the last one was. Inboxes always do.
    pub ack: bool,
}
