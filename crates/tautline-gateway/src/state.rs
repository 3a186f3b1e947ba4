//! The state that all connections of a gateway share.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64},
};

use ipnet::IpNet;
use serde_json::value::RawValue;
use tautline_adapters::plain::PlainConfig;
use tautline_api::{ApiKeys, WebhookControl};
use tautline_backend::Backend;
use tautline_hub::{Hub, Inbox, PublishOptions, RevokeLogins, Revoked, budget::Budget};
use tautline_protocol::{
    ChannelName, ErrorCode, UserId,
    packet::{ErrorBody, server::Published},
};
use tokio::{sync::oneshot, task::AbortHandle};

use crate::{
    addresses::Addresses,
    clients::Clients,
    clock::{Clock, stopwatch_us},
    config::GatewayConfig,
    current_backend::CurrentBackend,
    drain::Drain,
    figures::Timings,
    http::{hosts::Hosts, origins::Origins},
    methods::Methods,
    metrics::Sources,
    permit::{Counted, Counter, Permit},
    refusals::Refusals,
    swap::Swap,
    timer_wheel::TimerWheel,
    warnings::Warnings,
};

pub(crate) struct GatewayState {
    pub(crate) hub: Hub,
    pub(crate) clock: Clock,
    pub(crate) timer_wheel: TimerWheel,
    pub(crate) config: GatewayConfig,
    pub(crate) plain: Arc<PlainConfig>,
    pub(crate) access: Access,
    /// Empty where the gateway has none.
    pub(crate) webhooks: OnceLock<Box<dyn WebhookControl>>,
    pub(crate) methods: Methods,
    pub(crate) connections: Counter,
    pub(crate) http_connections: Counter,
    /// How [`GatewayState::http_connections`] are shared between addresses.
    pub(crate) http_shares: Arc<Budget>,
    pub(crate) calls: Counter,
    pub(crate) questions: Counter,
    /// How [`GatewayState::calls`] are shared between users.
    pub(crate) call_shares: Arc<Budget>,
    /// The share of each user and address of the questions to the back end.
    pub(crate) question_shares: Arc<Budget>,
    pub(crate) addresses: Arc<Addresses>,
    /// Connections without a whole request yet, by address.
    pub(crate) handshakes: Arc<Addresses>,
    pub(crate) clients: Clients,
    /// Connections that a panic has ended.
    pub(crate) panics: AtomicU64,
    /// How long calls and questions took.
    pub(crate) timings: Timings,
    pub(crate) warnings: Warnings,
    pub(crate) refusals: Refusals,
    /// What `/metrics` has beside the gateway's own.
    pub(crate) metrics: Sources,
    /// Load balancers are told to send no more clients.
    pub(crate) not_ready: AtomicBool,
    pub(crate) drain: Drain,
    pub(crate) background_tasks: BackgroundTasks,
}

/// Decides which clients, back ends and web pages are let in.
pub(crate) struct Access {
    pub(crate) backend: Arc<dyn Backend>,
    /// The part of `backend` that is replaced.
    pub(crate) current: CurrentBackend,
    pub(crate) api_keys: Swap<ApiKeys>,
    pub(crate) hosts: Hosts,
    pub(crate) origins: Swap<Origins>,
}

/// Tasks that run beside the connections, and end with the state.
#[derive(Default)]
pub(crate) struct BackgroundTasks(pub(crate) OnceLock<[AbortHandle; 2]>);

/// WebSockets, below [`GatewayConfig::connections_max`].
pub(crate) enum Connections {}

/// Connections that are still, or only, HTTP, below [`GatewayConfig::http_connections_max`].
pub(crate) enum HttpConnections {}

/// Methods that run and did not answer at once, below [`GatewayConfig::calls_running_max`].
pub(crate) enum Calls {}

/// Questions to the back end, below [`GatewayConfig::backend_questions_max`].
pub(crate) enum Questions {}

pub(crate) type HttpPermit = Permit<HttpConnections>;

impl GatewayState {
    pub(crate) fn new(
        hub: Hub,
        config: GatewayConfig,
        plain: PlainConfig,
        access: Access,
        methods: Methods,
    ) -> Self {
        hub.measure_engine(stopwatch_us);
        Self {
            hub,
            clock: Clock::start(),
            timer_wheel: TimerWheel::new(),
            access,
            webhooks: OnceLock::new(),
            methods,
            connections: Counter::new(config.connections_max),
            http_connections: Counter::new(config.http_connections_max),
            http_shares: Budget::without_reserve(config.http_connections_max),
            calls: Counter::new(config.calls_running_max),
            questions: Counter::new(config.backend_questions_max),
            call_shares: Budget::without_reserve(config.calls_running_max),
            question_shares: Budget::without_reserve(config.backend_questions_max),
            addresses: Addresses::new(config.connections_per_address_max, uncounted(&config)),
            handshakes: Addresses::new(config.handshakes_per_address_max, uncounted(&config)),
            clients: Clients::new(config.trusted_proxies.clone()),
            config,
            plain: Arc::new(plain),
            panics: AtomicU64::new(0),
            timings: Timings::default(),
            warnings: Warnings::default(),
            refusals: Refusals::default(),
            metrics: Sources::default(),
            not_ready: AtomicBool::new(false),
            drain: Drain::new(),
            background_tasks: BackgroundTasks::default(),
        }
    }

    pub(crate) fn publish(
        &self,
        channel: &ChannelName,
        data: &RawValue,
        options: PublishOptions<'_>,
    ) -> impl Future<Output = Result<Published, ErrorBody>> + Send + use<> {
        let (reply, result) = reply();
        self.hub.publish(self.clock.now(), channel, data, options, reply);
        result
    }

    pub(crate) fn inbox(
        &self,
        user: &UserId,
    ) -> impl Future<Output = Result<Inbox, ErrorBody>> + Send + use<> {
        let (reply, result) = reply();
        self.hub.inbox(self.clock.now(), user, reply);
        result
    }

    pub(crate) fn revoke(
        &self,
        logins: &RevokeLogins,
        until_ms: Option<u64>,
    ) -> impl Future<Output = Result<Revoked, ErrorBody>> + Send + use<> {
        let (reply, result) = reply();
        self.hub.revoke(self.clock.now(), logins, until_ms, reply);
        result
    }

    /// Waits until no connection is left and no method runs.
    pub(crate) async fn wait_until_idle(&self) {
        let counters = [&self.connections, &self.http_connections, &self.calls];
        // Again: an HTTP connection may have become a WebSocket meanwhile.
        while counters.iter().any(|counter| counter.in_use() > 0) {
            for counter in counters {
                counter.wait_until_idle().await;
            }
        }
    }
}

/// The networks whose addresses stand for many clients.
fn uncounted(config: &GatewayConfig) -> Vec<IpNet> {
    config.proxies.iter().chain(&config.trusted_proxies).copied().collect()
}

/// A callback that takes a result, and a future that is ready when it did.
fn reply<T: Send + 'static>() -> (
    impl FnOnce(Result<T, ErrorBody>) + Send + use<T>,
    impl Future<Output = Result<T, ErrorBody>> + Send + use<T>,
) {
    let (sender, receiver) = oneshot::channel();
    let unanswered = |_| Err(ErrorBody::new(ErrorCode::InDoubt, "the engine never answered"));
    (move |result| drop(sender.send(result)), async move { receiver.await.unwrap_or_else(unanswered) })
}

impl Counted for Connections {
    type State = GatewayState;

    fn counter(state: &GatewayState) -> &Counter {
        &state.connections
    }
}

impl Counted for HttpConnections {
    type State = GatewayState;

    fn counter(state: &GatewayState) -> &Counter {
        &state.http_connections
    }
}

impl Counted for Calls {
    type State = GatewayState;

    fn counter(state: &GatewayState) -> &Counter {
        &state.calls
    }
}

impl Counted for Questions {
    type State = GatewayState;

    fn counter(state: &GatewayState) -> &Counter {
        &state.questions
    }
}

impl Drop for BackgroundTasks {
    fn drop(&mut self) {
        self.0.get().into_iter().flatten().for_each(AbortHandle::abort);
    }
}
