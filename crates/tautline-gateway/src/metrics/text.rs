//! Metrics as OpenMetrics text.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::Registry,
};

use super::metric::{Kind, Metric, Sample};

/// What OpenMetrics 1.0 asks for.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PREFIX: &str = "tautline";

/// The text of one scrape.
pub(super) fn encode(metrics: &[Metric]) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Scrape(metrics.to_vec())));
    let mut written = String::new();
    text::encode(&mut written, &registry).expect("a string takes everything");
    written
}

#[derive(Debug)]
struct Scrape(Vec<Metric>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|metric| metric.encode(&mut encoder))
    }
}

impl Metric {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Counter(_) => MetricType::Counter,
            Kind::Gauge(_) => MetricType::Gauge,
            Kind::Histogram { .. } => MetricType::Histogram,
        };
        let mut encoder = encoder.encode_descriptor(self.name, self.help, None, kind)?;
        match &self.kind {
            Kind::Counter(samples) => each(samples, &mut encoder, |encoder, value| {
                encoder.encode_counter::<NoLabelSet, _, f64>(&value, None)
            }),
            Kind::Gauge(samples) => {
                each(samples, &mut encoder, |encoder, value| encoder.encode_gauge(&value))
            }
            Kind::Histogram { buckets, sum } => {
                let count = buckets.iter().map(|(_, count)| count).sum();
                encoder.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
            }
        }
    }
}

fn each(
    samples: &[Sample],
    encoder: &mut MetricEncoder<'_>,
    encode: impl Fn(&mut MetricEncoder<'_>, f64) -> fmt::Result,
) -> fmt::Result {
    samples.iter().try_for_each(|sample| match sample.labels.is_empty() {
        true => encode(encoder, sample.value),
        false => encode(&mut encoder.encode_family(&sample.labels)?, sample.value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_openmetrics_with_escaped_labels() {
        let drops = Sample::of(2).label("cause", "a\"b\\c\nd");
        let metrics = [
            Metric::gauge("connections", "WebSockets", [Sample::of(3)]),
            Metric::counter("drops", "Drops", [drops]),
            Metric::histogram("offline_seconds", "Offline", vec![(1.0, 2), (f64::INFINITY, 1)], 7.5),
        ];
        let wanted = concat!(
            "# HELP tautline_connections WebSockets\n",
            "# TYPE tautline_connections gauge\n",
            "tautline_connections 3.0\n",
            "# HELP tautline_drops Drops\n",
            "# TYPE tautline_drops counter\n",
            "tautline_drops_total{cause=\"a\\\"b\\\\c\\nd\"} 2.0\n",
            "# HELP tautline_offline_seconds Offline\n",
            "# TYPE tautline_offline_seconds histogram\n",
            "tautline_offline_seconds_sum 7.5\n",
            "tautline_offline_seconds_count 3\n",
            "tautline_offline_seconds_bucket{le=\"1.0\"} 2\n",
            "tautline_offline_seconds_bucket{le=\"+Inf\"} 3\n",
            "# EOF\n",
        );
        assert_eq!(encode(&metrics), wanted);
    }
}
