//! The reply handle of a job.

use crate::{EngineError, meter::Watch};

/// The reply handle of one job. Dropped unused, it answers that the job is in doubt: no caller waits forever.
pub struct Answer<T> {
    take: Option<Callback<T>>,
    watch: Option<Watch>,
}

type Callback<T> = Box<dyn FnOnce(Result<T, EngineError>) + Send>;

impl<T> Answer<T> {
    /// An answer that calls `take` once.
    pub fn new(take: impl FnOnce(Result<T, EngineError>) + Send + 'static) -> Self {
        Self { take: Some(Box::new(take)), watch: None }
    }

    /// Passes the outcome to the callback.
    pub fn give(mut self, outcome: Result<T, EngineError>) {
        self.settle(outcome);
    }

    /// The same, measured by `watch`.
    pub(crate) fn watched(self, watch: Watch) -> Self {
        let mut answer = self;
        answer.watch = Some(watch);
        answer
    }

    fn settle(&mut self, outcome: Result<T, EngineError>) {
        let Some(take) = self.take.take() else { return };
        if let Some(watch) = self.watch.take() {
            watch.end(outcome.as_ref().err().map(EngineError::kind));
        }
        take(outcome);
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        // Nothing is made where it was answered, as nearly all are.
        if self.take.is_some() {
            let words = "the engine dropped the job before it completed";
            self.settle(Err(EngineError::InDoubt(words.to_owned())));
        }
    }
}

impl<T> std::fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answer(…)")
    }
}
