//! What a person at the terminal sees while a load runs. Nothing where stderr is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

pub(super) struct Progress {
    bar: ProgressBar,
    run: String,
}

impl Progress {
    pub(super) fn new(run: String) -> Self {
        let style = ProgressStyle::with_template("{prefix} {bar:30} {wide_msg}");
        let bar = ProgressBar::new(0).with_style(style.expect("the bar's template is well formed"));
        Self { bar, run }
    }

    /// For what goes on beside the load.
    pub(super) fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), run: String::new() }
    }

    /// A phase begins.
    pub(super) fn begin(&self, phase: &'static str, total: usize) {
        self.bar.set_prefix(self.run.clone());
        self.bar.set_message(phase);
        self.bar.set_length(total as u64);
        self.bar.set_position(0);
    }

    pub(super) fn at(&self, position: usize) {
        self.bar.set_position(position as u64);
    }

    /// A phase that takes a while, in thousandths of it.
    pub(super) fn time(&self, passed: Duration, of: Duration) {
        let part = passed.as_secs_f64() / of.as_secs_f64().max(0.001);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
        self.bar.set_position((part.clamp(0.0, 1.0) * 1000.0) as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
