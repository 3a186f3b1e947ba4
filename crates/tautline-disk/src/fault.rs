//! What can be wrong with a file, in the kinds that are handled differently.

use rusqlite::ErrorCode;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// SQLite says that the file is damaged: it is moved aside and a new one begun.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// A row holds what was never written there, such as a foreign tool's value: what the row belongs to is left out, and
    /// nothing else.
    #[error("a row holds a foreign value: {0}")]
    Row(String),
    /// There is no room: nothing is stored until there is. SQLite says so only before a commit could take effect.
    #[error("the disk is full: {0}")]
    Full(rusqlite::Error),
    /// The disk failed: the last write may be there or not.
    #[error("the disk failed: {0}")]
    Disk(rusqlite::Error),
    /// Anything else, such as a foreign tool that holds a lock.
    #[error("the store did not do it: {0}")]
    Other(rusqlite::Error),
}

/// What was found, or nothing where its row holds a foreign value.
pub(crate) fn unless_foreign<T>(found: Result<Option<T>, Fault>) -> Result<Option<T>, Fault> {
    match found {
        Err(Fault::Row(_)) => Ok(None),
        found => found,
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error;
        match &error {
            Error::SqliteFailure(cause, _) => match cause.code {
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Damaged(error.to_string()),
                ErrorCode::DiskFull => Self::Full(error),
                ErrorCode::SystemIoFailure => Self::Disk(error),
                _ => Self::Other(error),
            },
            // A column that does not hold what the schema says.
            Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::Utf8Error(..)
            | Error::InvalidColumnType(..) => Self::Row(error.to_string()),
            _ => Self::Other(error),
        }
    }
}
