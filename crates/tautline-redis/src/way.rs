//! What is known of the way of hints: whether something comes over it.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::options::OVERDUE;

/// What is known of the way of hints.
#[derive(Debug)]
pub(crate) struct Way(Mutex<State>);

#[derive(Debug)]
struct State {
    /// When something came over it.
    heard_at: Instant,
    /// How often it was made.
    generation: u64,
}

impl Way {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State { heard_at: Instant::now(), generation: 0 }))
    }

    /// Something came over it.
    pub(crate) fn hear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).heard_at = Instant::now();
    }

    /// It is made, for the time that this returns.
    pub(crate) fn begin(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.generation += 1;
        state.generation
    }

    /// True where nothing has come for so long that this node is not to be trusted with clients.
    pub(crate) fn is_overdue(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).heard_at.elapsed() > OVERDUE
    }
}
