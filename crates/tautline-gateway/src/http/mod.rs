//! HTTP: requests and responses, and the opening handshake of a WebSocket.

pub(crate) mod api;
pub(crate) mod api_keys;
pub(crate) mod error;
pub(crate) mod handshake;
pub(crate) mod hosts;
pub(crate) mod origins;
pub(crate) mod routes;
pub(crate) mod serve;
pub(crate) mod stream;
pub(crate) mod upgrade;
