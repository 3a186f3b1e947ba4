//! The sends of many connections in one system call, where Linux lets us: `io_uring`.
//!
//! Each thread has a [`Ring`] to which its connections add what they send, and which goes to the submitter when it is full or
//! when those who are ready have had their turn. Sends do not wait in the submitter: what a socket did not take comes back to
//! its connection, which writes it as any other does. Why, and what it gives: `docs/adr/0019-sends-in-a-ring.md`.

mod batch;
mod stream;
mod submit;
#[cfg(test)]
mod tests;

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

pub(crate) use self::stream::RingStream;
use self::{batch::Batch, submit::SubmitRing};
use crate::transport::{frames::Frames, unsent::Unsent};

/// Sends that go together. More gain nothing, and hold up their thread for longer.
const SENDS_MAX: usize = 64;
/// The longest send, in bytes: what is longer is written at once, for the copy would cost more than the call.
const SEND_BYTES_MAX: usize = 4096;

/// A smaller batch costs more than it saves.
const BATCH_MIN: usize = 3;
/// After such a batch so many sends go solo_sends_left, at once, before another one waits for company.
const SOLO_SENDS: u32 = 16;

thread_local! {
    static THREAD_RING: OnceCell<Option<Arc<Ring>>> = const { OnceCell::new() };
}

/// Whether this machine lets us have a ring; it is tried once.
pub(crate) fn is_available() -> bool {
    static IS_AVAILABLE: OnceLock<bool> = OnceLock::new();
    *IS_AVAILABLE.get_or_init(|| match SubmitRing::new() {
        Ok(_) => {
            info!("messages are sent by io_uring");
            true
        }
        Err(error) => {
            info!(%error, "messages are sent one by one: there is no io_uring for us");
            false
        }
    })
}

/// What one thread's connections are about to send.
pub(crate) struct Ring {
    waiting: Mutex<Batch>,
    /// Held while a batch is with the submitter.
    submitting: Mutex<Submitting>,
    /// The number of the last batch of which everything is known.
    done: AtomicU32,
    /// A task will submit what waits.
    submit_scheduled: AtomicBool,
    /// How many of the next sends are to go solo_sends_left.
    solo_sends_left: AtomicU32,
    /// What sockets did not take.
    returned: Mutex<HashMap<RawFd, Unsent>>,
    /// How many these are, to be seen without the lock: mostly none.
    returned_count: AtomicUsize,
    /// It failed, and is not added to any more.
    is_broken: AtomicBool,
}

struct Submitting {
    /// None once it failed.
    submitter: Option<SubmitRing>,
    batch: Batch,
}

impl Ring {
    /// Runs `action` with this thread's ring, if it has one.
    fn with_own<T>(action: impl FnOnce(&Arc<Self>) -> T) -> Option<T> {
        THREAD_RING
            .try_with(|ring| {
                let ring = ring.get_or_init(Self::new).as_ref()?;
                (!ring.is_broken.load(Ordering::Relaxed)).then(|| action(ring))
            })
            .ok()
            .flatten()
    }

    fn new() -> Option<Arc<Self>> {
        let submitter = SubmitRing::new()
            .inspect_err(|error| warn!(%error, "a thread has no io_uring, and sends one by one"))
            .ok()?;
        Some(Arc::new(Self {
            waiting: Mutex::new(Batch::new(1)),
            submitting: Mutex::new(Submitting { submitter: Some(submitter), batch: Batch::new(0) }),
            done: AtomicU32::new(0),
            submit_scheduled: AtomicBool::new(false),
            solo_sends_left: AtomicU32::new(0),
            returned: Mutex::default(),
            returned_count: AtomicUsize::new(0),
            is_broken: AtomicBool::new(false),
        }))
    }

    /// Whether the next send is not to be added but to go at once.
    fn bypasses_ring(&self) -> bool {
        let solo_sends_left = self.solo_sends_left.load(Ordering::Relaxed);
        if solo_sends_left > 0 {
            self.solo_sends_left.store(solo_sends_left - 1, Ordering::Relaxed);
        }
        solo_sends_left > 0
    }

    /// Adds a send, and says with which batch it goes. Until that is done nothing else may be written to the socket, nor
    /// may it be closed.
    fn add(self: &Arc<Self>, socket: RawFd, frames: &Frames, waker: &Waker) -> u32 {
        let mut waiting = lock(&self.waiting);
        if waiting.is_full() {
            drop(waiting);
            self.submit();
            waiting = lock(&self.waiting);
        }
        waiting.push(socket, frames, waker.clone());
        let number = waiting.number;
        // A runtime that has ended drops the turn at once, which submits.
        drop(waiting);
        if !self.submit_scheduled.swap(true, Ordering::AcqRel) {
            tokio::spawn(SubmitGuard(Arc::clone(self)).take());
        }
        number
    }

    /// Whether the batch is still to be submitted, or with the submitter now. Of a batch so old that numbers have come round
    /// it may say yes, which costs its connection a look.
    fn is_waiting(&self, number: u32) -> bool {
        number.wrapping_sub(self.done.load(Ordering::Acquire)).cast_signed() > 0
    }

    /// Sends what waits, by whichever thread. When it returns, every batch that was begun before is done.
    fn submit(&self) {
        let mut submitting = lock(&self.submitting);
        let Submitting { submitter, batch } = &mut *submitting;
        {
            let mut waiting = lock(&self.waiting);
            if waiting.is_empty() {
                return;
            }
            let solo_sends_left = if waiting.len() < BATCH_MIN { SOLO_SENDS } else { 0 };
            self.solo_sends_left.store(solo_sends_left, Ordering::Relaxed);
            batch.number = waiting.number.wrapping_add(1);
            std::mem::swap(batch, &mut *waiting);
        }
        if let Some(error) = submitter.as_mut().and_then(|submitter| submitter.send(batch).err()) {
            warn!(%error, "io_uring failed: this thread sends one by one from now on");
            // With what it still holds of this batch, which is returned as not sent.
            *submitter = None;
            self.is_broken.store(true, Ordering::Relaxed);
        }
        let woken = self.give_back(batch);
        self.done.store(batch.number, Ordering::Release);
        batch.clear();
        drop(submitting);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Keeps what sockets did not take until it is asked for, and says who is to ask.
    fn give_back(&self, batch: &Batch) -> Vec<Waker> {
        let mut woken = Vec::new();
        for (socket, unsent, waker) in batch.unsent() {
            let mut returned = lock(&self.returned);
            returned.insert(socket, unsent);
            self.returned_count.store(returned.len(), Ordering::Release);
            woken.push(waker.clone());
        }
        woken
    }

    /// What the socket did not take of the send that was done last.
    fn take_back(&self, socket: RawFd) -> Option<Unsent> {
        if self.returned_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut returned = lock(&self.returned);
        let unsent = returned.remove(&socket);
        self.returned_count.store(returned.len(), Ordering::Release);
        unsent
    }

    fn has_returned(&self, socket: RawFd) -> bool {
        self.returned_count.load(Ordering::Acquire) > 0 && lock(&self.returned).contains_key(&socket)
    }
}

/// Sees to it that what waits is sent, also where its runtime ends before.
struct SubmitGuard(Arc<Ring>);

impl SubmitGuard {
    /// Lets those go first who are ready now: they may have something to send.
    async fn take(self) {
        let mut is_first = true;
        // Tokio's own yield would look for input first, which is a system call more.
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
        // Before: what is added from now on has a turn of its own.
        self.0.submit_scheduled.store(false, Ordering::Release);
        self.0.submit();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
