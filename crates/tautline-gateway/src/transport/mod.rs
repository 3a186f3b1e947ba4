//! Moves bytes between a connection and its socket; knows nothing of packets.

pub(crate) mod any;
pub(crate) mod frames;
pub(crate) mod proxy_protocol;
pub(crate) mod socket;
pub(crate) mod stream;
pub(crate) mod tls;
pub(crate) mod unsent;
#[cfg(target_os = "linux")]
pub(crate) mod uring;
