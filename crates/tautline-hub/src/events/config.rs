//! Which events are recorded, and for how long.
//!
//! Start at [`EventsConfig`].

use tautline_engine::Retention;
use tautline_protocol::{ChannelName, Pattern};

use super::kind::EventSet;

/// The longest name of a log, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// What a node records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventsConfig {
    /// The logs. Default none.
    pub logs: Vec<EventLogConfig>,
}

/// One log of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLogConfig {
    /// Its name: up to 64 of `a-z`, `0-9`, `-` and `_`.
    pub name: String,
    /// What it records.
    pub events: EventSet,
    /// The channels of `channel.*` and `message.published`. Inboxes are only in a pattern that begins with `user:`.
    pub channels: Vec<Pattern>,
    /// How long events are kept.
    pub retention: Retention,
}

/// A log that cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEvents {
    /// A name that would be no part of an id.
    #[error("{0:?} is no name for a log of events: it has 1 to 64 of a-z, 0-9, `-` and `_`")]
    Name(String),
    /// Two logs with one name.
    #[error("two logs of events have the name {0:?}")]
    NameTwice(String),
    /// Events are recorded already.
    #[error("events are recorded already")]
    Twice,
}

impl EventsConfig {
    /// Checks the names.
    ///
    /// # Errors
    /// [`InvalidEvents`] names the first fault.
    pub fn check(&self) -> Result<(), InvalidEvents> {
        for (index, EventLogConfig { name, .. }) in self.logs.iter().enumerate() {
            let is_fit = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
            if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_fit) {
                return Err(InvalidEvents::Name(name.clone()));
            }
            if self.logs[..index].iter().any(|earlier| earlier.name == *name) {
                return Err(InvalidEvents::NameTwice(name.clone()));
            }
        }
        Ok(())
    }
}

impl EventLogConfig {
    /// True if the log has the events of this channel.
    pub(super) fn is_about(&self, channel: &ChannelName) -> bool {
        let is_named = |pattern: &&Pattern| pattern.matches(channel.as_str());
        let may_name =
            |pattern: &Pattern| !channel.is_user() || pattern.as_str().starts_with(ChannelName::USER_PREFIX);
        self.channels.iter().filter(is_named).any(may_name)
    }

    pub(super) fn channel(&self) -> ChannelName {
        ChannelName::internal(&format!("events:{}", self.name))
            .expect("check() admits short ASCII names only")
    }
}
