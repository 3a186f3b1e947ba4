//! Locks that outlive a panic: what they guard is changed in steps that leave it whole, and one connection's panic must
//! not take the node down.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks for a few instructions. Nothing is awaited under the guard.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
