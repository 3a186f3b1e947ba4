//! Who a session belongs to, as an authenticator found out.

use serde::{Deserialize, Serialize};
use tautline_protocol::{
    ByeCode, ChannelName, ErrorCode, Pattern, Reconnect, UserId,
    packet::{ErrorBody, server::Bye},
};

use crate::Access;

/// A client whose token is not valid yet comes again after this time at the latest: by then the app may have another one,
/// and the clock that was wrong may be right. Milliseconds.
const NOT_YET_RETRY_MS_MAX: u64 = 60_000;

/// A checked login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user; none for a guest.
    pub user: Option<UserId>,
    /// The channels that the login opens where a rule says [`crate::Access::Token`].
    pub channels: Vec<Pattern>,
    /// What the login was accepted by: a digest of the secret, or of the setting that lets guests in. A ticket carries it, and is
    /// no good where it is not among [`crate::HubConfig::login_sources`] any more.
    pub source: u64,
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
    /// The token becomes good after so many milliseconds.
    #[error("the token is not valid yet: its `nbf` is ahead of the server's clock")]
    NotYet {
        /// From now on.
        in_ms: u64,
    },
    /// Whoever checks logins cannot be reached now.
    #[error("logins cannot be checked right now: {0}")]
    Unavailable(String),
}

impl LoginRefused {
    /// As the `bye` that answers a `hello`; `retry_after_ms` spreads those who find nobody to check them.
    pub(crate) fn to_bye(&self, retry_after_ms: impl FnOnce() -> u64) -> Bye {
        let bye = |code| Bye::new(code, self.to_string());
        match self {
            Self::Expired => bye(ByeCode::TokenExpired),
            Self::Unauthorized(_) => bye(ByeCode::Unauthorized),
            Self::NotYet { .. } => Bye {
                reconnect: Reconnect::Later,
                retry_after_ms: self.retry_after_ms(),
                ..bye(ByeCode::Unauthorized)
            },
            Self::Unavailable(_) => {
                Bye { retry_after_ms: Some(retry_after_ms()), ..bye(ByeCode::Overloaded) }
            }
        }
    }

    /// As the error that answers an `auth` request.
    pub(crate) fn to_body(&self, retry_after_ms: impl FnOnce() -> u64) -> ErrorBody {
        let body = |code| ErrorBody::new(code, self.to_string());
        match self {
            Self::Expired | Self::Unauthorized(_) => body(ErrorCode::PermissionDenied),
            Self::NotYet { .. } => {
                ErrorBody { retry_after_ms: self.retry_after_ms(), ..body(ErrorCode::PermissionDenied) }
            }
            Self::Unavailable(_) => {
                ErrorBody { retry_after_ms: Some(retry_after_ms()), ..body(ErrorCode::Unavailable) }
            }
        }
    }

    fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::NotYet { in_ms } => Some((*in_ms).min(NOT_YET_RETRY_MS_MAX)),
            _ => None,
        }
    }
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
