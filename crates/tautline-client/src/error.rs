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

    /// True where it cannot be known whether the request was executed.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        match self {
            Self::Refused(error) => error.code == ErrorCode::InDoubt,
            Self::Local(error) => matches!(error, LocalError::InDoubt | LocalError::Timeout),
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
