//! The reason why an engine did not do a job.

use tautline_protocol::{Cursor, ErrorCode, packet::ErrorBody};

use crate::{
    Position,
    budget::{Budget, Holder},
};

/// The retry delay when an engine knows no better one, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// The reason why a job was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Not executed; a retry may succeed.
    #[error("{0}")]
    Unavailable(String),
    /// Not executed for lack of room.
    #[error("{0}")]
    Full(String),
    /// Not executed because the holder has used up its share.
    #[error("{0}")]
    Limit(String),
    /// May or may not have been executed.
    #[error("{0}")]
    InDoubt(String),
    /// Not executed: the log's head is not the expected one.
    #[error("the log's head is not the expected one")]
    Conflict {
        /// The head at present.
        head: Position,
    },
}

impl EngineError {
    /// The error for a holder that was refused more of `what`: its share is used up, or there is no room.
    #[must_use]
    pub fn no_room(budget: &Budget, holder: Holder, what: &str) -> Self {
        match budget.is_greedy(holder) {
            true => Self::Limit(format!("you have used up your share of the {what} on this node")),
            false => Self::Full(format!("there is no room for more {what} on this node")),
        }
    }

    /// Which of them it is, for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Full(_) => "full",
            Self::Limit(_) => "limit",
            Self::InDoubt(_) => "in_doubt",
            Self::Conflict { .. } => "conflict",
        }
    }

    /// The error as sent to a client or a back end.
    #[must_use]
    pub fn to_body(&self) -> ErrorBody {
        let (code, retry_after_ms) = match self {
            Self::Unavailable(_) => (ErrorCode::Unavailable, Some(RETRY_MS)),
            Self::Full(_) => (ErrorCode::Overloaded, Some(RETRY_MS)),
            Self::Limit(_) => (ErrorCode::Limit, None),
            Self::InDoubt(_) => (ErrorCode::InDoubt, None),
            Self::Conflict { .. } => (ErrorCode::CONFLICT, None),
        };
        let head = match self {
            Self::Conflict { head } => {
                Some(Box::new(Cursor { epoch: head.epoch.to_string(), offset: head.offset, at: None }))
            }
            _ => None,
        };
        ErrorBody { retry_after_ms, head, ..ErrorBody::new(code, self.to_string()) }
    }
}
