//! The metrics of channels, by the patterns of their rules.

use tautline_hub::PatternFigures;

use super::metric::{Metric, Sample};
use crate::state::GatewayState;

/// Channels that one scrape looks at.
const CHANNELS_MAX: usize = 200_000;

/// The slowest reader of all channels, or of as many as one scrape looks at.
pub(super) fn slowest_reader(state: &GatewayState) -> Metric {
    let (patterns, _) = state.hub.pattern_figures(CHANNELS_MAX);
    let slowest = patterns.iter().map(|figures| figures.slowest_lag).max().unwrap_or_default();
    Metric::gauge(
        "slowest_reader_entries",
        "Publications that the slowest reader of any channel has not been handed",
        [Sample::of(slowest)],
    )
}

/// Of the patterns with the most subscribers.
pub(super) fn metrics(state: &GatewayState) -> Vec<Metric> {
    let (mut patterns, is_whole) = state.hub.pattern_figures(CHANNELS_MAX);
    let known = patterns.len() as u64;
    patterns.sort_by(|a, b| (b.subscribers, &a.pattern).cmp(&(a.subscribers, &b.pattern)));
    patterns.truncate(state.config.metrics_patterns_max);
    let gauge = |name, help, value: fn(&PatternFigures) -> u64| {
        let sample =
            |figures: &PatternFigures| Sample::of(value(figures)).label("pattern", &*figures.pattern);
        Metric::gauge(name, help, patterns.iter().map(sample))
    };
    vec![
        gauge("pattern_channels", "Channels in use, by the pattern of their rule", |of| of.channels),
        gauge("pattern_subscribers", "Subscribed connections, once for each channel", |of| of.subscribers),
        gauge("pattern_tail_bytes", "Publications in memory for live readers", |of| of.tail_bytes),
        gauge(
            "pattern_slowest_reader_entries",
            "Publications that the slowest reader of any channel has not been handed",
            |of| of.slowest_lag,
        ),
        Metric::gauge("patterns", "Patterns that have channels in use", [Sample::of(known)]),
        Metric::gauge(
            "pattern_figures_complete",
            "1 where all channels in use were looked at",
            [Sample::of(u64::from(is_whole))],
        ),
    ]
}
