//! What goes on beside a load, in a thread of its own: measured by it, it would wait for the load as well as for the server.

use std::thread::JoinHandle;

use anyhow::anyhow;

use super::args::Target;

/// The same target, for a thread that sleeps while nothing happens: whoever sleeps is let in first when he wakes, and whoever
/// never does has to wait for his turn.
pub(super) fn sleeping(target: &Target) -> Target {
    target.clone().sleepless(false)
}

/// Waits for a thread's end, and for what it found out.
pub(super) fn join<T>(thread: JoinHandle<anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().map_err(|_| anyhow!("a thread of the load broke"))?
}
