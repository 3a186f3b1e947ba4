//! Who comes online, and how long each waited for it.

use std::time::{Duration, Instant};

use anyhow::ensure;
use hdrhistogram::Histogram;

use super::{
    flights::{histogram, record},
    line::{Heard, Line, Scene},
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

impl Scene for Arrivals {
    fn hear(&mut self, line: &mut Line, heard: Heard<'_>, now: Instant) -> anyhow::Result<()> {
        if let Heard::Online { .. } = heard {
            self.online += 1;
            self.last = Some(now - self.begin);
            record(&mut self.waited, line.dialled, now);
        }
        ensure!(line.gaps == 0, "a gap, where nothing was missing");
        Ok(())
    }
}
