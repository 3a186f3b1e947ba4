//! The engine, with its jobs counted where the shell lends a clock.
//!
//! Start at [`MeasuredEngine::submit`]. Everything but jobs goes straight to the engine.

use std::{
    ops::Deref,
    sync::{Arc, OnceLock},
};

use tautline_engine::{
    Engine, Job,
    meter::{JobFigures, Meter, Stopwatch},
};

/// An engine and its meter.
pub(crate) struct MeasuredEngine {
    engine: Arc<dyn Engine>,
    /// Empty where nothing is measured, as in simulations.
    meter: OnceLock<Arc<Meter>>,
}

impl MeasuredEngine {
    pub(crate) const fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, meter: OnceLock::new() }
    }

    /// Hands a job to the engine. Found before the engine's own function of this name.
    pub(crate) fn submit(&self, job: Job) {
        self.engine.submit(match self.meter.get() {
            Some(meter) => job.watched_by(meter),
            None => job,
        });
    }

    /// Measures jobs by this clock from now on. The first call counts.
    pub(crate) fn measure(&self, clock: Stopwatch) {
        self.meter.get_or_init(|| Meter::new(clock));
    }

    /// What was measured.
    pub(crate) fn jobs(&self) -> Vec<JobFigures> {
        self.meter.get().map(|meter| meter.figures()).unwrap_or_default()
    }
}

impl Deref for MeasuredEngine {
    type Target = dyn Engine;

    fn deref(&self) -> &Self::Target {
        &*self.engine
    }
}
