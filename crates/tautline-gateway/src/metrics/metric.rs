//! One metric with its samples.

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
    /// How many were within each upper bound and beyond the one before, and the sum of all.
    Histogram {
        buckets: Vec<(f64, u64)>,
        sum: f64,
    },
}

/// A value with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) value: f64,
}

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

    pub(super) fn histogram(
        name: &'static str,
        help: &'static str,
        buckets: Vec<(f64, u64)>,
        sum: f64,
    ) -> Self {
        Self { name, help, kind: Kind::Histogram { buckets, sum } }
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
