//! Which connections came online, and how long each waited for it.

use std::time::{Duration, Instant};

use anyhow::ensure;
use hdrhistogram::Histogram;

use super::{
    connection::{Connection, Event, Observer},
    delivery_tracker::{histogram, record},
};

pub(super) struct Arrivals {
    pub online: usize,
    begin: Instant,
    /// When the last one came online.
    pub last: Option<Duration>,
    /// From dialling to the welcome, in microseconds.
    pub waited: Histogram<u64>,
}

impl Arrivals {
    pub(super) fn new(begin: Instant) -> Self {
        Self { online: 0, begin, last: None, waited: histogram() }
    }
}

impl Observer for Arrivals {
    fn on_event(
        &mut self,
        connection: &mut Connection,
        event: Event<'_>,
        now: Instant,
    ) -> anyhow::Result<()> {
        if let Event::Online { .. } = event {
            self.online += 1;
            self.last = Some(now - self.begin);
            record(&mut self.waited, connection.dialled, now);
        }
        ensure!(connection.gaps == 0, "a gap, where nothing was missing");
        Ok(())
    }
}
