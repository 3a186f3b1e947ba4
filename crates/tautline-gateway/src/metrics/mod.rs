//! Metrics in OpenMetrics: what `/metrics` answers.
//!
//! Start at [`scrape`]. Everything is read when it is asked for, so metrics cost nothing in between. Their names and
//! labels are closed sets: no user, channel or client makes a new series.

mod metric;
mod node;
mod process;
mod text;

use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use self::text::CONTENT_TYPE;
pub use self::{
    metric::{Metric, Sample},
    process::{ProcessFigures, process_figures},
};
use crate::state::GatewayState;

/// Where metrics beside the gateway's own come from.
type Source = Arc<dyn Fn() -> Vec<Metric> + Send + Sync>;

/// The sources of metrics beside the gateway's own.
#[derive(Default)]
pub(crate) struct Sources(Mutex<Vec<Source>>);

impl Sources {
    pub(crate) fn add(&self, source: Source) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(source);
    }

    fn read(&self) -> Vec<Metric> {
        // Sources are not ours: none is asked under the lock.
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sources.iter().flat_map(|source| source()).collect()
    }
}

/// All metrics of this node as text.
pub(crate) fn scrape(state: &GatewayState) -> String {
    let mut metrics = node::metrics(state);
    metrics.extend(process::metrics());
    metrics.extend(state.metrics.read());
    text::encode(&metrics)
}
