//! How often something may happen (GCRA): steadily, with a burst, and for whom.
//!
//! Start at [`Rate::try_take`] and [`AddressRates::try_take`]. Holds no clock: each call is told the time.

use std::{collections::HashMap, net::IpAddr};

/// Addresses that are remembered; beyond it new ones share one rate.
const ADDRESSES_MAX: usize = 16_384;

/// A rate: so many in a time, all of them at once if need be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// The time that one takes.
    interval_us: u64,
    /// The time that a burst may take in advance.
    burst_us: u64,
}

impl Rate {
    pub(super) fn new(count: usize, per_ms: u64) -> Self {
        let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
        let interval_us = (per_ms * 1000 / count).max(1);
        Self { interval_us, burst_us: per_ms * 1000 - interval_us }
    }

    /// Takes one at `now_ms`; `free_at_us` is when all that was taken is paid for.
    ///
    /// # Errors
    /// The wait in milliseconds until there is one more.
    pub(super) fn try_take(self, free_at_us: &mut u64, now_ms: u64) -> Result<(), u64> {
        let now_us = now_ms * 1000;
        let begin_us = (*free_at_us).max(now_us);
        let ahead_us = begin_us - now_us;
        if ahead_us > self.burst_us {
            return Err((ahead_us - self.burst_us).div_ceil(1000));
        }
        *free_at_us = begin_us + self.interval_us;
        Ok(())
    }
}

/// A rate for each address, or for each /64 of IPv6.
#[derive(Debug)]
pub(super) struct AddressRates {
    rate: Rate,
    free_at_us: HashMap<u64, u64>,
    /// Of all addresses for which there is no room.
    shared_us: u64,
}

impl AddressRates {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, free_at_us: HashMap::new(), shared_us: 0 }
    }

    /// Takes one for an address.
    ///
    /// # Errors
    /// The wait in milliseconds.
    pub(super) fn try_take(&mut self, address: IpAddr, now_ms: u64) -> Result<(), u64> {
        let key = key(address);
        if self.free_at_us.len() >= ADDRESSES_MAX && !self.free_at_us.contains_key(&key) {
            self.free_at_us.retain(|_, free_at_us| *free_at_us > now_ms * 1000);
            if self.free_at_us.len() >= ADDRESSES_MAX {
                return self.rate.try_take(&mut self.shared_us, now_ms);
            }
        }
        self.rate.try_take(self.free_at_us.entry(key).or_default(), now_ms)
    }
}

fn key(address: IpAddr) -> u64 {
    match address.to_canonical() {
        // No network of IPv6 begins with 32 zero bits and then has a host.
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).expect("64 bits are left"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_taken_at_once_and_then_steadily() {
        let (rate, mut free_at_us) = (Rate::new(10, 1000), 0);
        assert!((0..10).all(|_| rate.try_take(&mut free_at_us, 5_000).is_ok()));
        assert_eq!(rate.try_take(&mut free_at_us, 5_000), Err(100));
        assert_eq!(rate.try_take(&mut free_at_us, 5_099), Err(1));
        assert_eq!(rate.try_take(&mut free_at_us, 5_100), Ok(()));
        assert_eq!(rate.try_take(&mut free_at_us, 5_100), Err(100), "it was one, and no more");
    }

    #[test]
    fn address_that_took_its_rate_leaves_others_alone() {
        let mut rates = AddressRates::new(Rate::new(2, 60_000));
        let of = |text: &str| text.parse::<IpAddr>().unwrap();
        for _ in 0..2 {
            rates.try_take(of("192.0.2.1"), 1_000).unwrap();
            rates.try_take(of("2001:db8::1"), 1_000).unwrap();
        }
        assert_eq!(rates.try_take(of("::ffff:192.0.2.1"), 1_000), Err(30_000), "the same host");
        assert!(rates.try_take(of("2001:db8::2"), 1_000).is_err(), "the same /64");
        assert_eq!(rates.try_take(of("192.0.2.2"), 1_000), Ok(()));
        assert_eq!(rates.try_take(of("2001:db8:0:1::1"), 1_000), Ok(()));
    }

    #[test]
    fn flood_of_addresses_is_bounded_and_shares_one_rate() {
        let mut rates = AddressRates::new(Rate::new(1, 60_000));
        let of = |n: usize| IpAddr::from(u32::try_from(n).unwrap().to_be_bytes());
        for n in 0..ADDRESSES_MAX {
            rates.try_take(of(n), 1_000).unwrap();
        }
        assert_eq!(rates.try_take(of(ADDRESSES_MAX), 1_000), Ok(()), "the first of those without room");
        assert!(rates.try_take(of(ADDRESSES_MAX + 1), 1_000).is_err());
        assert_eq!(rates.free_at_us.len(), ADDRESSES_MAX);
        rates.try_take(of(ADDRESSES_MAX + 1), 62_000).unwrap();
        assert_eq!(rates.free_at_us.len(), 1, "those that are paid for are forgotten");
    }
}
