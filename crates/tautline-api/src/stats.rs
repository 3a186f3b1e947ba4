//! The figures of this node.

use axum::Json;
use serde::Serialize;
use tautline_hub::HubStats;
use utoipa::ToSchema;

use crate::{
    HostFigures,
    request::{Asked, ToRead},
};

/// Figures of this node.
#[derive(Serialize, ToSchema)]
pub(crate) struct Stats {
    /// WebSockets.
    connections: usize,
    /// Users that have a connection.
    users_online: usize,
    /// Subscriptions of all connections.
    subscriptions: usize,
    /// Connections that are still, or only, HTTP.
    http_connections: usize,
    /// Sessions, parked ones included.
    sessions: usize,
    /// Channels that have a subscriber or publications.
    channels: usize,
    /// Publications since the process started.
    publications: u64,
    /// Members of rosters, those of parked sessions included.
    presence_seats: usize,
    /// Bytes of publications in memory.
    log_bytes: usize,
    /// Bytes of publications that the engine has not completed.
    append_bytes: usize,
    /// Bytes of replies that clients have not yet seen.
    reply_bytes: usize,
    /// Hellos in the admission queue.
    hellos_waiting: usize,
    /// Messages, requests and hellos refused since the process started because they came too fast.
    rate_limited: u64,
    /// Methods that run and did not answer at once.
    calls_running: usize,
    /// Connections that a panic has ended since the process started: each is a bug of the gateway.
    panics: u64,
}

/// Reads the figures of this node
///
/// Current gauges, and counters since the process started.
#[utoipa::path(get, path = "/api/v1/stats", tag = "read",
    responses((status = 200, description = "The figures", body = Stats)))]
pub(crate) async fn stats(asked: Asked<ToRead>) -> Json<Stats> {
    Json(Stats::new(&asked.host.hub().stats(), asked.host.figures()))
}

impl Stats {
    fn new(hub: &HubStats, host: HostFigures) -> Self {
        Self {
            connections: host.connections,
            users_online: hub.users_online,
            subscriptions: hub.subscriptions,
            http_connections: host.http_connections,
            sessions: hub.sessions,
            channels: hub.channels,
            publications: hub.publications,
            presence_seats: hub.presence_seats,
            log_bytes: hub.log_bytes,
            append_bytes: hub.append_bytes,
            reply_bytes: hub.reply_bytes,
            hellos_waiting: hub.hellos_waiting,
            rate_limited: hub.rate_limited,
            calls_running: host.calls_running,
            panics: host.panics,
        }
    }
}
