//! How often somebody may try a password: by address, and by account.
//!
//! Start at [`SignInLimits::take`]. Buckets are in tables of a fixed size, found by a keyed hash: no number of addresses or
//! names makes them grow, and nobody can aim at the bucket of somebody else by anything but the same name.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use tautline_hub::{Bucket, Rate, client_network};

const BUCKETS: usize = 4_096;

/// Attempts of one address, or in IPv6 of its network.
const PER_ADDRESS: Rate = rate(20, 60_000, 20);
/// Attempts at one account, from wherever they come.
const PER_ACCOUNT: Rate = rate(10, 60_000, 10);

const fn rate(count: u64, per_ms: u64, burst: u64) -> Rate {
    match Rate::new(count, per_ms, burst) {
        Some(rate) => rate,
        None => panic!("a rate of none"),
    }
}

/// The attempts of everybody.
pub(crate) struct SignInLimits {
    hasher: RandomState,
    addresses: Mutex<Box<[Bucket]>>,
    accounts: Mutex<Box<[Bucket]>>,
}

impl SignInLimits {
    pub(crate) fn new() -> Self {
        let table = || Mutex::new(vec![Bucket::default(); BUCKETS].into());
        Self { hasher: RandomState::new(), addresses: table(), accounts: table() }
    }

    /// One attempt; `Err`: in how many milliseconds the next one may come. The same for names that nobody has.
    pub(crate) fn take(&self, now_ms: u64, address: Option<IpAddr>, name: &str) -> Result<(), u64> {
        if let Some(address) = address {
            self.take_from(&self.addresses, &PER_ADDRESS, now_ms, client_network(address))?;
        }
        self.take_from(&self.accounts, &PER_ACCOUNT, now_ms, name)
    }

    fn take_from(
        &self,
        table: &Mutex<Box<[Bucket]>>,
        rate: &Rate,
        now_ms: u64,
        key: impl Hash,
    ) -> Result<(), u64> {
        let index = usize::try_from(self.hasher.hash_one(key) % BUCKETS as u64).expect("a small number");
        table.lock().unwrap_or_else(PoisonError::into_inner)[index].take(rate, now_ms, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(limits: &SignInLimits, now_ms: u64, address: &str, name: impl Fn(usize) -> String) -> usize {
        let address = address.parse().ok();
        (0..100).filter(|n| limits.take(now_ms, address, &name(*n)).is_ok()).count()
    }

    #[test]
    fn address_is_limited_whatever_the_names() {
        let limits = SignInLimits::new();
        assert_eq!(attempts(&limits, 0, "192.0.2.1", |n| format!("name {n}")), 20);
        assert_eq!(attempts(&limits, 3_000, "192.0.2.1", |n| format!("name {n}")), 1);
        let limits = SignInLimits::new();
        assert_eq!(attempts(&limits, 0, "2001:db8::1", |n| format!("name {n}")), 20);
        assert_eq!(attempts(&limits, 0, "2001:db8::2", |n| format!("name {n}")), 0, "the same network");
    }

    #[test]
    fn account_is_limited_whatever_the_addresses() {
        let limits = SignInLimits::new();
        let taken: usize =
            (1..50).map(|n| attempts(&limits, 0, &format!("192.0.2.{n}"), |_| "ada".to_owned())).sum();
        assert_eq!(taken, 10);
        assert_eq!(limits.take(0, None, "ada"), Err(6_000));
        assert_eq!(limits.take(6_000, None, "ada"), Ok(()));
    }
}
