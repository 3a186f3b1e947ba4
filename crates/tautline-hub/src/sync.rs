//! Locks and atomics, imported only here in this crate, so that the package `tautline-races` can build it
//! with those of a model checker.
//!
//! A lock survives a panic: every step under it leaves the guarded state consistent, and one connection's
//! panic must not take the node down.

use std::sync::{Arc, PoisonError};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

/// A shared value that is replaced as a whole. Readers never wait.
#[cfg(not(shuttle))]
pub(crate) struct Swap<T>(arc_swap::ArcSwap<T>);

#[cfg(not(shuttle))]
impl<T> Swap<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(arc_swap::ArcSwap::from_pointee(value))
    }

    /// The value at this moment.
    pub(crate) fn load(&self) -> impl std::ops::Deref<Target = Arc<T>> + use<T> {
        self.0.load()
    }

    pub(crate) fn store(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

/// The same behind a lock: the model checker schedules readers and the writer at it.
#[cfg(shuttle)]
pub(crate) struct Swap<T>(RwLock<Arc<T>>);

#[cfg(shuttle)]
impl<T> Swap<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    pub(crate) fn load(&self) -> impl std::ops::Deref<Target = Arc<T>> {
        read(&self.0)
    }

    pub(crate) fn store(&self, value: T) {
        *write(&self.0) = Arc::new(value);
    }
}

/// Locks for a few instructions. Nothing is awaited under the guard.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for reading, shared with other readers.
pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for writing.
pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
