//! What the app's side leaves for the driver without waiting, even from a destructor.
//!
//! Bounded by what it is about: one entry for each subscription and each request that exists.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// Where a publication stands that the app has handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handled {
    pub channel: String,
    pub epoch: String,
    pub offset: u64,
}

/// What the handles have left since the last look.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    /// Subscriptions that were dropped, by number.
    pub unsubscribed: Vec<u64>,
    /// Requests that nobody waits for any more.
    pub cancelled: Vec<u64>,
    /// How far the app has come, by subscription.
    pub handled: BTreeMap<u64, Handled>,
}

/// What is shared by the handles, which add to it, and the driver, which drains it.
#[derive(Debug, Default)]
pub(crate) struct HandleEvents {
    drained: Mutex<Drained>,
    news: Notify,
}

impl HandleEvents {
    /// Waits until something was left. Safe to cancel.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// Takes what was left.
    pub(crate) fn take(&self) -> Drained {
        mem::take(&mut *self.lock())
    }

    pub(crate) fn unsubscribed(&self, subscription: u64) {
        self.lock().unsubscribed.push(subscription);
        self.news.notify_one();
    }

    pub(crate) fn cancelled(&self, request: u64) {
        self.lock().cancelled.push(request);
        self.news.notify_one();
    }

    pub(crate) fn handled(&self, subscription: u64, handled: Handled) {
        self.lock().handled.insert(subscription, handled);
        self.news.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Drained> {
        // Nothing can panic halfway through a push, so that a poisoned lock is still whole.
        self.drained.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
