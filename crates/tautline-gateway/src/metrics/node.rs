//! The metrics of the node: its gateway and its hub.

use std::sync::atomic::Ordering;

use tautline_hub::{HubCounters, HubStats, OFFLINE_BOUNDS_MS};

use super::metric::{Metric, Sample};
use crate::state::GatewayState;

pub(super) fn metrics(state: &GatewayState) -> Vec<Metric> {
    let hub = state.hub.stats();
    let mut metrics = shell(state);
    metrics.extend(gauges(&hub));
    metrics.push(Metric::gauge(
        "queued_bytes",
        "Bytes that wait, by queue",
        [
            queue("appends", hub.append_bytes),
            queue("replies", hub.reply_bytes),
            queue("presence", hub.presence_bytes),
        ],
    ));
    metrics.extend(counters(&hub, &state.hub.counters()));
    metrics
}

fn shell(state: &GatewayState) -> Vec<Metric> {
    let is_ready = !state.not_ready.load(Ordering::Acquire) && state.hub.takes_appends();
    vec![
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

fn gauges(hub: &HubStats) -> Vec<Metric> {
    let gauge = |name, help, value| Metric::gauge(name, help, [count(value)]);
    vec![
        gauge("sessions", "Sessions, parked ones included", hub.sessions),
        gauge("users_online", "Users that have a connection", hub.users_online),
        gauge("channels", "Channels that have a subscriber or publications", hub.channels),
        gauge("subscriptions", "Subscriptions of all connections", hub.subscriptions),
        gauge(
            "presence_members",
            "Members of rosters, those of parked sessions included",
            hub.presence_seats,
        ),
        gauge("log_bytes", "Publications in memory", hub.log_bytes),
        gauge("log_pages", "Log pages being read, queued, or waiting for readers", hub.pages),
        gauge("hellos_waiting", "Hellos in the admission queue", hub.hellos_waiting),
    ]
}

fn counters(hub: &HubStats, counts: &HubCounters) -> Vec<Metric> {
    let HubCounters { offline, .. } = counts;
    vec![
        Metric::counter(
            "hellos",
            "Hellos, by what became of them",
            [
                Sample::of(counts.sessions_opened).label("outcome", "opened"),
                Sample::of(counts.sessions_resumed).label("outcome", "resumed"),
                Sample::of(counts.challenges).label("outcome", "challenged"),
            ],
        ),
        Metric::counter(
            "channels_resumed",
            "Channels of returning clients that went on without a gap",
            [Sample::of(counts.channels_resumed)],
        ),
        Metric::counter("gaps", "Gaps told to clients, by reason", labelled("reason", &counts.gaps)),
        Metric::counter("drops", "Drops that clients told of, by cause", labelled("cause", &counts.drops)),
        Metric::histogram(
            "offline_seconds",
            "How long returning clients were offline",
            buckets(&offline.counts),
            Sample::seconds(offline.sum_ms).value,
        ),
        Metric::counter("byes", "Connections that the server ended, by code", labelled("code", &counts.byes)),
        Metric::counter("publications", "Publications taken", [Sample::of(hub.publications)]),
        Metric::counter("deliveries", "Publications handed to connections", [Sample::of(counts.deliveries)]),
        Metric::counter(
            "rate_limited",
            "Messages, requests and hellos refused because they came too fast",
            [Sample::of(hub.rate_limited)],
        ),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "the bounds are small")]
fn buckets(counts: &[u64]) -> Vec<(f64, u64)> {
    let bounds = OFFLINE_BOUNDS_MS.iter().map(|ms| *ms as f64 / 1_000.0).chain([f64::INFINITY]);
    bounds.zip(counts.iter().copied()).collect()
}

fn labelled(label: &'static str, counts: &[(&'static str, u64)]) -> Vec<Sample> {
    counts.iter().map(|(value, count)| Sample::of(*count).label(label, *value)).collect()
}

fn queue(name: &'static str, bytes: usize) -> Sample {
    count(bytes).label("queue", name)
}

fn count(value: usize) -> Sample {
    Sample::of(value as u64)
}
