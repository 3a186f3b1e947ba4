//! Counts what is in use of something that has a ceiling: WebSockets, HTTP connections, running methods.
//!
//! Start at [`Permit::try_acquire`]. Dropping a permit gives its place back.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// How many are in use, and how many may be.
#[derive(Debug)]
pub(crate) struct Counter {
    in_use: AtomicUsize,
    /// Permits that were refused.
    refused: AtomicU64,
    max: usize,
    idle: Notify,
}

/// A resource, whose counter is somewhere in the state that all its users share.
pub(crate) trait Counted {
    type State;

    fn counter(state: &Self::State) -> &Counter;
}

/// One place below the ceiling of a resource, and the way to the shared state: together no larger than a
/// pointer.
pub(crate) struct Permit<R: Counted>(Arc<R::State>);

impl Counter {
    pub(crate) fn new(max: usize) -> Self {
        Self { in_use: AtomicUsize::new(0), refused: AtomicU64::new(0), max, idle: Notify::new() }
    }

    pub(crate) fn in_use(&self) -> usize {
        self.in_use.load(Ordering::Acquire)
    }

    /// How often the ceiling has refused a permit.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Waits until nothing is in use.
    pub(crate) async fn wait_until_idle(&self) {
        loop {
            // Before the count is read: a permit that is dropped in between is not missed.
            let idle = self.idle.notified();
            if self.in_use() == 0 {
                return;
            }
            idle.await;
        }
    }
}

impl<R: Counted> Permit<R> {
    /// `None`: the ceiling is reached.
    pub(crate) fn try_acquire(state: &Arc<R::State>) -> Option<Self> {
        let counter = R::counter(state);
        let before = counter.in_use.fetch_add(1, Ordering::AcqRel);
        // Made in any case: dropping it undoes the count.
        let permit = Self(Arc::clone(state));
        if before >= counter.max {
            counter.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(permit)
    }

    pub(crate) fn state(&self) -> &Arc<R::State> {
        &self.0
    }
}

impl<R: Counted> Drop for Permit<R> {
    fn drop(&mut self) {
        let counter = R::counter(&self.0);
        if counter.in_use.fetch_sub(1, Ordering::AcqRel) == 1 {
            counter.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    struct Desk(Counter);

    impl Counted for Desk {
        type State = Self;

        fn counter(state: &Self) -> &Counter {
            &state.0
        }
    }

    #[test]
    fn permit_beyond_the_ceiling_is_refused_until_one_drops() {
        let desk = Arc::new(Desk(Counter::new(2)));
        let first = Permit::<Desk>::try_acquire(&desk).unwrap();
        let _second = Permit::<Desk>::try_acquire(&desk).unwrap();
        assert!(Permit::<Desk>::try_acquire(&desk).is_none());
        assert_eq!(desk.0.in_use(), 2, "a refusal counts nothing");
        drop(first);
        assert!(Permit::<Desk>::try_acquire(&desk).is_some());
    }

    #[test]
    fn waiter_wakes_when_the_last_permit_drops() {
        let desk = Arc::new(Desk(Counter::new(2)));
        let permits = [(); 2].map(|()| Permit::<Desk>::try_acquire(&desk).unwrap());
        let mut waiting = pin!(desk.0.wait_until_idle());
        let mut cx = Context::from_waker(Waker::noop());
        for permit in permits {
            assert!(waiting.as_mut().poll(&mut cx).is_pending());
            drop(permit);
        }
        assert!(waiting.as_mut().poll(&mut cx).is_ready());
    }
}
