//! The breakers of one URL: one for each kind of question, and for calls one for each method.
//!
//! Start at [`Breakers::begin`]. Their number is fixed: methods that share one by chance rest together, and never with
//! another kind of question, whatever methods clients make up.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{HookKind, request::HookRequest};
use crate::breaker::{Attempt, Breaker, BreakerChange};

/// Breakers of one URL.
const BREAKERS: usize = 64;
/// The first of those for calls; before it each other kind has its own.
const OF_CALLS: usize = HookKind::Call as usize;

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
    /// Of a URL whose answers may take so long.
    pub(super) fn new(timeout: Duration) -> Self {
        let all = (0..BREAKERS).map(|_| Mutex::new(Breaker::with_answers_within(timeout))).collect();
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
        let breaker = &self.all[self.index(request.kind, &request.about)];
        let permitted = lock(breaker).begin(now_ms)?;
        Ok(Running { breaker, permitted, is_over: false })
    }
}

impl Breakers {
    fn index(&self, kind: HookKind, about: &str) -> usize {
        match kind {
            HookKind::Call => {
                let method = self.hasher.hash_one(about) % (BREAKERS - OF_CALLS) as u64;
                OF_CALLS + usize::try_from(method).expect("less than BREAKERS")
            }
            other => other as usize,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_share_no_breaker_with_another_kind() {
        let breakers = Breakers::new(Duration::from_secs(1));
        for kind in [HookKind::Connect, HookKind::Refresh, HookKind::Publish, HookKind::Presence] {
            let index = breakers.index(kind, "room:1");
            assert_eq!(index, breakers.index(kind, "room:2"));
            assert!((0..2_000).all(|n| breakers.index(HookKind::Call, &n.to_string()) != index), "{kind:?}");
        }
    }
}
