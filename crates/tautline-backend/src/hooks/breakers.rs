//! The breakers of one URL: one for each kind of question, and for calls one for each method.
//!
//! Start at [`Breakers::begin`]. Their number is fixed: methods that share one by chance rest together.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{HookKind, request::HookRequest};
use crate::breaker::{Attempt, Breaker, BreakerChange};

/// Breakers of one URL.
const BREAKERS: usize = 64;

pub(super) struct Breakers {
    all: Box<[Mutex<Breaker>]>,
    hasher: RandomState,
}

/// An attempt that runs. Dropped without an outcome, as when its client has gone, it leaves the place to another one.
pub(super) struct Running<'a> {
    breaker: &'a Mutex<Breaker>,
    permitted: Attempt,
    is_over: bool,
}

impl Breakers {
    pub(super) fn new() -> Self {
        let all = (0..BREAKERS).map(|_| Mutex::default()).collect();
        Self { all, hasher: RandomState::new() }
    }

    /// How many leave their questions alone.
    pub(super) fn open(&self, now_ms: u64) -> usize {
        self.all.iter().filter(|breaker| lock(breaker).is_open(now_ms)).count()
    }

    /// Begins an attempt.
    ///
    /// # Errors
    /// The milliseconds after which another try makes sense.
    pub(super) fn begin(&self, now_ms: u64, request: &HookRequest) -> Result<Running<'_>, u64> {
        let method = if request.kind == HookKind::Call { &*request.about } else { "" };
        let index = self.hasher.hash_one((request.kind.as_str(), method)) % BREAKERS as u64;
        let breaker = &self.all[usize::try_from(index).expect("less than BREAKERS")];
        let permitted = lock(breaker).begin(now_ms)?;
        Ok(Running { breaker, permitted, is_over: false })
    }
}

impl Running<'_> {
    pub(super) fn end(mut self, now_ms: u64, is_good: bool) -> Option<BreakerChange> {
        self.is_over = true;
        lock(self.breaker).end(now_ms, self.permitted, is_good)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            lock(self.breaker).give_up(self.permitted);
        }
    }
}

fn lock(breaker: &Mutex<Breaker>) -> MutexGuard<'_, Breaker> {
    breaker.lock().unwrap_or_else(PoisonError::into_inner)
}
