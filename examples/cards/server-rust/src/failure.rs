//! Why a request is not done.

/// What became of a request that was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The shop says no, and says so again to a repetition.
    #[error("{code}: {message}")]
    Refused { code: &'static str, message: &'static str },
    /// The request may be repeated: its key makes that harmless.
    #[error("{0}")]
    Unavailable(String),
    /// There is such a row already.
    #[error("there is such a row already")]
    Duplicate,
    /// Two transactions have waited for each other, and this one has given way.
    #[error("another transaction was first")]
    Conflict,
    /// A fault of this program.
    #[error("{0}")]
    Fault(String),
}

impl Failure {
    /// A refusal.
    pub(crate) fn refused(code: &'static str, message: &'static str) -> Self {
        Self::Refused { code, message }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let Some(told) = error.as_database_error() else {
            return Self::Unavailable(format!("database: {error}"));
        };
        if told.is_unique_violation() {
            return Self::Duplicate;
        }
        match told.code().as_deref() {
            // Of PostgreSQL and MySQL: a deadlock, and what cannot be in a row; of SQLite: busy.
            Some("40P01" | "40001" | "1213" | "5") => Self::Conflict,
            _ => Self::Unavailable(format!("database: {told}")),
        }
    }
}
