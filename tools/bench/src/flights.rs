//! Publications on their way: who has them already, and how long it took.
//!
//! Start at [`Flights::depart`] and [`Flights::arrive`].

use std::{collections::VecDeque, time::Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;

/// One channel, and its publications that not every subscriber has.
#[derive(Default)]
struct Route {
    subscribers: usize,
    /// The last offset that was published.
    last: u64,
    /// In the order of their offsets, which is the order in which they are complete.
    flying: VecDeque<Flight>,
}

struct Flight {
    departed: Instant,
    arrived: usize,
}

pub(super) struct Flights {
    routes: Vec<Route>,
    /// Publications that are not yet delivered to all subscribers.
    pub in_flight: usize,
    pub publications: u64,
    pub deliveries: u64,
    /// From publishing to each delivery, in microseconds.
    pub latency: Histogram<u64>,
}

impl Flights {
    /// So many channels, with nobody in them.
    pub(super) fn new(channels: usize) -> Self {
        Self {
            routes: (0..channels).map(|_| Route::default()).collect(),
            in_flight: 0,
            publications: 0,
            deliveries: 0,
            latency: histogram(),
        }
    }

    pub(super) fn subscribed(&mut self, channel: usize) {
        self.routes[channel].subscribers += 1;
    }

    /// Where nobody listens a publication is complete at once.
    pub(super) fn depart(&mut self, channel: usize, now: Instant) {
        let route = &mut self.routes[channel];
        route.last += 1;
        self.publications += 1;
        if route.subscribers > 0 {
            route.flying.push_back(Flight { departed: now, arrived: 0 });
            self.in_flight += 1;
        }
    }

    /// # Errors
    /// When this was never published.
    pub(super) fn arrive(&mut self, channel: usize, offset: u64, now: Instant) -> anyhow::Result<()> {
        let route = &mut self.routes[channel];
        let first = route.last + 1 - route.flying.len() as u64;
        let index = offset.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        let flight = index.and_then(|index| route.flying.get_mut(index));
        let flight = flight.with_context(|| format!("offset {offset} came, {} was the last", route.last))?;
        flight.arrived += 1;
        self.deliveries += 1;
        record(&mut self.latency, flight.departed, now);
        if flight.arrived == route.subscribers {
            // Everybody reads in order: what is older is complete, too.
            route.flying.pop_front();
            self.in_flight -= 1;
        }
        Ok(())
    }

    /// What was counted until now was the warming up.
    pub(super) fn count_anew(&mut self) {
        (self.publications, self.deliveries) = (0, 0);
        self.latency.reset();
    }

    /// The last offset that was published in a channel.
    pub(super) fn last(&self, channel: usize) -> u64 {
        self.routes[channel].last
    }
}

/// Microseconds up to a minute, three digits of them.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("these bounds make a histogram")
}

pub(super) fn record(histogram: &mut Histogram<u64>, from: Instant, to: Instant) {
    let waited = to.saturating_duration_since(from);
    histogram.saturating_record(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_flies_until_its_last_subscriber_has_it() {
        let now = Instant::now();
        let mut flights = Flights::new(2);
        flights.subscribed(0);
        flights.subscribed(0);
        flights.depart(0, now);
        flights.depart(0, now);
        // Nobody reads the other one.
        flights.depart(1, now);
        assert_eq!((flights.publications, flights.in_flight), (3, 2));
        flights.arrive(0, 1, now).unwrap();
        flights.arrive(0, 2, now).unwrap();
        assert_eq!(flights.in_flight, 2);
        flights.arrive(0, 1, now).unwrap();
        flights.arrive(0, 2, now).unwrap();
        assert_eq!((flights.in_flight, flights.deliveries), (0, 4));
        assert!(flights.arrive(0, 3, now).is_err());
    }
}
