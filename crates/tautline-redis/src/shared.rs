//! What the engine and its tasks share.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
};

use tautline_engine::{EngineError, NodeEvent};
use tautline_protocol::ChannelName;
use tokio::sync::{Notify, mpsc};

use crate::{
    append_queue::Appends,
    claim_table::Claims,
    keys::Keys,
    losses::Losses,
    messages::Message,
    options::{RedisOptions, Wake},
    partition::Partition,
    read_queue::Reads,
    resp::Command,
    router::Router,
    served::Served,
    way::Way,
};

/// What the engine and its tasks share.
pub(crate) struct Shared {
    pub(crate) options: RedisOptions,
    pub(crate) router: Router,
    pub(crate) keys: Keys,
    pub(crate) appends: Appends,
    pub(crate) reads: Reads,
    pub(crate) runtime: tokio::runtime::Handle,
    /// Drawn at start; distinguishes this process in Redis.
    pub(crate) process: u64,
    pub(crate) incarnation: AtomicU32,
    /// The incarnation of a Redis that has lost its own.
    pub(crate) next_incarnation: AtomicU32,
    pub(crate) takes_appends: AtomicBool,
    /// A tidying is queued.
    pub(crate) tidy_waits: AtomicBool,
    pub(crate) way: Way,
    pub(crate) losses: Losses,
    /// Set off when hints may have been lost.
    pub(crate) look_at_all: Notify,
    pub(crate) served: Mutex<Served>,
    pub(crate) hints: mpsc::Sender<(ChannelName, u64)>,
    pub(crate) on_hint: OnceLock<OnHint>,
    /// Messages to other nodes.
    pub(crate) tells: mpsc::Sender<Tell>,
    pub(crate) on_node_event: OnceLock<OnNodeEvent>,
    /// Set off when there may be messages of other nodes.
    pub(crate) messages: Notify,
    pub(crate) claims: Claims,
    pub(crate) closed: AtomicBool,
    /// Jobs without an answer.
    pub(crate) open: AtomicUsize,
}

pub(crate) type OnNodeEvent = Box<dyn Fn(NodeEvent) -> Option<Box<str>> + Send + Sync>;
pub(crate) type OnHint = Box<dyn Fn(&ChannelName, u64) + Send + Sync>;

/// A message that waits to be sent.
pub(crate) struct Tell {
    /// A process; `None`: all of them.
    pub(crate) to: Option<u64>,
    pub(crate) message: Message,
    /// What is executed before it.
    pub(crate) saving: Vec<Command>,
    pub(crate) submitted: tokio::time::Instant,
    /// Is told whether the addressee runs.
    pub(crate) done: Box<dyn FnOnce(Result<bool, EngineError>) + Send>,
    pub(crate) _open: Open,
}

/// A job that closing waits for.
pub(crate) struct Open(pub(crate) Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Release);
    }
}

impl Shared {
    pub(crate) fn open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Acquire);
        Open(Arc::clone(self))
    }

    /// An epoch that no log had before: of this process, and of a number that it uses once.
    pub(crate) fn epoch(&self, partition: Partition, number: u64) -> String {
        format!("{:x}{:02x}{number:x}", self.process, partition.index())
    }

    pub(crate) fn served(&self) -> MutexGuard<'_, Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the hub that a log has come to this head, or is to be looked at whatever its head is (`u64::MAX`).
    pub(crate) fn wake(&self, channel: &ChannelName, head: u64) {
        if let Some(on_hint) = self.on_hint.get()
            && catch_unwind(AssertUnwindSafe(|| on_hint(channel, head))).is_err()
        {
            tracing::error!(event = "engine_callback_panicked", "engine callback panicked");
        }
    }

    /// Tells the hub what another node did, and returns what the hub hands over.
    pub(crate) fn node_event(&self, event: NodeEvent) -> Option<Box<str>> {
        let on_node_event = self.on_node_event.get()?;
        let outcome = catch_unwind(AssertUnwindSafe(|| on_node_event(event)));
        outcome.unwrap_or_else(|_| {
            tracing::error!(event = "engine_callback_panicked", "engine callback panicked");
            None
        })
    }

    /// There are messages for a process, or for all.
    pub(crate) fn told(&self, addressee: &str) {
        if addressee == "*" || u64::from_str_radix(addressee, 16) == Ok(self.process) {
            self.messages.notify_one();
        }
    }

    /// Tells other nodes that a log has come to this head.
    pub(crate) fn hint(&self, channel: &ChannelName, head: u64) {
        if self.options.wake == Wake::Hints {
            // Where too many wait, other nodes find the publication by looking.
            if self.hints.try_send((channel.clone(), head)).is_err() {
                self.router.counts.hints_dropped.add(1);
            }
        }
    }

    /// When a job that begins now is given up.
    pub(crate) fn until(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.options.job_wait
    }
}
