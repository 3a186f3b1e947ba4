//! The owner of a session, as determined by an authenticator.
//!
//! Start at [`Identity`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tautline_protocol::{
    ByeCode, ChannelName, ErrorCode, Info, Pattern, Reconnect, UserId,
    packet::{ErrorBody, server::Bye},
};

use crate::{Disconnect, LoginDetails, LoginTooLarge};

/// The longest retry delay for a token that is not valid yet, in milliseconds: by then the app may have
/// another token, and a wrong clock may have been corrected.
const NOT_YET_RETRY_MS_MAX: u64 = 60_000;

/// A checked login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user; `None` for a guest.
    pub user: Option<UserId>,
    /// Channels that the login may use where a rule says [`crate::Access::Token`]. At most
    /// [`Identity::CHANNELS_MAX`].
    pub channels: Box<[Pattern]>,
    /// The source that accepted the login: a digest of the secret, or of the setting that admits guests. A
    /// ticket carries it, and is invalid once [`crate::HubConfig::login_sources`] does not contain it.
    pub source: u64,
    /// When the authentication expires, in wall milliseconds; `None` means after
    /// [`tautline_protocol::Limits::auth_age_ms`].
    pub expires_at: Option<u64>,
    /// When the login was issued (a token's `iat`), in wall milliseconds: a revocation of its user ends the
    /// logins that were issued before it. `None`, or later than this moment, means at this moment; a token that
    /// does not say when it was issued counts as issued at 0, so that each revocation of its user ends it.
    pub issued_at_ms: Option<u64>,
    /// What few logins have.
    pub details: Option<Arc<LoginDetails>>,
}

// Each session of a user keeps one.
const _: () = assert!(size_of::<Identity>() <= 80);

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
    #[error("the token is not valid yet: its `nbf` or `iat` is ahead of the server's clock")]
    NotYet {
        /// Milliseconds from now.
        in_ms: u64,
    },
    /// The login code is wrong, too old or used; a new one may be good.
    #[error("the login code is not valid, or no longer: get a new one")]
    Code {
        /// Milliseconds until the client comes with a new code.
        retry_after_ms: u64,
    },
    /// This client logs in too often.
    #[error("too many logins in too short a time")]
    RateLimited {
        /// Milliseconds until the client may come again.
        retry_after_ms: u64,
    },
    /// The user is kept out; the text is sent to the client.
    #[error("{0}")]
    Banned(String),
    /// The back end ends the connection on which the login is refreshed. A new one is refused.
    #[error("{}", .0.message)]
    Disconnect(Disconnect),
    /// The login service is unreachable.
    #[error("logins cannot be checked right now: {0}")]
    Unavailable(String),
}

impl LoginRefused {
    /// What kind of refusal it is, from a closed set, for metrics and logs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Unauthorized(_) => "unauthorized",
            Self::NotYet { .. } => "not_yet",
            Self::Code { .. } => "code",
            Self::RateLimited { .. } => "rate_limited",
            Self::Banned(_) => "banned",
            Self::Disconnect(_) => "disconnected",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// All that [`Self::reason`] may return.
    pub const REASONS: [&'static str; 8] = [
        "expired",
        "unauthorized",
        "not_yet",
        "code",
        "rate_limited",
        "banned",
        "disconnected",
        "unavailable",
    ];

    /// The `bye` that answers a `hello`; `retry_after_ms` spreads the retries while the login service is
    /// unreachable.
    pub(crate) fn to_bye(&self, retry_after_ms: impl FnOnce() -> u64) -> Bye {
        let bye = |code| Bye::new(code, self.to_string());
        match self {
            Self::Expired | Self::Disconnect(Disconnect { code: ByeCode::TokenExpired, .. }) => {
                bye(ByeCode::TokenExpired)
            }
            Self::Unauthorized(_) | Self::Disconnect(_) => bye(ByeCode::Unauthorized),
            Self::NotYet { .. } | Self::Code { .. } => Bye {
                reconnect: Reconnect::Later,
                retry_after_ms: self.retry_after_ms(),
                ..bye(ByeCode::Unauthorized)
            },
            Self::RateLimited { .. } => {
                Bye { retry_after_ms: self.retry_after_ms(), ..bye(ByeCode::RateLimited) }
            }
            Self::Banned(_) => bye(ByeCode::Banned),
            Self::Unavailable(_) => {
                Bye { retry_after_ms: Some(retry_after_ms()), ..bye(ByeCode::Overloaded) }
            }
        }
    }

    /// The error that answers an `auth` request.
    pub(crate) fn to_body(&self, retry_after_ms: impl FnOnce() -> u64) -> ErrorBody {
        let body = |code| ErrorBody::new(code, self.to_string());
        match self {
            Self::Expired | Self::Unauthorized(_) | Self::Banned(_) | Self::Disconnect(_) => {
                body(ErrorCode::PermissionDenied)
            }
            Self::RateLimited { .. } => {
                ErrorBody { retry_after_ms: self.retry_after_ms(), ..body(ErrorCode::RateLimited) }
            }
            Self::NotYet { .. } | Self::Code { .. } => {
                ErrorBody { retry_after_ms: self.retry_after_ms(), ..body(ErrorCode::PermissionDenied) }
            }
            Self::Unavailable(_) => {
                ErrorBody { retry_after_ms: Some(retry_after_ms()), ..body(ErrorCode::Unavailable) }
            }
        }
    }

    /// How the back end ends the connection, where it does.
    pub(crate) fn into_disconnect(self) -> Option<Disconnect> {
        match self {
            Self::Disconnect(disconnect) => Some(disconnect),
            _ => None,
        }
    }

    fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::NotYet { in_ms } => Some((*in_ms).min(NOT_YET_RETRY_MS_MAX)),
            Self::Code { retry_after_ms } | Self::RateLimited { retry_after_ms } => Some(*retry_after_ms),
            _ => None,
        }
    }
}

impl Identity {
    /// The largest number of patterns in `channels`.
    pub const CHANNELS_MAX: usize = 1_024;
    /// The most bytes of all patterns: a ticket carries them, and must fit into a hello.
    pub const CHANNELS_BYTES_MAX: usize = 65_536;

    /// What the login says of the user to other members of a channel.
    pub(crate) fn info(&self) -> Option<&Info> {
        self.details.as_ref().and_then(|details| details.info.as_ref())
    }

    /// The channels to which the server subscribes the login.
    pub(crate) fn subs(&self) -> &[ChannelName] {
        self.details.as_ref().map_or(&[], |details| &details.subs)
    }

    /// Checks the bounds of a login, as the hub does before it lets it in.
    ///
    /// # Errors
    /// [`LoginTooLarge`] says which part is over its bound.
    pub fn check_bounds(&self) -> Result<(), LoginTooLarge> {
        let grants = self.details.iter().flat_map(|details| &details.grants).map(|(_, pattern)| pattern);
        let patterns = || self.channels.iter().chain(grants.clone());
        let bytes: usize = patterns().map(|pattern| pattern.as_str().len()).sum();
        if patterns().count() > Self::CHANNELS_MAX || bytes > Self::CHANNELS_BYTES_MAX {
            return Err(LoginTooLarge::Channels {
                count_max: Self::CHANNELS_MAX,
                bytes_max: Self::CHANNELS_BYTES_MAX,
            });
        }
        self.details.as_ref().map_or(Ok(()), |details| details.check())
    }
}
