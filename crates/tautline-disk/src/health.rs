//! Says when the store stops and begins again to take transactions, without a line for each second of it.

use std::time::{Duration, Instant};

use crate::fault::Fault;

/// Between two lines that say that it takes none.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Whether the store takes transactions, and what was said about it.
#[derive(Default)]
pub(crate) struct Health {
    failing: bool,
    /// That it fails was said, and not yet that it is over.
    said: bool,
    said_at: Option<Instant>,
    /// How often it began to fail since that was said.
    unsaid: u32,
}

impl Health {
    pub(crate) const fn is_failing(&self) -> bool {
        self.failing
    }

    /// A transaction failed. True: say so.
    pub(crate) fn fails(&mut self, now: Instant, fault: &Fault) -> bool {
        self.unsaid += u32::from(!self.failing);
        self.failing = true;
        if self.said || self.said_at.is_some_and(|at| now.duration_since(at) < SAY_EVERY) {
            return false;
        }
        let times = std::mem::take(&mut self.unsaid);
        (self.said, self.said_at) = (true, Some(now));
        tracing::error!(event = "store_transaction_failed", %fault, times, "the store takes no transactions: publications are refused until it does");
        true
    }

    /// It can take transactions again. True: say so.
    pub(crate) fn recovers(&mut self) -> bool {
        self.failing = false;
        let said = std::mem::take(&mut self.said);
        if said {
            tracing::info!(event = "store_well", "the store takes transactions again");
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Fault {
        Fault::Row("any".to_owned())
    }

    #[test]
    fn failure_is_said_once_while_it_lasts() {
        let (mut health, now) = (Health::default(), Instant::now());
        assert!(health.fails(now, &full()));
        assert!((1..600).all(|second| !health.fails(now + Duration::from_secs(second), &full())));
        assert!(health.is_failing() && health.recovers() && !health.is_failing());
    }

    #[test]
    fn failure_that_comes_and_goes_is_said_once_a_minute() {
        let (mut health, now) = (Health::default(), Instant::now());
        let said = (0..120).filter(|second| {
            let fails = health.fails(now + Duration::from_secs(*second), &full());
            health.recovers();
            fails
        });
        assert_eq!(said.count(), 2);
    }

    #[test]
    fn failure_that_stays_is_said_although_the_last_was_recent() {
        let (mut health, now) = (Health::default(), Instant::now());
        health.fails(now, &full());
        health.recovers();
        let said = (1..=60).filter(|second| health.fails(now + Duration::from_secs(*second), &full()));
        assert_eq!(said.count(), 1, "the last line is not that it takes transactions again");
    }
}
