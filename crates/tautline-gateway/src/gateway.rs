//! The gateway as an embedder sees it: serves, publishes, drains, counts.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::Router;
use http::{Extensions, HeaderMap};
use serde_json::value::RawValue;
use tautline_api::{ApiKeys, Host, WebhookControl};
use tautline_backend::Backend;
use tautline_hub::{Control, Hub, HubStats, Inbox, PublishOptions, RevokeLogins, Revoked};
use tautline_protocol::{
    ChannelName, Now, UserId,
    packet::{ErrorBody, server::Published},
};
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::{
    accept,
    drain::{DrainProgress, whole_ms},
    figures::{GatewayFigures, figures},
    http::{origins::Origins, routes},
    listener::{Listener, Serves},
    metrics::Metric,
    state::GatewayState,
    timer_wheel::wake_batched,
    transport::tls::config::Tls,
};

/// An embeddable Tautline server. Cheap to clone; every clone is the same gateway.
///
/// Its work runs on the tokio runtime in which [`Gateway::serve`] is polled or the [`Gateway::router`] serves
/// its first request.
#[derive(Clone)]
pub struct Gateway(Arc<GatewayState>);

/// Current figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GatewayStats {
    /// The hub's figures.
    pub hub: HubStats,
    /// WebSockets.
    pub connections: usize,
    /// Connections of [`Gateway::serve`] that are still, or only, HTTP.
    pub http_connections: usize,
    /// Methods that run and did not answer at once.
    pub calls_running: usize,
    /// Connections that a panic has ended since the start: each is a bug of the gateway.
    pub panics: u64,
}

impl Gateway {
    pub(crate) fn new(state: GatewayState) -> Self {
        Self(Arc::new(state))
    }

    /// The gateway's routes, to be served alone or merged with others: `/connect`, `/api/v1/…`, `/health/live`,
    /// `/health/ready`, `/metrics`, `/metrics/channels`.
    ///
    /// Under [`axum::serve()`] on a plain `TcpListener`, WebSockets are as cheap as under [`Gateway::serve`];
    /// behind another transport (TLS) each costs what that transport holds. Where the server adds axum's
    /// `ConnectInfo<SocketAddr>`, the gateway knows the addresses of clients, also behind
    /// [`GatewayConfig::trusted_proxies`](crate::GatewayConfig::trusted_proxies).
    pub fn router(&self) -> Router {
        self.guarded(routes::router(&self.0, Serves::default()))
    }

    /// Adds to your own routes the check of hosts and origins that the gateway's routes have:
    /// [`GatewayBuilder::hosts`](crate::GatewayBuilder::hosts).
    pub fn guarded(&self, router: Router) -> Router {
        routes::guarded(&self.0, router)
    }

    /// Serves the routes on a TCP or Unix listener, or on a [`Listener`] with options, until
    /// [`Gateway::drain`]. The future owns all it needs: it may be spawned, and several listeners may be
    /// served at once. A runtime of your own accepts bursts of thousands faster with
    /// `max_io_events_per_tick(128)`.
    ///
    /// # Errors
    /// When the listener's socket options cannot be set. A failed `accept` is tried again.
    pub fn serve<L: Into<Listener>>(
        &self,
        listener: L,
    ) -> impl Future<Output = io::Result<()>> + Send + use<L> {
        let listener = listener.into();
        let others = listener.others.clone();
        let router = self.guarded(routes::router(&self.0, listener.serves).merge(others));
        let router = routes::with_fallback(&self.0, router, listener.serves);
        accept::serve(Arc::clone(&self.0), router, listener)
    }

    /// The same with TLS: `wss://` and `https://`.
    ///
    /// # Errors
    /// As [`Gateway::serve`].
    pub fn serve_tls(
        &self,
        listener: TcpListener,
        tls: Tls,
    ) -> impl Future<Output = io::Result<()>> + Send + use<> {
        self.serve(Listener::from(listener).tls(tls))
    }

    /// Makes `/health/ready` answer `not ready` from now on; everything else goes on as before. Load
    /// balancers get time to notice before [`Gateway::drain`] closes the port.
    pub fn mark_not_ready(&self) {
        self.0.not_ready.store(true, Ordering::Release);
    }

    /// Takes the gateway down: stops accepting and tells every client to reconnect, each at its own moment
    /// within `spread` and after its running requests are answered. Returns when all connections and methods
    /// are gone, or after `timeout`. A peer that cannot be asked, because it does not read or has not sent
    /// `hello`, gets no more than `spread` and
    /// [`GatewayConfig::linger_timeout`](crate::GatewayConfig::linger_timeout) together. Acknowledged
    /// positions are handed to the engine at the end; the caller closes the engine.
    pub async fn drain(&self, spread: Duration, timeout: Duration) {
        self.mark_not_ready();
        let state = &self.0;
        let grace = spread.saturating_add(state.config.linger_timeout);
        state.drain.start(state.clock.now(), grace, state.connections.in_use());
        state.hub.drain(whole_ms(spread));
        info!(event = "drain_begun", connections = state.connections.in_use(), "draining");
        let leaving = async {
            // The hub does not know of connections that have not sent `hello`.
            wake_batched(state.timer_wheel.all()).await;
            state.wait_until_idle().await;
        };
        if tokio::time::timeout(timeout, leaving).await.is_err() {
            warn!(
                event = "drain_timed_out",
                connections = state.connections.in_use(),
                http = state.http_connections.in_use(),
                "drain timed out; some connections are left"
            );
        }
        state.hub.flush();
    }

    /// Publishes for the back end, which no rule limits. To a user's inbox with [`ChannelName::of_user`]. The
    /// engine gets the publication at once, also where the future is never polled; the future is ready when
    /// the engine has stored it.
    ///
    /// # Errors
    /// `overloaded` where the node is full, `unavailable` where its engine is, `in_doubt` where the outcome
    /// is unknown.
    pub fn publish(
        &self,
        channel: &ChannelName,
        data: &RawValue,
        options: PublishOptions<'_>,
    ) -> impl Future<Output = Result<Published, ErrorBody>> + Send + use<> {
        self.0.publish(channel, data, options)
    }

    /// How far a user's devices have received and acknowledged the user's inbox.
    ///
    /// # Errors
    /// `bad_request` where the user's id cannot have an inbox; the engine's error where it cannot read.
    pub fn inbox(&self, user: &UserId) -> impl Future<Output = Result<Inbox, ErrorBody>> + Send + use<> {
        self.0.inbox(user)
    }

    /// Revokes logins: their sessions on this node end at once, and no ticket or token brings them back. `until_ms` is
    /// when the last of them would expire, in wall milliseconds; `None` remembers the revocation for good.
    ///
    /// # Errors
    /// `bad_request` where the session's id is none; `limit` where the node remembers as many revocations as it may,
    /// and has revoked nothing; `unavailable` where the engine cannot save it: it holds until a restart, and repeating
    /// the call helps.
    pub fn revoke(
        &self,
        logins: &RevokeLogins,
        until_ms: Option<u64>,
    ) -> impl Future<Output = Result<Revoked, ErrorBody>> + Send + use<> {
        self.0.revoke(logins, until_ms)
    }

    /// Finds, kicks and bans sessions, closes connections, ends subscriptions: see [`Control`]. `act` is told the time.
    pub fn control<T>(&self, act: impl FnOnce(&Control, Now) -> T) -> T {
        act(&self.0.hub.control(), self.0.clock.now())
    }

    /// Shows the webhooks in the HTTP API, and has it command them. The first call counts.
    pub fn set_webhooks(&self, webhooks: impl WebhookControl + 'static) {
        self.0.webhooks.get_or_init(|| Box::new(webhooks));
    }

    /// The gateway as the host of the HTTP API, for those who serve that API otherwise than behind keys.
    #[must_use]
    pub fn api_host(&self) -> Arc<dyn Host> {
        Arc::<GatewayState>::clone(&self.0)
    }

    /// The address of the client that has sent a request, also behind
    /// [`GatewayConfig::trusted_proxies`](crate::GatewayConfig::trusted_proxies); `None` where nothing tells it.
    #[must_use]
    pub fn client_address(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<SocketAddr> {
        self.0.clients.address(extensions, headers)
    }

    /// How far the drain has come; `None` while there is none.
    #[must_use]
    pub fn drain_progress(&self) -> Option<DrainProgress> {
        self.0.drain.progress(self.0.clock.now(), self.0.connections.in_use())
    }

    /// Whether `/health/ready` says that the node takes clients and publications.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.0.not_ready.load(Ordering::Acquire) && self.0.hub.takes_appends()
    }

    /// Replaces the keys of the HTTP API, from the next request on.
    pub fn set_api_keys(&self, keys: ApiKeys) {
        self.0.access.api_keys.set(Arc::new(keys));
    }

    /// Replaces the back end of [`GatewayBuilder::backend`](crate::GatewayBuilder::backend), or the checks of logins
    /// that the builder was told otherwise; functions of the builder, such as `on_login`, are still asked first.
    /// Questions that run are answered by the old one. Nobody is dropped, and tickets of logins that the new one
    /// does not accept ([`Backend::sources`](crate::Backend::sources)) are challenged.
    pub fn set_backend(&self, backend: impl Backend + 'static) {
        let (hub, access) = (&self.0.hub, &self.0.access);
        // In this order no login that is accepted gets a ticket that is not.
        hub.set_login_sources(access.backend.sources().into_iter().chain(backend.sources()).collect());
        access.current.replace(Box::new(backend));
        hub.set_login_sources(access.backend.sources());
    }

    /// Replaces the origins whose web pages may connect, from the next request on; without any, all may. What is
    /// connected stays.
    pub fn set_allowed_origins(&self, origins: impl IntoIterator<Item = impl Into<String>>) {
        let origins: Vec<String> = origins.into_iter().map(Into::into).collect();
        let new = if origins.is_empty() { Origins::Any } else { Origins::only(origins) };
        self.0.access.origins.set(Arc::new(new));
    }

    /// Current figures.
    #[must_use]
    pub fn stats(&self) -> GatewayStats {
        let state = &self.0;
        GatewayStats {
            hub: state.hub.stats(),
            connections: state.connections.in_use(),
            http_connections: state.http_connections.in_use(),
            calls_running: state.calls.in_use(),
            panics: state.panics.load(Ordering::Relaxed),
        }
    }

    /// Figures beside [`Gateway::stats`]: durations, and how the limits stand. Those of the hub and its engine are
    /// [`Hub::counters`], [`Hub::engine_jobs`] and [`Hub::engine_figures`].
    #[must_use]
    pub fn figures(&self) -> GatewayFigures {
        figures(&self.0)
    }

    /// Adds metrics to `/metrics`. The source is asked at each scrape, on the thread that answers it.
    pub fn add_metrics(&self, source: impl Fn() -> Vec<Metric> + Send + Sync + 'static) {
        self.0.metrics.add(Arc::new(source));
    }

    /// The hub behind it.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.0.hub
    }

    #[cfg(test)]
    pub(crate) fn state(&self) -> &Arc<GatewayState> {
        &self.0
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("hub", &self.0.hub)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
