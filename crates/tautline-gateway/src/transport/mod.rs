//! Moves bytes between a connection and its socket; knows nothing of packets.

pub(crate) mod frames;
pub(crate) mod socket;
pub(crate) mod stream;
pub(crate) mod unsent;
#[cfg(target_os = "linux")]
pub(crate) mod uring;
