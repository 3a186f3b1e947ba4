//! One metric with its samples.

use tautline_hub::latency::{LATENCY_BOUNDS_US, LatencyFigures};

/// A metric of `/metrics`. Its name gets the prefix `tautline_`; counters also get the suffix `_total`.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
}

/// The values of a metric.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Counter(Vec<Sample>),
    Gauge(Vec<Sample>),
    Histogram(Vec<Histogram>),
}

/// A value with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub(super) labels: Labels,
    pub(super) value: f64,
}

/// A histogram with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    pub(super) labels: Labels,
    /// How many were within each upper bound and beyond the one before.
    pub(super) buckets: Vec<(f64, u64)>,
    pub(super) sum: f64,
}

pub(super) type Labels = Vec<(&'static str, String)>;

impl Metric {
    /// What only grows, until the process starts anew.
    #[must_use]
    pub fn counter(
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = Sample>,
    ) -> Self {
        Self { name, help, kind: Kind::Counter(samples.into_iter().collect()) }
    }

    /// What rises and falls.
    #[must_use]
    pub fn gauge(name: &'static str, help: &'static str, samples: impl IntoIterator<Item = Sample>) -> Self {
        Self { name, help, kind: Kind::Gauge(samples.into_iter().collect()) }
    }

    /// How often something was how large.
    #[must_use]
    pub fn histogram(
        name: &'static str,
        help: &'static str,
        histograms: impl IntoIterator<Item = Histogram>,
    ) -> Self {
        Self { name, help, kind: Kind::Histogram(histograms.into_iter().collect()) }
    }
}

impl Sample {
    /// A value without labels.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the text has no more digits either")]
    pub fn of(value: u64) -> Self {
        Self { labels: Vec::new(), value: value as f64 }
    }

    /// The same with a label. Its values must be a closed set: each makes a series of its own, for ever.
    #[must_use]
    pub fn label(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.labels.push((name, value.into()));
        self
    }

    /// Seconds of milliseconds.
    #[must_use]
    pub fn seconds(ms: u64) -> Self {
        let mut sample = Self::of(ms);
        sample.value /= 1_000.0;
        sample
    }
}

impl Histogram {
    /// Durations, in seconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the text has no more digits either")]
    pub fn of(figures: &LatencyFigures) -> Self {
        let bounds = LATENCY_BOUNDS_US.iter().map(|us| *us as f64 / 1e6).chain([f64::INFINITY]);
        let buckets = bounds.zip(figures.counts).collect();
        Self { labels: Vec::new(), buckets, sum: figures.sum_us as f64 / 1e6 }
    }

    /// The same with a label, of a closed set of values as for [`Sample::label`].
    #[must_use]
    pub fn label(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.labels.push((name, value.into()));
        self
    }

    pub(super) fn of_buckets(buckets: Vec<(f64, u64)>, sum: f64) -> Self {
        Self { labels: Vec::new(), buckets, sum }
    }
}
