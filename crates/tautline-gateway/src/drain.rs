//! Whether the gateway drains, and how long it waits for peers that cannot be asked to leave.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use tautline_protocol::Now;
use tokio::sync::watch;

/// Where a drain stands. It starts once; a second start changes nothing but the grace.
pub(crate) struct Drain {
    started: watch::Sender<bool>,
    grace_ms: AtomicU64,
    /// In monotonic milliseconds; `u64::MAX` before the start.
    deadline_ms: AtomicU64,
    connections: AtomicUsize,
}

/// How far a drain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainProgress {
    /// Connections that are left.
    pub left: usize,
    /// Connections when it started.
    pub total: usize,
    /// Until a peer that cannot be asked to leave is given up.
    pub deadline: Duration,
}

impl Drain {
    pub(crate) fn new() -> Self {
        Self {
            started: watch::Sender::new(false),
            grace_ms: AtomicU64::new(0),
            deadline_ms: AtomicU64::new(u64::MAX),
            connections: AtomicUsize::new(0),
        }
    }

    /// Starts the drain with so many connections; a peer that cannot be asked to leave has this long.
    pub(crate) fn start(&self, now: Now, grace: Duration, connections: usize) {
        let grace_ms = whole_ms(grace);
        self.grace_ms.store(grace_ms, Ordering::Release);
        // The first drain counts, where somebody drains again.
        self.deadline_ms.fetch_min(now.mono_ms.saturating_add(grace_ms), Ordering::AcqRel);
        self.connections.fetch_max(connections, Ordering::AcqRel);
        self.started.send_replace(true);
    }

    /// How far it has come with so many connections left; `None` before the start.
    pub(crate) fn progress(&self, now: Now, left: usize) -> Option<DrainProgress> {
        let is_started = *self.started.borrow();
        let left_ms = self.deadline_ms().saturating_sub(now.mono_ms);
        is_started.then(|| DrainProgress {
            left,
            total: self.connections.load(Ordering::Acquire).max(left),
            deadline: Duration::from_millis(left_ms),
        })
    }

    /// A future that is ready once the drain has started.
    pub(crate) fn started(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut started = self.started.subscribe();
        async move {
            // It fails only where the gateway is gone: there is then nothing to serve either.
            drop(started.wait_for(|started| *started).await);
        }
    }

    /// How long a peer that cannot be asked to leave has from the start of the drain.
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms.load(Ordering::Acquire))
    }

    /// When such a peer is given up, in monotonic milliseconds; `u64::MAX` while there is no drain.
    pub(crate) fn deadline_ms(&self) -> u64 {
        self.deadline_ms.load(Ordering::Acquire)
    }
}

/// A duration in milliseconds; one that is too long to count is for ever.
pub(crate) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
