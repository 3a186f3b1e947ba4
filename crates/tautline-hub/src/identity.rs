//! Who a session belongs to, as an authenticator found out.

use serde::{Deserialize, Serialize};
use tautline_protocol::{ChannelName, Pattern, UserId};

use crate::Access;

/// A checked login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user; none for a guest.
    pub user: Option<UserId>,
    /// The channels that the login opens where a rule says [`crate::Access::Token`].
    pub channels: Vec<Pattern>,
    /// When the authentication expires, in wall milliseconds; none means after [`tautline_protocol::Limits::auth_age_ms`].
    pub expires_at: Option<u64>,
}

/// Why a login was refused: ends the connection with `bye{unauthorized}`, or `token_expired`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum LoginRefused {
    /// The token was good once.
    #[error("the token has expired: get a new one and connect again")]
    Expired,
    /// The login is not accepted; the words are sent to the client.
    #[error("{0}")]
    Unauthorized(String),
    /// Whoever checks logins cannot be reached now.
    #[error("logins cannot be checked right now: {0}")]
    Unavailable(String),
}

impl Identity {
    /// True when a channel that is open to `access` may be read. The own inbox always may.
    pub(crate) fn may_read(&self, channel: &ChannelName, access: Access) -> bool {
        let own = self.user.as_ref().is_some_and(|user| {
            channel
                .as_str()
                .strip_prefix(ChannelName::USER_PREFIX)
                .is_some_and(|owner| owner == user.as_str())
        });
        own || self.may(channel, access)
    }

    /// True when an act in `channel` that is open to `access` is open to this login.
    pub(crate) fn may(&self, channel: &ChannelName, access: Access) -> bool {
        match access {
            Access::None => false,
            Access::Token => self.channels.iter().any(|pattern| pattern.matches(channel.as_str())),
            Access::Any => true,
        }
    }
}
