//! Metrics: what `/metrics` and `/metrics/channels` answer.
//!
//! Start at [`scrape`]. Everything is read when it is asked for, so metrics cost nothing in between. Their names and
//! labels are closed sets: no user, channel or client makes a new series.

mod backend;
mod channels;
mod gateway;
mod hub;
mod metric;
mod process;
mod text;

use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use self::text::Format;
pub use self::{
    metric::{Histogram, Metric, Sample},
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
pub(crate) fn scrape(state: &GatewayState, format: Format) -> String {
    let mut metrics = gateway::metrics(state);
    metrics.extend(hub::metrics(&state.hub));
    metrics.extend(backend::metrics(&state.access.backend.figures(state.clock.now())));
    metrics.push(channels::slowest_reader(state));
    metrics.extend(process::metrics());
    metrics.extend(state.metrics.read());
    format.encode(&metrics)
}

/// The metrics of channels, by the patterns of their rules.
pub(crate) fn scrape_channels(state: &GatewayState, format: Format) -> String {
    format.encode(&channels::metrics(state))
}

fn labelled(label: &'static str, counts: &[(&'static str, u64)]) -> Vec<Sample> {
    counts.iter().map(|(value, count)| Sample::of(*count).label(label, *value)).collect()
}

fn count(value: usize) -> Sample {
    Sample::of(value as u64)
}
