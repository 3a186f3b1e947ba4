//! The gateway as the host of the HTTP API.

use std::sync::{Arc, atomic::Ordering};

use http::{Extensions, HeaderMap};
use tautline_api::{ApiKeys, BodyLimits, Host, HostFigures, WebhookControl};
use tautline_hub::Hub;
use tautline_protocol::Now;

use crate::state::GatewayState;

impl Host for GatewayState {
    fn hub(&self) -> &Hub {
        &self.hub
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn keys(&self) -> Arc<ApiKeys> {
        self.access.api_keys.get()
    }

    fn body_limits(&self) -> BodyLimits {
        BodyLimits { bytes_max: self.config.api_body_bytes_max, timeout: self.config.http_body_timeout }
    }

    fn figures(&self) -> HostFigures {
        HostFigures {
            connections: self.connections.in_use(),
            http_connections: self.http_connections.in_use(),
            calls_running: self.calls.in_use(),
            panics: self.panics.load(Ordering::Relaxed),
        }
    }

    fn webhooks(&self) -> Option<&dyn WebhookControl> {
        self.webhooks.get().map(|webhooks| &**webhooks)
    }

    fn key_refused(&self, reason: &'static str, headers: &HeaderMap, extensions: &Extensions) {
        let address = self.clients.address(extensions, headers);
        self.refusals.log_api_key(self.clock.now(), reason, address);
    }
}
