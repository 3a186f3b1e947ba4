//! HTTP: requests and responses, and the opening handshake of a WebSocket.

mod api_host;
pub(crate) mod handshake;
pub(crate) mod health;
pub(crate) mod hosts;
mod metrics;
pub(crate) mod origins;
pub(crate) mod routes;
pub(crate) mod serve;
pub(crate) mod stream;
pub(crate) mod upgrade;
