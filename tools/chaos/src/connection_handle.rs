//! One connection through the proxy, as both its task and the controls see it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use serde::Serialize;
use tautline_netem::{Link, LinkState, Now, Way};
use tokio::sync::Notify;

use super::group::GroupName;

/// A connection. Its task carries bytes in and out of the link and the controls apply faults to it, each under the lock for
/// as long as one call takes. Whoever changes the link from outside wakes the task by `changed`.
pub(super) struct ConnectionHandle {
    pub(super) id: u64,
    pub(super) group: GroupName,
    pub(super) changed: Notify,
    opened: Now,
    hanging: AtomicBool,
    link: Mutex<Link<Bytes>>,
}

/// What is known about a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Its number, for [`Selector::Connection`](super::Selector::Connection). Never used twice.
    pub id: u64,
    /// The group it belongs to.
    pub group: GroupName,
    /// How long ago it came, in milliseconds.
    pub age_ms: u64,
    /// How many bytes the server was given.
    pub up_bytes: u64,
    /// How many bytes the client was given.
    pub down_bytes: u64,
    /// How many bytes vanished, both ways.
    pub swallowed_bytes: u64,
    /// What it looks like.
    pub state: LinkState,
    /// Whether it came while the cable was out, and waits unanswered until it is back.
    pub hanging: bool,
}

impl ConnectionHandle {
    pub(super) fn new(id: u64, group: GroupName, opened: Now, link: Link<Bytes>) -> Self {
        Self {
            id,
            group,
            changed: Notify::new(),
            opened,
            hanging: AtomicBool::new(false),
            link: Mutex::new(link),
        }
    }

    pub(super) fn link(&self) -> MutexGuard<'_, Link<Bytes>> {
        self.link.lock().expect("no call on a link panics")
    }

    /// Does something to the link and lets its task know.
    pub(super) fn change(&self, change: impl FnOnce(&mut Link<Bytes>)) {
        change(&mut self.link());
        self.changed.notify_one();
    }

    pub(super) fn set_hanging(&self, hanging: bool) {
        self.hanging.store(hanging, Ordering::Relaxed);
    }

    pub(super) fn info(&self, now: Now) -> ConnectionInfo {
        let link = self.link();
        ConnectionInfo {
            id: self.id,
            group: self.group.clone(),
            age_ms: u64::try_from(now.saturating_sub(self.opened).as_millis()).unwrap_or(u64::MAX),
            up_bytes: link.carried_bytes(Way::Up),
            down_bytes: link.carried_bytes(Way::Down),
            swallowed_bytes: link.swallowed_bytes(Way::Up) + link.swallowed_bytes(Way::Down),
            state: link.state(),
            hanging: self.hanging.load(Ordering::Relaxed),
        }
    }
}
