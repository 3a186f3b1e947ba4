//! Who a session belongs to, as an authenticator found out.

use serde::{Deserialize, Serialize};
use tautline_protocol::{Pattern, UserId};

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
