//! Publications on their way: which subscribers have them already, and how long it took.
//!
//! Start at [`DeliveryTracker::sent`] and [`DeliveryTracker::received`].

use std::{collections::VecDeque, time::Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;

/// One channel, and its publications that not every subscriber has.
#[derive(Default)]
struct ChannelState {
    subscribers: usize,
    /// The last offset that was published.
    last: u64,
    /// In the order of their offsets, which is the order in which they are complete.
    pending: VecDeque<InFlight>,
}

struct InFlight {
    sent_at: Instant,
    receivers: usize,
}

pub(super) struct DeliveryTracker {
    channels: Vec<ChannelState>,
    /// Publications that are not yet delivered to all subscribers.
    pub in_flight: usize,
    pub publications: u64,
    pub deliveries: u64,
    /// From publishing to each delivery, in microseconds.
    pub latency: Histogram<u64>,
}

impl DeliveryTracker {
    /// So many channels, with nobody in them.
    pub(super) fn new(channels: usize) -> Self {
        Self {
            channels: (0..channels).map(|_| ChannelState::default()).collect(),
            in_flight: 0,
            publications: 0,
            deliveries: 0,
            latency: histogram(),
        }
    }

    pub(super) fn subscribed(&mut self, channel: usize) {
        self.channels[channel].subscribers += 1;
    }

    /// Where nobody listens a publication is complete at once.
    pub(super) fn sent(&mut self, channel: usize, now: Instant) {
        let channel_state = &mut self.channels[channel];
        channel_state.last += 1;
        self.publications += 1;
        if channel_state.subscribers > 0 {
            channel_state.pending.push_back(InFlight { sent_at: now, receivers: 0 });
            self.in_flight += 1;
        }
    }

    /// # Errors
    /// When this was never published.
    pub(super) fn received(&mut self, channel: usize, offset: u64, now: Instant) -> anyhow::Result<()> {
        let channel_state = &mut self.channels[channel];
        let first = channel_state.last + 1 - channel_state.pending.len() as u64;
        let index = offset.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        let flight = index.and_then(|index| channel_state.pending.get_mut(index));
        let flight =
            flight.with_context(|| format!("offset {offset} came, {} was the last", channel_state.last))?;
        flight.receivers += 1;
        self.deliveries += 1;
        record(&mut self.latency, flight.sent_at, now);
        if flight.receivers == channel_state.subscribers {
            // Everybody reads in order: what is older is complete, too.
            channel_state.pending.pop_front();
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
        self.channels[channel].last
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
    fn publication_completes_with_its_last_subscriber() {
        let now = Instant::now();
        let mut delivery = DeliveryTracker::new(2);
        delivery.subscribed(0);
        delivery.subscribed(0);
        delivery.sent(0, now);
        delivery.sent(0, now);
        // Nobody reads the other one.
        delivery.sent(1, now);
        assert_eq!((delivery.publications, delivery.in_flight), (3, 2));
        delivery.received(0, 1, now).unwrap();
        delivery.received(0, 2, now).unwrap();
        assert_eq!(delivery.in_flight, 2);
        delivery.received(0, 1, now).unwrap();
        delivery.received(0, 2, now).unwrap();
        assert_eq!((delivery.in_flight, delivery.deliveries), (0, 4));
        assert!(delivery.received(0, 3, now).is_err());
    }
}
