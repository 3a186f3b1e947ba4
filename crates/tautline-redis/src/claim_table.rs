//! Claims of sessions that are under way.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize},
    },
};

use tokio::sync::oneshot;

/// Claims under way.
#[derive(Default)]
pub(crate) struct Claims {
    pub(crate) count: AtomicUsize,
    pub(crate) next: AtomicU64,
    /// Those that wait for what another node hands over.
    waiting: Mutex<HashMap<u64, oneshot::Sender<Option<Box<str>>>>>,
}

impl Claims {
    /// Another node has answered; `None`: it has nothing to hand over, or is not there.
    pub(crate) fn hand(&self, number: u64, handed: Option<Box<str>>) {
        let waiting = self.lock().remove(&number);
        // One that came too late is waited for no more.
        waiting.into_iter().for_each(|waiting| drop(waiting.send(handed.clone())));
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Option<Box<str>>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
