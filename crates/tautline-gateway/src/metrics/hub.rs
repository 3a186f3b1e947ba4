//! The metrics of the hub and of its engine.

use tautline_hub::{
    EngineFigures, Hub, HubCounters, HubStats, OFFLINE_BOUNDS_MS,
    meter::{JobFigures, JobKind},
};

use super::{
    count, labelled,
    metric::{Histogram, Metric, Sample},
};

pub(super) fn metrics(hub: &Hub) -> Vec<Metric> {
    let (stats, limits) = (hub.stats(), hub.hub_limits());
    let mut metrics = gauges(&stats);
    metrics.extend(queues([
        ("appends", stats.append_bytes, limits.appends_bytes_max),
        ("replies", stats.reply_bytes, limits.replies_bytes_max),
        ("presence", stats.presence_bytes, limits.presence_bytes_max),
    ]));
    let counters = hub.counters();
    metrics.extend(clients(&counters));
    metrics.extend(requests(&stats, &counters));
    metrics.extend(engine(&hub.engine_jobs()));
    metrics.extend(shared_engine(&hub.engine_figures(), stats.publications));
    metrics
}

fn queues(queues: [(&'static str, usize, usize); 3]) -> [Metric; 2] {
    let sample = |queue, bytes| count(bytes).label("queue", queue);
    [
        Metric::gauge(
            "queued_bytes",
            "Bytes that wait, by queue",
            queues.map(|(queue, bytes, _)| sample(queue, bytes)),
        ),
        Metric::gauge(
            "queue_limit_bytes",
            "Bytes that may wait, by queue",
            queues.map(|(queue, _, max)| sample(queue, max)),
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

fn clients(counts: &HubCounters) -> Vec<Metric> {
    let HubCounters { offline, .. } = counts;
    let resumes = counts.resumes.iter().map(|(outcome, reason, count)| {
        Sample::of(*count).label("outcome", *outcome).label("reason", *reason)
    });
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
        Metric::counter("resumes", "Hellos with a ticket, by what became of them, and why", resumes),
        Metric::counter(
            "logins_refused",
            "Logins that were not accepted, by reason",
            labelled("reason", &counts.logins_refused),
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
            [Histogram::of_buckets(buckets(&offline.counts), Sample::seconds(offline.sum_ms).value)],
        ),
        Metric::counter("byes", "Connections that the server ended, by code", labelled("code", &counts.byes)),
    ]
}

fn requests(hub: &HubStats, counts: &HubCounters) -> Vec<Metric> {
    vec![
        Metric::counter("publications", "Publications taken", [Sample::of(hub.publications)]),
        Metric::counter("deliveries", "Publications handed to connections", [Sample::of(counts.deliveries)]),
        Metric::counter(
            "requests_refused",
            "Requests of clients that were answered by an error, by its code",
            labelled("code", &counts.requests_refused),
        ),
        Metric::counter(
            "rate_limited",
            "Messages, requests and hellos refused because they came too fast",
            [Sample::of(hub.rate_limited)],
        ),
    ]
}

fn engine(jobs: &[JobFigures]) -> [Metric; 2] {
    let job = |kind: JobKind| kind.as_str();
    let errors = jobs.iter().flat_map(|figures| {
        figures
            .errors
            .map(|(error, count)| Sample::of(count).label("kind", job(figures.kind)).label("error", error))
    });
    [
        Metric::histogram(
            "engine_job_seconds",
            "From a job of the engine to its answer",
            jobs.iter().map(|figures| Histogram::of(&figures.latency).label("kind", job(figures.kind))),
        ),
        Metric::counter("engine_errors", "Jobs that the engine did not do, by error", errors),
    ]
}

/// What an engine counts that several nodes share; zeros for the others.
fn shared_engine(figures: &EngineFigures, publications: u64) -> Vec<Metric> {
    let EngineFigures { hints_sent, hints_dropped, hints_taken, looks, found_by_looks, .. } = figures;
    vec![
        Metric::counter(
            "wakeups",
            "Channels with something new, by how this node came to know: published here, a hint, a look",
            [
                Sample::of(publications).label("source", "local"),
                Sample::of(*hints_taken).label("source", "hint"),
                Sample::of(*found_by_looks).label("source", "look"),
            ],
        ),
        Metric::counter(
            "hints",
            "Hints for other nodes, by what became of them",
            [
                Sample::of(*hints_sent).label("outcome", "sent"),
                Sample::of(*hints_dropped).label("outcome", "dropped"),
            ],
        ),
        Metric::counter(
            "hint_interruptions",
            "Times that the way of hints was interrupted",
            [Sample::of(figures.hint_interruptions)],
        ),
        Metric::counter("engine_looks", "Channels looked at without a hint", [Sample::of(*looks)]),
        Metric::counter(
            "engine_redials",
            "Connections to the server of the engine that were made again",
            [Sample::of(figures.redials)],
        ),
        Metric::counter(
            "engine_healed_logs",
            "Logs that had lost publications and began a new epoch",
            [Sample::of(figures.healed)],
        ),
        Metric::histogram(
            "engine_round_trip_seconds",
            "Requests to the server of the engine",
            [Histogram::of(&figures.round_trips)],
        ),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "the bounds are small")]
fn buckets(counts: &[u64]) -> Vec<(f64, u64)> {
    let bounds = OFFLINE_BOUNDS_MS.iter().map(|ms| *ms as f64 / 1_000.0).chain([f64::INFINITY]);
    bounds.zip(counts.iter().copied()).collect()
}
