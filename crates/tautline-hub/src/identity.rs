//! The owner of a session, as determined by an authenticator.
//!
//! Start at [`Identity`].

use serde::{Deserialize, Serialize};
use tautline_protocol::{
    ByeCode, ChannelName, ErrorCode, Pattern, Reconnect, UserId,
    packet::{ErrorBody, server::Bye},
};

use crate::Access;

/// The longest retry delay for a token that is not valid yet, in milliseconds: by then the app may have
/// another token, and a wrong clock may have been corrected.
const NOT_YET_RETRY_MS_MAX: u64 = 60_000;

/// A checked login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user; `None` for a guest.
    pub user: Option<UserId>,
    /// Channels that the login may use where a rule says [`crate::Access::Token`].
    pub channels: Vec<Pattern>,
    /// The source that accepted the login: a digest of the secret, or of the setting that admits guests. A
    /// ticket carries it, and is invalid once [`crate::HubConfig::login_sources`] does not contain it.
    pub source: u64,
    /// When the authentication expires, in wall milliseconds; `None` means after
    /// [`tautline_protocol::Limits::auth_age_ms`].
    pub expires_at: Option<u64>,
}

/// The reason for a refused login: ends the connection with `bye{unauthorized}`, or `token_expired`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum LoginRefused {
    /// The token has expired.
    #[error("the token has expired: get a new one and connect again")]
    Expired,
    /// The login is not accepted; the text is sent to the client.
    #[error("{0}")]
    Unauthorized(String),
    /// The token becomes valid after `in_ms`.
    #[error("the token is not valid yet: its `nbf` is ahead of the server's clock")]
    NotYet {
        /// Milliseconds from now.
        in_ms: u64,
    },
    /// The login service is unreachable.
    #[error("logins cannot be checked right now: {0}")]
    Unavailable(String),
}

impl LoginRefused {
    /// The `bye` that answers a `hello`; `retry_after_ms` spreads the retries while the login service is
    /// unreachable.
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

    /// The error that answers an `auth` request.
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
    /// True if a channel with read access `access` may be read. The user's own inbox always may.
    pub(crate) fn may_read(&self, channel: &ChannelName, access: Access) -> bool {
        let own = self.user.as_ref().is_some_and(|user| {
            channel
                .as_str()
                .strip_prefix(ChannelName::USER_PREFIX)
                .is_some_and(|owner| owner == user.as_str())
        });
        own || self.may(channel, access)
    }

    /// True if this login satisfies `access` in `channel`.
    pub(crate) fn may(&self, channel: &ChannelName, access: Access) -> bool {
        match access {
            Access::None => false,
            Access::Token => self.channels.iter().any(|pattern| pattern.matches(channel.as_str())),
            Access::Any => true,
        }
    }
}
