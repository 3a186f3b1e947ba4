//! Channel rules: permissions and retention.
//!
//! Start at [`Rules::of`].

use std::sync::Arc;

use tautline_engine::Retention;
use tautline_protocol::ChannelName;

use crate::RulePattern;

/// What a client may do in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Receive publications.
    Subscribe,
    /// Publish.
    Publish,
    /// Read earlier publications with `history`.
    History,
    /// See who is in the channel.
    Presence,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Subscribe, Self::Publish, Self::History, Self::Presence];

    /// Its word in the configuration and in tokens.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::History => "history",
            Self::Presence => "presence",
        }
    }
}

/// Which clients have a permission in the channels of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Only the back end. The default.
    #[default]
    None,
    /// Clients that the app's back end lets in when it is asked.
    Backend,
    /// Clients whose token names the channel in `channels`.
    Token,
    /// The user that the channel's name has in the place of `$user`; every user that has logged in where the
    /// rule's pattern has no such place. No guest.
    User,
    /// The guest whose session the channel's name has in the place of `$guest`; nobody where the rule's pattern
    /// has no such place.
    Guest,
    /// Every client, guests included.
    Any,
}

/// The presence information that a channel offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PresenceMode {
    /// None; `presence` is refused. The default.
    #[default]
    Off,
    /// The roster, on request.
    Roster,
    /// The roster, and `join`, `away`, `back` and `leave` events for every subscriber.
    Events,
}

/// The rule for the channels of a pattern. The first rule that matches a channel's name applies; a channel
/// without one is open to the back end only.
///
/// Inboxes (`user:…`) belong to the gateway: only a rule whose pattern begins with `user:` applies to them,
/// and only its retention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRule {
    /// The channels.
    pub pattern: RulePattern,
    /// Who may subscribe.
    pub subscribe: Access,
    /// Who may publish.
    pub publish: Access,
    /// Who may read history; `None`: who may subscribe.
    pub history_access: Option<Access>,
    /// Who may see presence; `None`: who may subscribe.
    pub presence_access: Option<Access>,
    /// Presence information.
    pub presence: PresenceMode,
    /// Retention.
    pub retention: Retention,
    /// Whether users' acknowledged positions are kept, so that a new phone resumes where the last one was.
    /// Inboxes always keep them.
    pub ack: bool,
}

impl ChannelRule {
    /// A rule that opens its channels to the back end only.
    #[must_use]
    pub fn closed(pattern: RulePattern) -> Self {
        Self {
            pattern,
            subscribe: Access::None,
            publish: Access::None,
            history_access: None,
            presence_access: None,
            presence: PresenceMode::Off,
            retention: Retention::default(),
            ack: false,
        }
    }

    /// Who has a permission, and which permission of a token counts for it: history and presence are
    /// permitted like `subscribe` where the rule says nothing of them.
    #[must_use]
    pub fn access(&self, permission: Permission) -> (Access, Permission) {
        let own = match permission {
            Permission::Subscribe => Some(self.subscribe),
            Permission::Publish => Some(self.publish),
            Permission::History => self.history_access,
            Permission::Presence => self.presence_access,
        };
        own.map_or((self.subscribe, Permission::Subscribe), |own| (own, permission))
    }
}

/// The rules of a node.
#[derive(Debug)]
pub struct Rules {
    channels: Vec<Arc<ChannelRule>>,
    /// Rules of inboxes: retention only.
    inboxes: Vec<Arc<ChannelRule>>,
    closed: Arc<ChannelRule>,
}

impl Rules {
    /// Rules in their order of precedence.
    ///
    /// # Panics
    /// Never: the pattern `*` is valid.
    #[must_use]
    pub fn new(rules: Vec<ChannelRule>) -> Self {
        let everything = RulePattern::parse("*").expect("a valid pattern");
        let closed = ChannelRule { ack: true, ..ChannelRule::closed(everything) };
        let inbox = |rule: &ChannelRule| rule.pattern.as_str().starts_with(ChannelName::USER_PREFIX);
        let (inboxes, channels): (Vec<_>, Vec<_>) = rules.into_iter().partition(inbox);
        let locked = |rule: ChannelRule| ChannelRule {
            pattern: rule.pattern,
            retention: rule.retention,
            ..closed.clone()
        };
        Self {
            channels: channels.into_iter().map(Arc::new).collect(),
            inboxes: inboxes.into_iter().map(|rule| Arc::new(locked(rule))).collect(),
            closed: Arc::new(closed),
        }
    }

    /// The rule that applies to a channel. Inboxes belong to the gateway: no rule opens them to clients.
    #[must_use]
    pub fn of(&self, channel: &ChannelName) -> &Arc<ChannelRule> {
        let rules = if channel.is_user() { &self.inboxes } else { &self.channels };
        rules.iter().find(|rule| rule.pattern.matches(channel.as_str())).unwrap_or(&self.closed)
    }

    /// The longest retention of any rule, in milliseconds.
    pub(crate) fn age_ms_max(&self) -> u64 {
        let rules = self.channels.iter().chain(&self.inboxes).chain([&self.closed]);
        rules.map(|rule| rule.retention.age_ms).max().unwrap_or_default()
    }
}
