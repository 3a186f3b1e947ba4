//! Why an engine did not do a job.

use tautline_protocol::{ErrorCode, packet::ErrorBody};

use crate::budget::{Budget, Holder};

/// When to come again where an engine cannot say it better, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// Why a job was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Nothing was done; later it may be.
    #[error("{0}")]
    Unavailable(String),
    /// Nothing was done, because there is no room.
    #[error("{0}")]
    Full(String),
    /// Nothing was done, because who asks has its share already.
    #[error("{0}")]
    Limit(String),
    /// It may have been done, or not.
    #[error("{0}")]
    InDoubt(String),
}

impl EngineError {
    /// What a holder is told that was refused more of `what`: it has its share, or nobody finds room.
    #[must_use]
    pub fn no_room(budget: &Budget, holder: Holder, what: &str) -> Self {
        match budget.is_greedy(holder) {
            true => Self::Limit(format!("you have your share of the {what} of this node")),
            false => Self::Full(format!("there is no room for more {what} on this node")),
        }
    }

    /// As a client or a back end is told.
    #[must_use]
    pub fn to_body(&self) -> ErrorBody {
        let (code, retry_after_ms) = match self {
            Self::Unavailable(_) => (ErrorCode::Unavailable, Some(RETRY_MS)),
            Self::Full(_) => (ErrorCode::Overloaded, Some(RETRY_MS)),
            Self::Limit(_) => (ErrorCode::Limit, None),
            Self::InDoubt(_) => (ErrorCode::InDoubt, None),
        };
        ErrorBody { retry_after_ms, ..ErrorBody::new(code, self.to_string()) }
    }
}
