//! What can go wrong for an app, in three kinds: with the client itself, a request, a subscription.

use tautline_protocol::{ErrorCode, InvalidName, client::LocalError, packet::ErrorBody};

use crate::address::InvalidUrl;

/// Why there is no client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL leads nowhere.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// The system gave no random bytes, and without them a session could be guessed.
    #[error("the system gives no random bytes: {0}")]
    NoRandom(String),
    /// Nobody is trusted, so that `wss://` can lead nowhere.
    #[error(
        "no root certificates: {0} (install the system's, such as the package ca-certificates, name a file in SSL_CERT_FILE, or add one with Tls::with_roots)"
    )]
    NoRoots(String),
    /// The storage cannot be used, or another client uses it.
    #[error("storage: {0}")]
    Storage(String),
}

/// How a request ended, where not well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The gateway, or the back end behind it, refused.
    #[error(transparent)]
    Refused(ErrorBody),
    /// Settled on this side.
    #[error(transparent)]
    Local(LocalError),
    /// The data has no JSON form; nothing was sent.
    #[error("data has no JSON form: {0}")]
    Encode(#[source] serde_json::Error),
    /// It was done, but the answer is not of the type that was asked for.
    #[error("answer is not of the type that was asked for: {0}")]
    Decode(#[source] serde_json::Error),
}

impl RequestError {
    /// The code for programs, as in the protocol; `encode` and `decode` are this client's own.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(error) => error.code.as_str(),
            Self::Local(error) => error.as_str(),
            Self::Encode(_) => "encode",
            Self::Decode(_) => "decode",
        }
    }

    /// True where it cannot be known whether the request was executed: also where it was given up, as by [`crate::Client::login`]
    /// or [`crate::Client::close`], since it may have been sent before.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        match self {
            Self::Refused(error) => {
                matches!(error.code, ErrorCode::InDoubt | ErrorCode::Timeout | ErrorCode::Internal)
            }
            Self::Local(error) => match error {
                LocalError::InDoubt
                | LocalError::Timeout
                | LocalError::Closed
                | LocalError::UserChanged
                | LocalError::Cancelled => true,
                LocalError::Expired | LocalError::Overflow | LocalError::TooLarge => false,
            },
            Self::Encode(_) | Self::Decode(_) => false,
        }
    }
}

/// Why there is no subscription.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// No channel can have this name.
    #[error("{0:?} is no channel: {1}")]
    Name(String, #[source] InvalidName),
    /// This client has a subscription to the channel; drop that one first.
    #[error("channel {0:?} is subscribed already")]
    Already(String),
    /// The client is closed.
    #[error("the line is closed")]
    Closed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_that_may_have_been_sent_is_in_doubt() {
        use LocalError::{Cancelled, Closed, Expired, InDoubt, Overflow, Timeout, TooLarge, UserChanged};
        for error in [InDoubt, Timeout, Closed, UserChanged, Cancelled] {
            assert!(RequestError::Local(error).in_doubt(), "{error}");
        }
        for error in [Expired, Overflow, TooLarge] {
            assert!(!RequestError::Local(error).in_doubt(), "{error}");
        }
    }

    #[test]
    fn refusal_is_in_doubt_where_it_may_have_run() {
        let refused = |code| RequestError::Refused(ErrorBody::new(code, ""));
        for code in [ErrorCode::InDoubt, ErrorCode::Timeout, ErrorCode::Internal] {
            assert!(refused(code.clone()).in_doubt(), "{code}");
        }
        for code in [ErrorCode::PermissionDenied, ErrorCode::Unavailable, ErrorCode::RateLimited] {
            assert!(!refused(code.clone()).in_doubt(), "{code}");
        }
    }
}
