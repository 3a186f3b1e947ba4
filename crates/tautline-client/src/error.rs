//! What can go wrong for an app, in three kinds: with the client itself, a request, a subscription.

use std::{io, path::PathBuf};

use tautline_protocol::{ErrorCode, InvalidName, client::LocalError, packet::ErrorBody};

use crate::address::InvalidUrl;

/// The cause of an error, in words of whatever is below. Its own message is not repeated in that of the error above it.
pub(crate) type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL leads nowhere.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// The system gave no random bytes, and without them a session could be guessed.
    #[error("the system gives no random bytes")]
    NoRandom(#[source] Source),
    /// Nobody is trusted, so that `wss://` can lead nowhere.
    #[error(
        "no root certificates (install the system's, such as the package ca-certificates, name a file in SSL_CERT_FILE, or add one with Tls::with_roots)"
    )]
    NoRoots(#[source] Option<Source>),
    /// The storage cannot be used.
    #[error("cannot use the storage {}", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another client uses the storage, in this process or another one.
    #[error("the storage {} has a client", .0.display())]
    StorageInUse(PathBuf),
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
    #[error("data has no JSON form")]
    Encode(#[source] serde_json::Error),
    /// It was done, but the answer is not of the type that was asked for.
    #[error("answer is not of the type that was asked for")]
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
    #[error("{0:?} is no channel")]
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
