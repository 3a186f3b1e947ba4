//! Sends of many connections in one system call, where Linux allows it: `io_uring`.
//!
//! Each thread has a ring to which its connections add their sends. The ring is submitted when it is full, or
//! when all tasks that are ready have run. Sends do not wait in the kernel: bytes that a socket does not take
//! come back to the connection, which writes them as any other does. Reasons and figures:
//! `docs/adr/0019-io-uring-send-batches.md`.

mod batch;
mod ring;
mod stream;
mod submit;
#[cfg(test)]
mod tests;

pub(crate) use self::{ring::is_available, stream::RingStream};
