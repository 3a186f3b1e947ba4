//! The methods that the embedder registered, by name.

use std::{collections::HashMap, fmt, future::Future, pin::Pin};

use serde_json::value::RawValue;
use tautline_hub::CallKey;
use tautline_protocol::{ErrorCode, UserId};

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
    /// Identifies the call: the same however often it is sent, and different from every other call's, for
    /// methods that may run again. As text by `to_string()`; it names its session, too.
    pub key: CallKey,
}

/// The error that a method answers with. The client gets both parts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct CallError {
    /// For programs: a code of the protocol or of the app.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}

impl CallError {
    /// An error with a code of the protocol (`"not_found"`) or of the app (`"sold_out"`).
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

pub(crate) type CallResult = Result<Box<RawValue>, CallError>;
pub(crate) type CallFuture = Pin<Box<dyn Future<Output = CallResult> + Send>>;
type Handler = Box<dyn Fn(Call) -> CallFuture + Send + Sync>;

/// The methods of a gateway.
#[derive(Default)]
pub(crate) struct Methods(HashMap<String, Handler>);

impl Methods {
    /// False where the name is taken.
    pub(crate) fn insert<F, R>(&mut self, method: String, handler: F) -> bool
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = CallResult> + Send + 'static,
    {
        self.0.insert(method, Box::new(move |call| Box::pin(handler(call)))).is_none()
    }

    pub(crate) fn get(&self, method: &str) -> Option<&(dyn Fn(Call) -> CallFuture + Send + Sync)> {
        self.0.get(method).map(|handler| &**handler)
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
