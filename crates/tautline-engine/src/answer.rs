//! The reply handle of a job.

use crate::EngineError;

/// The reply handle of one job. Dropped unused, it answers that the job is in doubt: no caller waits forever.
pub struct Answer<T>(Option<Callback<T>>);

type Callback<T> = Box<dyn FnOnce(Result<T, EngineError>) + Send>;

impl<T> Answer<T> {
    /// An answer that calls `take` once.
    pub fn new(take: impl FnOnce(Result<T, EngineError>) + Send + 'static) -> Self {
        Self(Some(Box::new(take)))
    }

    /// Passes the outcome to the callback.
    pub fn give(mut self, outcome: Result<T, EngineError>) {
        if let Some(take) = self.0.take() {
            take(outcome);
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if let Some(take) = self.0.take() {
            take(Err(EngineError::InDoubt("the engine dropped the job before it completed".to_owned())));
        }
    }
}

impl<T> std::fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answer(…)")
    }
}
