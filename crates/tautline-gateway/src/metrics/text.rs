//! Metrics as text, in either of the two formats that are asked for.
//!
//! Start at [`Format::encode`].

use std::fmt::{self, Write as _};

use super::metric::{Histogram, Kind, Labels, Metric, Sample};

const PREFIX: &str = "tautline_";

/// A format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// [OpenMetrics 1.0](https://prometheus.io/docs/specs/om/open_metrics_spec/).
    OpenMetrics,
    /// [Prometheus 0.0.4](https://prometheus.io/docs/instrumenting/exposition_formats/), for everybody who asks for
    /// nothing else.
    Prometheus,
}

impl Format {
    /// The better one of those that a request accepts.
    pub(crate) fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The text of one scrape. Metrics without a sample are left out.
    pub(super) fn encode(self, metrics: &[Metric]) -> String {
        let mut text = String::new();
        metrics
            .iter()
            .try_for_each(|metric| self.write(&mut text, metric))
            .expect("a string takes everything");
        if self == Self::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }

    fn write(self, text: &mut String, metric: &Metric) -> fmt::Result {
        let (kind, is_empty) = match &metric.kind {
            Kind::Counter(samples) => ("counter", samples.is_empty()),
            Kind::Gauge(samples) => ("gauge", samples.is_empty()),
            Kind::Histogram(histograms) => ("histogram", histograms.is_empty()),
        };
        if is_empty {
            return Ok(());
        }
        // A family of counters has the suffix in one of the formats only; its samples always have it.
        let suffix = if self == Self::Prometheus && kind == "counter" { "_total" } else { "" };
        let name = metric.name;
        writeln!(text, "# HELP {PREFIX}{name}{suffix} {}", escaped(metric.help))?;
        writeln!(text, "# TYPE {PREFIX}{name}{suffix} {kind}")?;
        match &metric.kind {
            Kind::Counter(samples) => write_samples(text, name, "_total", samples),
            Kind::Gauge(samples) => write_samples(text, name, "", samples),
            Kind::Histogram(histograms) => {
                histograms.iter().try_for_each(|histogram| write_histogram(text, name, histogram))
            }
        }
    }
}

fn write_samples(text: &mut String, name: &str, suffix: &str, samples: &[Sample]) -> fmt::Result {
    samples.iter().try_for_each(|sample| {
        write!(text, "{PREFIX}{name}{suffix}")?;
        write_labels(text, &sample.labels, None)?;
        writeln!(text, " {}", sample.value)
    })
}

fn write_histogram(text: &mut String, name: &str, histogram: &Histogram) -> fmt::Result {
    let labels = &histogram.labels;
    let mut count = 0;
    for (bound, within) in &histogram.buckets {
        count += within;
        let bound = if bound.is_finite() { format!("{bound:?}") } else { "+Inf".to_owned() };
        write!(text, "{PREFIX}{name}_bucket")?;
        write_labels(text, labels, Some(("le", &bound)))?;
        writeln!(text, " {count}")?;
    }
    write!(text, "{PREFIX}{name}_sum")?;
    write_labels(text, labels, None)?;
    writeln!(text, " {}", histogram.sum)?;
    write!(text, "{PREFIX}{name}_count")?;
    write_labels(text, labels, None)?;
    writeln!(text, " {count}")
}

fn write_labels(text: &mut String, labels: &Labels, last: Option<(&str, &str)>) -> fmt::Result {
    let mut is_first = true;
    for (name, value) in labels.iter().map(|(name, value)| (*name, value.as_str())).chain(last) {
        let begin = if std::mem::take(&mut is_first) { '{' } else { ',' };
        write!(text, "{begin}{name}=\"{}\"", escaped(value))?;
    }
    if !is_first {
        text.push('}');
    }
    Ok(())
}

/// What both formats escape in labels.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> [Metric; 4] {
        let drops = Sample::of(2).label("cause", "a\"b\\c\nd").label("of", "x");
        let offline = Histogram::of_buckets(vec![(1.0, 2), (f64::INFINITY, 1)], 7.5).label("kind", "k");
        [
            Metric::gauge("connections", "WebSockets", [Sample::of(3)]),
            Metric::counter("drops", "Drops", [drops]),
            Metric::counter("nothing", "Nothing", []),
            Metric::histogram("offline_seconds", "Offline", [offline]),
        ]
    }

    const HISTOGRAM: &str = concat!(
        "# HELP tautline_offline_seconds Offline\n",
        "# TYPE tautline_offline_seconds histogram\n",
        "tautline_offline_seconds_bucket{kind=\"k\",le=\"1.0\"} 2\n",
        "tautline_offline_seconds_bucket{kind=\"k\",le=\"+Inf\"} 3\n",
        "tautline_offline_seconds_sum{kind=\"k\"} 7.5\n",
        "tautline_offline_seconds_count{kind=\"k\"} 3\n",
    );

    #[test]
    fn text_is_openmetrics_with_escaped_labels() {
        let wanted = concat!(
            "# HELP tautline_connections WebSockets\n",
            "# TYPE tautline_connections gauge\n",
            "tautline_connections 3\n",
            "# HELP tautline_drops Drops\n",
            "# TYPE tautline_drops counter\n",
            "tautline_drops_total{cause=\"a\\\"b\\\\c\\nd\",of=\"x\"} 2\n",
        );
        assert_eq!(Format::OpenMetrics.encode(&metrics()), format!("{wanted}{HISTOGRAM}# EOF\n"));
    }

    #[test]
    fn counters_of_prometheus_text_have_the_suffix_in_their_type() {
        let text = Format::Prometheus.encode(&metrics());
        assert!(text.contains("# TYPE tautline_drops_total counter\n"), "{text}");
        assert!(text.ends_with(HISTOGRAM), "{text}");
    }

    #[test]
    fn openmetrics_is_for_those_who_accept_it() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Prometheus);
        assert_eq!(Format::accepted(""), Format::Prometheus);
    }
}
