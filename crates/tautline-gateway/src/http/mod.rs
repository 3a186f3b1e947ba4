//! HTTP: the server's requests and responses, and the opening handshake of a WebSocket.

pub(crate) mod api;
pub(crate) mod connect;
pub(crate) mod error;
pub(crate) mod hosts;
pub(crate) mod serve;
pub(crate) mod stream;
