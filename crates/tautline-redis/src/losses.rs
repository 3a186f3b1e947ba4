//! Says that logs have lost publications, without a line for each of them.

use std::sync::{Mutex, PoisonError};

use tautline_protocol::ChannelName;
use tokio::time::{Duration, Instant};

/// Between two lines that say that logs have lost publications.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Logs that have lost publications, and when that was last said.
#[derive(Debug, Default)]
pub(crate) struct Losses(Mutex<(u64, Option<Instant>)>);

impl Losses {
    /// One more log.
    pub(crate) fn count(&self, channel: &ChannelName) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
        if state.1.is_none_or(|at| at.elapsed() > SAY_EVERY) {
            state.1 = Some(Instant::now());
            let logs = std::mem::take(&mut state.0);
            tracing::error!(
                event = "redis_publications_lost", logs, %channel,
                "Redis has lost publications that were seen; their logs begin a new epoch, and readers are told"
            );
        }
    }
}
