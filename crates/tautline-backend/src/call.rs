//! A client's call of a method, and what comes of it.

use std::{net::IpAddr, sync::Arc};

use serde_json::value::RawValue;
use tautline_hub::{CallKey, Disconnect, Identity, budget::Holder};
use tautline_protocol::{
    ErrorCode, UserId,
    packet::{ErrorBody, client::ClientInfo},
};

/// A client's call of a method.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// The method's name.
    pub method: String,
    /// The payload, byte for byte as the client sent it.
    pub data: Box<RawValue>,
    /// The caller; none for a guest.
    pub user: Option<UserId>,
    /// The caller's login.
    pub identity: Arc<Identity>,
    /// The caller's address, where it is known.
    pub address: Option<IpAddr>,
    /// The caller's software, where it is known; without its version.
    pub client: Option<Arc<ClientInfo>>,
    /// How long the client waits, in milliseconds.
    pub timeout_ms: u64,
    /// Identifies the call: the same however often it is sent, and different from every other call's, for
    /// methods that may run again. As text by `to_string()`; it names its session, too.
    pub key: CallKey,
    /// The owner of the call: the user, or the address of a guest.
    pub holder: Holder,
}

impl Call {
    /// A call of `method`.
    #[must_use]
    pub fn new(method: String, data: Box<RawValue>, identity: Arc<Identity>, key: CallKey) -> Self {
        let user = identity.user.clone();
        let holder = Holder::of_hash(1);
        Self { method, data, user, identity, address: None, client: None, timeout_ms: u64::MAX, key, holder }
    }

    /// The same call from this address, by a client that waits so long.
    #[must_use]
    pub fn with(self, address: Option<IpAddr>, timeout_ms: u64) -> Self {
        Self { address, timeout_ms, ..self }
    }

    /// The same call by this owner.
    #[must_use]
    pub fn with_holder(self, holder: Holder) -> Self {
        Self { holder, ..self }
    }

    /// The same call by a client with this software.
    #[must_use]
    pub fn with_client(self, client: Option<Arc<ClientInfo>>) -> Self {
        Self { client, ..self }
    }
}

/// The error that a method answers with. The client gets its parts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
#[non_exhaustive]
pub struct CallError {
    /// For programs: a code of the protocol or of the app.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// When a retry may succeed, in milliseconds from now.
    pub retry_after_ms: Option<u64>,
    /// Ends the caller's connection, after the reply.
    pub disconnect: Option<Disconnect>,
}

impl CallError {
    /// An error with a code of the protocol (`"not_found"`) or of the app (`"sold_out"`).
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self::of(code.into(), message)
    }

    /// An error with this code.
    pub fn of(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None, disconnect: None }
    }

    /// There is no method of this name.
    #[must_use]
    pub fn no_such_method() -> Self {
        Self::of(ErrorCode::NotFound, "there is no such method")
    }

    /// The same error, with the time after which a retry may succeed.
    #[must_use]
    pub fn retry_after(self, ms: u64) -> Self {
        Self { retry_after_ms: Some(ms), ..self }
    }

    /// The same error, after which the caller's connection ends.
    #[must_use]
    pub fn and_disconnect(self, disconnect: Disconnect) -> Self {
        Self { disconnect: Some(disconnect), ..self }
    }
}

impl From<CallError> for ErrorBody {
    fn from(error: CallError) -> Self {
        Self { retry_after_ms: error.retry_after_ms, ..Self::new(error.code, error.message) }
    }
}

/// What comes of a call.
pub type CallResult = Result<Box<RawValue>, CallError>;
