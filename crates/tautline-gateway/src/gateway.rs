//! The gateway itself: what all its connections share, and how it is taken down politely.

use std::{
    fmt, io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, middleware::from_fn_with_state};
use serde_json::value::RawValue;
use tautline_hub::{
    Hub, HubStats, Inbox, PublishOptions,
    budget::{Budget, Holder},
};
use tautline_protocol::{
    ChannelName, ErrorCode, UserId,
    packet::{ErrorBody, server::Published},
};
use tokio::{
    net::TcpListener,
    sync::{Notify, oneshot, watch},
    task::AbortHandle,
};
use tracing::{info, warn};

use crate::{
    accept,
    addresses::{AddressPermit, Addresses},
    auth::Authenticator,
    builder::GatewayBuilder,
    calls::Methods,
    clock::Clock,
    config::GatewayConfig,
    http::{
        api::{self, ApiKeys},
        connect::{self, Origins},
        hosts::{self, Hosts},
    },
    maintenance,
    refusals::Refusals,
    timer_wheel::{TimerWheel, wake_batched},
    warnings::Warnings,
};

/// An embeddable Tautline server. Cheap to clone; every clone is the same gateway.
///
/// Its work runs on the tokio runtime in which [`Gateway::serve`] is polled or the [`Gateway::router`] serves its first
/// request.
#[derive(Clone)]
pub struct Gateway(Arc<GatewayState>);

/// Figures of the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GatewayStats {
    /// What the hub counts.
    pub hub: HubStats,
    /// WebSockets.
    pub connections: usize,
    /// Connections of [`Gateway::serve`] that are still, or only, HTTP.
    pub http_connections: usize,
    /// Methods that run and did not answer at once.
    pub calls_running: usize,
    /// Connections that a panic has ended, since the start: each is a bug of ours.
    pub panics: u64,
}

/// What all connections of a gateway share.
pub(crate) struct GatewayState {
    pub(crate) hub: Hub,
    pub(crate) clock: Clock,
    pub(crate) wheel: TimerWheel,
    pub(crate) config: GatewayConfig,
    pub(crate) authenticator: Authenticator,
    pub(crate) methods: Methods,
    pub(crate) api_keys: ApiKeys,
    pub(crate) origins: Origins,
    pub(crate) hosts: Hosts,
    pub(crate) counters: Counters,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) warnings: Warnings,
    pub(crate) refusals: Refusals,
    /// Methods that run, and who asked for them.
    pub(crate) calls: Arc<Budget>,
    /// Load balancers are told to send nobody any more.
    pub(crate) not_ready: AtomicBool,
    pub(crate) draining: watch::Sender<bool>,
    /// How long a drain waits for those who cannot be asked, and until when, in milliseconds; `u64::MAX` before it begins.
    drain_grace_ms: AtomicU64,
    drain_until_ms: AtomicU64,
    tasks: OnceLock<[AbortHandle; 2]>,
}

/// AddressCount as it happens.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicUsize,
    pub(crate) http_connections: AtomicUsize,
    pub(crate) calls: AtomicUsize,
    pub(crate) panics: AtomicU64,
    /// The last connection of either kind, or the last method, has gone.
    pub(crate) gone: Notify,
}

impl Gateway {
    /// A gateway to be configured. As it stands it lets nobody in.
    pub fn builder() -> GatewayBuilder {
        GatewayBuilder::default()
    }

    pub(crate) fn new(
        hub: Hub,
        config: GatewayConfig,
        authenticator: Authenticator,
        methods: Methods,
        api_keys: ApiKeys,
        (hosts, origins): (Hosts, Origins),
    ) -> Self {
        let addresses = Addresses::new(config.connections_per_address_max, config.proxies.clone());
        Self(Arc::new(GatewayState {
            hub,
            clock: Clock::start(),
            wheel: TimerWheel::new(),
            calls: Budget::without_reserve(config.calls_running_max),
            config,
            authenticator,
            methods,
            api_keys,
            origins,
            hosts,
            counters: Counters::default(),
            addresses,
            warnings: Warnings::default(),
            refusals: Refusals::default(),
            not_ready: AtomicBool::new(false),
            draining: watch::Sender::new(false),
            drain_grace_ms: AtomicU64::new(0),
            drain_until_ms: AtomicU64::new(u64::MAX),
            tasks: OnceLock::new(),
        }))
    }

    /// The gateway's routes, to be served alone or merged with others: `/connect`, `/api/v1/publish`, `/health/live`,
    /// `/health/ready`.
    ///
    /// Where it is served by [`axum::serve()`] on a plain `TcpListener`, WebSockets are as cheap as under
    /// [`Gateway::serve`]; behind another transport (TLS) each costs what that transport holds.
    pub fn router(&self) -> Router {
        self.guarded(connect::routes().merge(api::routes()).with_state(Arc::clone(&self.0)))
    }

    /// Routes of yours, behind the same check of hosts and origins as the gateway's own: [`GatewayBuilder::hosts`].
    pub fn guarded(&self, router: Router) -> Router {
        match self.0.hosts {
            Hosts::Any => router,
            _ => router.layer(from_fn_with_state(Arc::clone(&self.0), hosts::guard)),
        }
    }

    /// Serves the routes on `listener` until [`Gateway::drain`]. The future owns all it needs: it may be spawned. A runtime of
    /// your own lets in faster thousands that come at once with `max_io_events_per_tick(128)`.
    ///
    /// # Errors
    /// When the listener's socket options cannot be set. Failures to accept are waited out.
    pub fn serve(&self, listener: TcpListener) -> impl Future<Output = io::Result<()>> + Send + use<> {
        let gateway = Arc::clone(&self.0);
        let router = self.router().fallback(move |request| api::unknown_path(Arc::clone(&gateway), request));
        accept::serve(Arc::clone(&self.0), router, listener)
    }

    /// Says `not ready` at `/health/ready` from now on, and goes on as before: load balancers get time to notice, before
    /// [`Gateway::drain`] closes the port.
    pub fn mark_not_ready(&self) {
        self.0.not_ready.store(true, Ordering::Release);
    }

    /// Takes the gateway down: stops accepting, tells every client to come back, each at a moment of its own within
    /// `spread` and once what it asked is answered, and returns when all connections and methods are gone, or after
    /// `timeout`. A peer that cannot be asked, because it does not read or has not said who it is, is waited for no longer
    /// than `spread` and [`GatewayConfig::linger_timeout`] together. Positions that are on their way to the engine are
    /// handed over then; an engine that has something to close is the caller's to close.
    pub async fn drain(&self, spread: Duration, timeout: Duration) {
        self.mark_not_ready();
        self.0.start_drain(spread);
        let before = self.stats();
        info!(connections = before.connections, "draining");
        let going = async {
            // Those who have not said hello are in no list of the hub's.
            wake_batched(self.0.wheel.all()).await;
            self.0.wait_until_idle().await;
        };
        if tokio::time::timeout(timeout, going).await.is_err() {
            let left = self.stats();
            warn!(
                connections = left.connections,
                http = left.http_connections,
                "drained for long enough: some are left"
            );
        }
        self.0.hub.flush();
    }

    /// Publishes for the back end: no rule is asked. To a user's inbox with [`ChannelName::of_user`]. It is handed to the
    /// engine at once, also where the future is never polled, and ready when the engine has it.
    ///
    /// # Errors
    /// `overloaded` where the node is full, `unavailable` where its engine is, `in_doubt` where nobody can tell.
    pub fn publish(
        &self,
        channel: &ChannelName,
        data: &RawValue,
        options: PublishOptions<'_>,
    ) -> impl Future<Output = Result<Published, ErrorBody>> + Send + use<> {
        self.0.publish(channel, data, options)
    }

    /// What became of what was pushed to a user.
    ///
    /// # Errors
    /// `bad_request` where the user's id cannot have an inbox; what the engine says where it cannot tell.
    pub fn inbox(&self, user: &UserId) -> impl Future<Output = Result<Inbox, ErrorBody>> + Send + use<> {
        self.0.inbox(user)
    }

    /// Figures of the moment.
    #[must_use]
    pub fn stats(&self) -> GatewayStats {
        let counters = &self.0.counters;
        GatewayStats {
            hub: self.0.hub.stats(),
            connections: counters.connections.load(Ordering::Relaxed),
            http_connections: counters.http_connections.load(Ordering::Relaxed),
            calls_running: counters.calls.load(Ordering::Relaxed),
            panics: counters.panics.load(Ordering::Relaxed),
        }
    }

    /// The hub behind it.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.0.hub
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<GatewayState> {
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

impl GatewayState {
    pub(crate) fn publish(
        &self,
        channel: &ChannelName,
        data: &RawValue,
        options: PublishOptions<'_>,
    ) -> impl Future<Output = Result<Published, ErrorBody>> + Send + use<> {
        let (done, outcome) = outcome();
        self.hub.publish(self.clock.now(), channel, data, options, done);
        outcome
    }

    pub(crate) fn inbox(
        &self,
        user: &UserId,
    ) -> impl Future<Output = Result<Inbox, ErrorBody>> + Send + use<> {
        let (done, outcome) = outcome();
        self.hub.inbox(self.clock.now(), user, done);
        outcome
    }

    /// Starts what runs beside the connections. To be called in the runtime that is to run it; once is enough.
    pub(crate) fn spawn_background_tasks(self: &Arc<Self>) {
        self.tasks.get_or_init(|| maintenance::start(self));
    }

    fn start_drain(&self, spread: Duration) {
        let grace_ms = whole_ms(spread.saturating_add(self.config.linger_timeout));
        let until_ms = self.clock.now().mono_ms.saturating_add(grace_ms);
        self.drain_grace_ms.store(grace_ms, Ordering::Release);
        // The first drain counts, where somebody drains again.
        self.drain_until_ms.fetch_min(until_ms, Ordering::AcqRel);
        self.draining.send_replace(true);
        self.hub.drain(whole_ms(spread));
    }

    /// How long a drain waits for those who cannot be asked.
    pub(crate) fn drain_grace(&self) -> Duration {
        Duration::from_millis(self.drain_grace_ms.load(Ordering::Acquire))
    }

    /// Until when it does, in monotonic milliseconds; `u64::MAX` while there is no drain.
    pub(crate) fn drain_until_ms(&self) -> u64 {
        self.drain_until_ms.load(Ordering::Acquire)
    }

    async fn wait_until_idle(&self) {
        loop {
            let gone = self.counters.gone.notified();
            let left = &self.counters;
            let counts = [&left.connections, &left.http_connections, &left.calls];
            if counts.iter().all(|count| count.load(Ordering::Acquire) == 0) {
                return;
            }
            gone.await;
        }
    }
}

/// A duration in milliseconds; what is too long to count is for ever.
fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Where an outcome is given, and a future that is ready when it was.
fn outcome<T: Send + 'static>() -> (
    impl FnOnce(Result<T, ErrorBody>) + Send + use<T>,
    impl Future<Output = Result<T, ErrorBody>> + Send + use<T>,
) {
    let (give, taken) = oneshot::channel();
    let unanswered = |_| Err(ErrorBody::new(ErrorCode::InDoubt, "the engine never answered"));
    (move |result| drop(give.send(result)), async move { taken.await.unwrap_or_else(unanswered) })
}

impl Drop for GatewayState {
    fn drop(&mut self) {
        self.tasks.get().into_iter().flatten().for_each(AbortHandle::abort);
    }
}

/// A WebSocket's place among [`GatewayConfig::connections_max`] and among those of its address, and its way to what all share.
pub(crate) struct ConnectionPermit {
    gateway: Arc<GatewayState>,
    place: AddressPermit,
}

impl ConnectionPermit {
    /// `None`: all are taken.
    pub(crate) fn take(gateway: &Arc<GatewayState>) -> Option<Self> {
        let before = gateway.counters.connections.fetch_add(1, Ordering::AcqRel);
        let seat = Self { gateway: Arc::clone(gateway), place: AddressPermit::UNCOUNTED };
        (before < gateway.config.connections_max).then_some(seat)
    }

    /// The same, with a place among the connections of an address.
    pub(crate) fn at(mut self, place: AddressPermit) -> Self {
        self.place = place;
        self
    }

    pub(crate) fn gateway(&self) -> &Arc<GatewayState> {
        &self.gateway
    }

    /// Who the shares of guests on this connection are booked on; `None` where it has an address of its own for all we know.
    pub(crate) fn holder(&self) -> Option<Holder> {
        let hub = &self.gateway.hub;
        self.place.address().map(|address| hub.holder(address.to_string().as_bytes()))
    }

    pub(crate) fn count_panic(&self) {
        self.gateway.counters.panics.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.gateway.counters.connections.fetch_sub(1, Ordering::AcqRel);
        self.gateway.counters.gone.notify_waiters();
    }
}
