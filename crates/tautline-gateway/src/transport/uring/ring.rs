//! A thread's ring, and the rule by which it is submitted.

use std::{
    cell::OnceCell,
    collections::HashMap,
    os::fd::RawFd,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
};

use tracing::{info, warn};

use super::{batch::Batch, submit::SubmitRing};
use crate::transport::{frames::Frames, unsent::Unsent};

/// The longest send, in bytes: a longer one is written at once, because the copy would cost more than the
/// system call.
pub(super) const SEND_BYTES_MAX: usize = 4096;

/// A smaller batch costs more than it saves.
pub(super) const BATCH_MIN: usize = 3;
/// After a batch smaller than [`BATCH_MIN`], this many sends bypass the ring before it collects a batch
/// again.
pub(super) const SOLO_SENDS: u32 = 16;

thread_local! {
    static THREAD_RING: OnceCell<Option<Arc<Ring>>> = const { OnceCell::new() };
}

/// Whether this machine lets us have a ring; it is tried once.
pub(crate) fn is_available() -> bool {
    static IS_AVAILABLE: OnceLock<bool> = OnceLock::new();
    *IS_AVAILABLE.get_or_init(|| match SubmitRing::new() {
        Ok(_) => {
            info!(event = "io_uring_used", "sending messages by io_uring");
            true
        }
        Err(error) => {
            info!(event = "io_uring_unavailable", %error, "io_uring is not available; sending messages one by one");
            false
        }
    })
}

/// The sends that one thread's connections have queued.
pub(super) struct Ring {
    pub(super) queued: Mutex<Batch>,
    /// Held while a batch is with the kernel.
    pub(super) submitting: Mutex<Submitting>,
    /// The number of the last batch whose results are all known.
    pub(super) completed: AtomicU32,
    /// A task will submit the queued sends.
    submit_scheduled: AtomicBool,
    /// How many of the next sends bypass the ring.
    pub(super) solo_sends_left: AtomicU32,
    /// Bytes that sockets did not take.
    pub(super) unsent: Mutex<HashMap<RawFd, Unsent>>,
    /// The number of entries in `unsent`, to be read without the lock: mostly none.
    pub(super) unsent_count: AtomicUsize,
    /// The ring failed, and queues nothing any more.
    is_broken: AtomicBool,
}

pub(super) struct Submitting {
    /// None once it failed.
    pub(super) ring: Option<SubmitRing>,
    batch: Batch,
}

impl Ring {
    /// Runs `action` with this thread's ring, if it has one.
    pub(super) fn with_own<T>(action: impl FnOnce(&Arc<Self>) -> T) -> Option<T> {
        THREAD_RING
            .try_with(|ring| {
                let ring = ring.get_or_init(Self::new).as_ref()?;
                (!ring.is_broken.load(Ordering::Relaxed)).then(|| action(ring))
            })
            .ok()
            .flatten()
    }

    fn new() -> Option<Arc<Self>> {
        let ring = SubmitRing::new()
            .inspect_err(|error| warn!(event = "io_uring_thread_refused", %error, "a thread got no io_uring; it sends messages one by one"))
            .ok()?;
        Some(Arc::new(Self {
            queued: Mutex::new(Batch::new(1)),
            submitting: Mutex::new(Submitting { ring: Some(ring), batch: Batch::new(0) }),
            completed: AtomicU32::new(0),
            submit_scheduled: AtomicBool::new(false),
            solo_sends_left: AtomicU32::new(0),
            unsent: Mutex::default(),
            unsent_count: AtomicUsize::new(0),
            is_broken: AtomicBool::new(false),
        }))
    }

    /// Whether the next send is to be written at once.
    pub(super) fn bypasses_ring(&self) -> bool {
        let left = self.solo_sends_left.load(Ordering::Relaxed);
        if left > 0 {
            self.solo_sends_left.store(left - 1, Ordering::Relaxed);
        }
        left > 0
    }

    /// Queues a send, and returns the number of its batch. Until that is complete nothing else may be written
    /// to the socket, nor may it be closed.
    pub(super) fn add(self: &Arc<Self>, socket: RawFd, frames: &Frames, waker: &Waker) -> u32 {
        let mut queued = lock(&self.queued);
        if queued.is_full() {
            drop(queued);
            self.submit();
            queued = lock(&self.queued);
        }
        queued.push(socket, frames, waker.clone());
        let number = queued.number;
        // Before `spawn`: a runtime that has ended drops the guard at once, which submits.
        drop(queued);
        if !self.submit_scheduled.swap(true, Ordering::AcqRel) {
            tokio::spawn(SubmitGuard(Arc::clone(self)).submit_after_ready_tasks());
        }
        number
    }

    /// Whether the batch is not complete yet. For a batch so old that numbers have wrapped around it may be
    /// true, which costs its connection one lookup.
    pub(super) fn is_pending(&self, number: u32) -> bool {
        number.wrapping_sub(self.completed.load(Ordering::Acquire)).cast_signed() > 0
    }

    /// Sends the queued batch, on any thread. On return, every batch that was started before is complete.
    pub(super) fn submit(&self) {
        let mut submitting = lock(&self.submitting);
        let Submitting { ring, batch } = &mut *submitting;
        {
            let mut queued = lock(&self.queued);
            if queued.is_empty() {
                return;
            }
            let solo_sends = if queued.len() < BATCH_MIN { SOLO_SENDS } else { 0 };
            self.solo_sends_left.store(solo_sends, Ordering::Relaxed);
            batch.number = queued.number.wrapping_add(1);
            std::mem::swap(batch, &mut *queued);
        }
        if let Some(error) = ring.as_mut().and_then(|ring| ring.send(batch).err()) {
            warn!(event = "io_uring_failed", %error, "io_uring failed; this thread sends messages one by one from now on");
            // Drops the sends that the kernel has not seen; the batch returns them as unsent.
            *ring = None;
            self.is_broken.store(true, Ordering::Relaxed);
        }
        let wakers = self.keep_unsent(batch);
        self.completed.store(batch.number, Ordering::Release);
        batch.clear();
        drop(submitting);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Keeps the bytes that sockets did not take, and returns the tasks that are to take them.
    fn keep_unsent(&self, batch: &Batch) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for (socket, rest, waker) in batch.unsent() {
            let mut unsent = lock(&self.unsent);
            unsent.insert(socket, rest);
            self.unsent_count.store(unsent.len(), Ordering::Release);
            wakers.push(waker.clone());
        }
        wakers
    }

    /// Takes the bytes that the socket did not take of its last send.
    pub(super) fn take_unsent(&self, socket: RawFd) -> Option<Unsent> {
        if self.unsent_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut unsent = lock(&self.unsent);
        let rest = unsent.remove(&socket);
        self.unsent_count.store(unsent.len(), Ordering::Release);
        rest
    }

    pub(super) fn has_unsent(&self, socket: RawFd) -> bool {
        self.unsent_count.load(Ordering::Acquire) > 0 && lock(&self.unsent).contains_key(&socket)
    }
}

/// Submits the queued sends when dropped: also where its runtime ends before its task runs.
struct SubmitGuard(Arc<Ring>);

impl SubmitGuard {
    /// Lets all tasks run that are ready now: they may have something to send.
    async fn submit_after_ready_tasks(self) {
        let mut is_first = true;
        // Tokio's own yield would poll for input first, which is one more system call.
        std::future::poll_fn(|cx| {
            if std::mem::take(&mut is_first) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }
}

impl Drop for SubmitGuard {
    fn drop(&mut self) {
        // Before the submit: sends that are added from now on schedule their own.
        self.0.submit_scheduled.store(false, Ordering::Release);
        self.0.submit();
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
