//! What the API needs of the server around it.

use std::{sync::Arc, time::Duration};

use http::{Extensions, HeaderMap};
use tautline_hub::Hub;
use tautline_protocol::Now;

use crate::{ApiKeys, webhooks::WebhookControl};

/// The server whose hub the API works on. It owns the sockets and the clock.
pub trait Host: Send + Sync + 'static {
    /// The hub.
    fn hub(&self) -> &Hub;

    /// The time.
    fn now(&self) -> Now;

    /// The keys at this moment: a request is decided by one set of them.
    fn keys(&self) -> Arc<ApiKeys>;

    /// The bounds of a request's body.
    fn body_limits(&self) -> BodyLimits;

    /// Figures of the server itself.
    fn figures(&self) -> HostFigures;

    /// The webhooks; `None` where it has none.
    fn webhooks(&self) -> Option<&dyn WebhookControl>;

    /// A request came without a key that is known.
    fn key_refused(&self, reason: &'static str, headers: &HeaderMap, extensions: &Extensions);
}

/// The bounds of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// The most bytes of a body.
    pub bytes_max: usize,
    /// How long it may take to arrive.
    pub timeout: Duration,
}

/// Figures of the server, beside those of its hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostFigures {
    /// WebSockets.
    pub connections: usize,
    /// Connections that are still, or only, HTTP.
    pub http_connections: usize,
    /// Methods that run and did not answer at once.
    pub calls_running: usize,
    /// Connections that a panic has ended since the start.
    pub panics: u64,
}
