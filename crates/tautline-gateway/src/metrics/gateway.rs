//! The metrics of the gateway itself: connections, calls, questions, limits.

use std::sync::atomic::Ordering;

use tautline_hub::LimitFigures;

use super::{
    count, labelled,
    metric::{Histogram, Metric, Sample},
};
use crate::{
    figures::{GatewayFigures, TimedFigures, figures},
    state::GatewayState,
};

pub(super) fn metrics(state: &GatewayState) -> Vec<Metric> {
    let GatewayFigures { timed, limits, connections_refused } = figures(state);
    let mut metrics = gauges(state);
    metrics.extend(durations(&timed));
    metrics.extend(of_limits(&limits));
    metrics.push(Metric::counter(
        "connections_refused",
        "Connections that were closed before they said anything, by reason",
        labelled("reason", &connections_refused),
    ));
    metrics
}

fn gauges(state: &GatewayState) -> Vec<Metric> {
    let is_ready = !state.not_ready.load(Ordering::Acquire) && state.hub.takes_appends();
    let now = state.clock.now();
    vec![
        Metric::gauge(
            "build_info",
            "1, with the version of the gateway",
            [Sample::of(1)
                .label("version", env!("CARGO_PKG_VERSION"))
                .label("revision", option_env!("TAUTLINE_REVISION").unwrap_or("unknown"))
                .label("target", target())],
        ),
        Metric::gauge(
            "start_time_seconds",
            "When the gateway started, in seconds since 1970",
            [Sample::seconds(now.wall_ms.saturating_sub(now.mono_ms))],
        ),
        Metric::gauge("connections", "WebSockets", [count(state.connections.in_use())]),
        Metric::gauge(
            "http_connections",
            "Connections that are still, or only, HTTP",
            [count(state.http_connections.in_use())],
        ),
        Metric::gauge(
            "calls_running",
            "Methods that run and did not answer at once",
            [count(state.calls.in_use())],
        ),
        Metric::gauge(
            "ready",
            "1 while the node takes clients and publications",
            [Sample::of(u64::from(is_ready))],
        ),
        Metric::counter(
            "panics",
            "Connections that a panic ended: each is a bug of the gateway",
            [Sample::of(state.panics.load(Ordering::Relaxed))],
        ),
    ]
}

fn target() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

/// Outcomes that have not happened have no histogram, but those of success always do.
fn durations(timed: &[TimedFigures]) -> [Metric; 2] {
    let is_shown = |figures: &&TimedFigures| figures.outcome == "ok" || figures.latency.count() > 0;
    let shown = || timed.iter().filter(is_shown);
    let of = |figures: &TimedFigures| Histogram::of(&figures.latency).label("outcome", figures.outcome);
    let of_kind = |figures: &TimedFigures| of(figures).label("kind", figures.kind);
    [
        Metric::histogram(
            "call_seconds",
            "How long methods ran, by what came of it",
            shown().filter(|figures| figures.kind == "call").map(of),
        ),
        Metric::histogram(
            "question_seconds",
            "How long checks of logins and permissions took, by what came of it",
            shown().filter(|figures| figures.kind != "call").map(of_kind),
        ),
    ]
}

fn of_limits(limits: &[LimitFigures]) -> [Metric; 3] {
    let shared = || limits.iter().filter_map(|limit| Some((limit.limit, limit.use_of?)));
    let sample = |limit, value| count(value).label("limit", limit);
    [
        Metric::gauge(
            "limit_used",
            "What is in use of a limit that all clients share, in its own unit",
            shared().map(|(limit, (used, _))| sample(limit, used)),
        ),
        Metric::gauge(
            "limit_max",
            "A limit that all clients share, in its own unit",
            shared().map(|(limit, (_, max))| sample(limit, max)),
        ),
        Metric::counter(
            "limit_refusals",
            "What was refused because a limit was reached, by the option that sets it",
            limits.iter().map(|limit| Sample::of(limit.refused).label("limit", limit.limit)),
        ),
    ]
}
