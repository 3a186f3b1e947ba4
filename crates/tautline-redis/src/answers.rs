//! Answers that no panic of a callback can stop.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tautline_engine::{Answer, EngineError};

/// Gives an outcome. A panic of the callback must not take the thread along.
pub(crate) fn give<T>(answer: Answer<T>, outcome: Result<T, EngineError>) {
    if catch_unwind(AssertUnwindSafe(|| answer.give(outcome))).is_err() {
        tracing::error!(event = "engine_callback_panicked", "engine callback panicked");
    }
}
