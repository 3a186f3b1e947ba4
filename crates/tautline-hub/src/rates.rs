//! Rate limits of connections, users, addresses and API keys.
//!
//! Start at [`RateLimiter::take`]. Only what is missing from a bucket needs memory: full buckets are dropped, and
//! each scope keeps a bounded number of others.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    num::NonZero,
};

use serde::Deserialize;
use tautline_protocol::{UserId, units};

use crate::{
    rate::{Bucket, Rate},
    sync::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering, lock},
    user_connections::ConnectionBeyond,
};

const SHARDS: usize = 16;

/// The rate limits of a node. None is set by default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Of one connection.
    pub connection: RateSet,
    /// Of one user, on all connections to this node together. Guests have none.
    pub user: RateSet,
    /// Of one address (in IPv6: one /64); behind a proxy, of one connection.
    pub address: RateSet,
    /// Of one key of the HTTP API, on all connections together; it sends no hellos.
    pub api_key: RateSet,
    /// Clients of each scope whose buckets are not full; beyond it more of them are not limited. Default 100,000.
    #[serde(with = "units::Count")]
    pub keys_max: usize,
    /// Connections of one user to this node. Default: no ceiling.
    #[cfg_attr(feature = "schema", schemars(with = "NonZero<usize>"))]
    pub connections_per_user_max: Option<NonZero<usize>>,
    /// Which one is closed beyond it. Default: the oldest.
    pub connections_per_user_beyond: ConnectionBeyond,
}

/// The rate limits of one scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RateSet {
    /// Requests of any kind, publishes included.
    #[cfg_attr(feature = "schema", schemars(with = "Rate"))]
    pub requests: Option<Rate>,
    /// Publishes.
    #[cfg_attr(feature = "schema", schemars(with = "Rate"))]
    pub publishes: Option<Rate>,
    /// Bytes of messages, or of bodies.
    #[cfg_attr(feature = "schema", schemars(with = "Rate"))]
    pub bytes: Option<Rate>,
    /// Hellos.
    #[cfg_attr(feature = "schema", schemars(with = "Rate"))]
    pub hellos: Option<Rate>,
}

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charge {
    Request,
    Publish,
    /// Several at once.
    Publishes(u64),
    Bytes(u64),
    Hello,
}

/// The client that is charged, in each scope in which it is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Charged {
    pub(crate) connection: Option<u64>,
    pub(crate) user: Option<UserId>,
    pub(crate) address: Option<Address>,
    /// By a keyed hash that no two keys share.
    pub(crate) api_key: Option<u128>,
}

/// Whose address is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    /// A client's own, or in IPv6 its network.
    Known(IpAddr),
    /// That of a connection behind a proxy, by its number.
    Unknown(u64),
}

impl Address {
    pub(crate) fn of(address: Option<IpAddr>, connection: u64) -> Self {
        address.map_or(Self::Unknown(connection), Self::Known)
    }
}

/// The buckets of all clients.
pub(crate) struct RateLimiter {
    scopes: [Scope; 4],
    refusals: AtomicU64,
    tidy_next: AtomicUsize,
}

type Shard = HashMap<Key, Buckets>;

/// A client within its scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Connection(u64),
    User(UserId),
    Address(Address),
    OfApi(u128),
}

struct Scope {
    rates: RateSet,
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    shard_max: usize,
}

/// The buckets of one client.
#[derive(Clone, Copy, Debug, Default)]
struct Buckets {
    requests: Bucket,
    publishes: Bucket,
    bytes: Bucket,
    hellos: Bucket,
}

impl Default for Rates {
    fn default() -> Self {
        let [connection, user, address, api_key] = std::array::from_fn(|_| RateSet::default());
        Self {
            connection,
            user,
            address,
            api_key,
            keys_max: 100_000,
            connections_per_user_max: None,
            connections_per_user_beyond: ConnectionBeyond::default(),
        }
    }
}

impl RateLimiter {
    /// `None` if nothing is limited.
    pub(crate) fn new(rates: &Rates) -> Option<Self> {
        let sets = [&rates.connection, &rates.user, &rates.address, &rates.api_key];
        if sets.iter().all(|set| **set == RateSet::default()) {
            return None;
        }
        let scopes = sets.map(|rates_of| Scope {
            rates: rates_of.clone(),
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            shard_max: rates.keys_max.div_ceil(SHARDS),
        });
        Some(Self { scopes, refusals: AtomicU64::new(0), tidy_next: AtomicUsize::new(0) })
    }

    /// Charges a client in all scopes, or in none of them: `Err` tells in how many milliseconds all of them would take
    /// the same.
    pub(crate) fn take(&self, now_ms: u64, who: Charged, charges: &[Charge]) -> Result<(), u64> {
        let [connection, user, address, api_key] = &self.scopes;
        let taken = take_from(
            &[
                (connection, who.connection.map(Key::Connection)),
                (user, who.user.map(Key::User)),
                (address, who.address.map(Key::Address)),
                (api_key, who.api_key.map(Key::OfApi)),
            ],
            (now_ms, 0),
            charges,
        );
        if taken.is_err() {
            self.refusals.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Refused charges since the process started.
    pub(crate) fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// Clients whose buckets are kept.
    pub(crate) fn keys(&self) -> usize {
        self.scopes.iter().flat_map(|scope| &scope.shards).map(|shard| lock(shard).len()).sum()
    }

    /// Drops full buckets, of one shard in each scope. Call about once a second.
    pub(crate) fn tidy_some(&self, now_ms: u64) {
        let next = self.tidy_next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        for scope in &self.scopes {
            let mut shard = lock(&scope.shards[next]);
            scope.drop_full(&mut shard, now_ms);
            if shard.len() * 4 < shard.capacity() {
                shard.shrink_to_fit();
            }
        }
    }
}

/// Each scope is charged if all of them have room: their locks are taken in one order and held until the last one has
/// answered. `wait_ms` is the longest wait of the scopes before these.
fn take_from(
    scopes: &[(&Scope, Option<Key>)],
    (now_ms, mut wait_ms): (u64, u64),
    charges: &[Charge],
) -> Result<(), u64> {
    let Some(((scope, key), rest)) = scopes.split_first() else {
        return if wait_ms == 0 { Ok(()) } else { Err(wait_ms) };
    };
    let is_limited = charges.iter().any(|charge| scope.rates.of(*charge).is_some());
    let Some(key) = key.as_ref().filter(|_| is_limited) else {
        return take_from(rest, (now_ms, wait_ms), charges);
    };
    let mut shard = scope.shard(key);
    let mut after = shard.get(key).copied().unwrap_or_default();
    for charge in charges {
        let rate = scope.rates.of(*charge);
        let taken = rate.map_or(Ok(()), |rate| after.of(*charge).take(rate, now_ms, charge.units()));
        wait_ms = wait_ms.max(taken.err().unwrap_or(0));
    }
    take_from(rest, (now_ms, wait_ms), charges)?;
    if let Some(buckets) = scope.entry(&mut shard, key, now_ms) {
        *buckets = after;
    }
    Ok(())
}

impl Scope {
    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let shard = self.hasher.hash_one(key) % SHARDS as u64;
        lock(&self.shards[usize::try_from(shard).expect("below SHARDS")])
    }

    /// The client's buckets. `None`: there is no room for another client's.
    fn entry<'s>(&self, shard: &'s mut Shard, key: &Key, now_ms: u64) -> Option<&'s mut Buckets> {
        if shard.len() >= self.shard_max && !shard.contains_key(key) {
            self.drop_full(shard, now_ms);
            if shard.len() >= self.shard_max {
                return None;
            }
        }
        Some(shard.entry(key.clone()).or_default())
    }

    fn drop_full(&self, shard: &mut Shard, now_ms: u64) {
        shard.retain(|_, buckets| {
            let charges = [Charge::Request, Charge::Publish, Charge::Bytes(0), Charge::Hello];
            let is_full = |charge: Charge| {
                self.rates.of(charge).is_none_or(|rate| buckets.of(charge).is_full(rate, now_ms))
            };
            !charges.into_iter().all(is_full)
        });
    }
}

impl RateSet {
    fn of(&self, charge: Charge) -> Option<&Rate> {
        match charge {
            Charge::Request => self.requests.as_ref(),
            Charge::Publish | Charge::Publishes(_) => self.publishes.as_ref(),
            Charge::Bytes(_) => self.bytes.as_ref(),
            Charge::Hello => self.hellos.as_ref(),
        }
    }
}

impl Buckets {
    const fn of(&mut self, charge: Charge) -> &mut Bucket {
        match charge {
            Charge::Request => &mut self.requests,
            Charge::Publish | Charge::Publishes(_) => &mut self.publishes,
            Charge::Bytes(_) => &mut self.bytes,
            Charge::Hello => &mut self.hellos,
        }
    }
}

impl Charge {
    const fn units(self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Publishes(count) => count,
            Self::Request | Self::Publish | Self::Hello => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(requests: &str) -> RateSet {
        RateSet { requests: Some(requests.parse().expect("a rate")), ..RateSet::default() }
    }

    fn at(connection: u64, user: u32) -> Charged {
        let user = UserId::parse(&format!("u{user}")).ok();
        Charged { connection: Some(connection), user, ..Charged::default() }
    }

    #[test]
    fn limiter_exists_only_where_something_is_limited() {
        assert!(RateLimiter::new(&Rates::default()).is_none());
        assert!(RateLimiter::new(&Rates { api_key: set("1/s"), ..Rates::default() }).is_some());
    }

    #[test]
    fn refusal_of_one_scope_charges_no_other() {
        let rates = Rates { connection: set("3/s"), user: set("4/s"), ..Rates::default() };
        let limiter = RateLimiter::new(&rates).expect("two limits");
        let take = |connection| limiter.take(1_000, at(connection, 7), &[Charge::Request]).is_ok();
        assert_eq!([take(1), take(1), take(1), take(1)], [true, true, true, false], "the connection");
        assert_eq!([take(2), take(2)], [true, false], "the user");
        let other_user = limiter.take(1_000, at(2, 8), &[Charge::Request; 2]);
        assert_eq!(other_user, Ok(()), "the refused request cost the second connection nothing");
        assert_eq!(limiter.refusals(), 2);
    }

    #[test]
    fn full_buckets_are_dropped_and_others_bounded() {
        let rates = Rates { user: set("1/s"), keys_max: 160, ..Rates::default() };
        let limiter = RateLimiter::new(&rates).expect("a limit");
        let request = |now_ms, user| limiter.take(now_ms, at(1, user), &[Charge::Request]);
        (1..=10_000).for_each(|user| assert_eq!(request(0, user), Ok(()), "each has a bucket of its own"));
        assert!((100..=160).contains(&limiter.keys()), "{}", limiter.keys());
        (1..=10_000).for_each(|user| assert_eq!(request(1_000, user), Ok(())));
        assert!(limiter.keys() <= 160);
        (0..SHARDS).for_each(|_| limiter.tidy_some(2_000));
        assert_eq!(limiter.keys(), 0);
    }

    #[test]
    fn wait_is_the_longest_of_all_scopes() {
        let rates = Rates { connection: set("1/s"), user: set("1/m"), ..Rates::default() };
        let limiter = RateLimiter::new(&rates).expect("two limits");
        let take = |now_ms| limiter.take(now_ms, at(1, 7), &[Charge::Request]);
        assert_eq!([take(0), take(0), take(1_000)], [Ok(()), Err(60_000), Err(59_000)]);
        assert_eq!(take(60_000), Ok(()), "the wait was neither too short nor too long");
        let both = |set: &str| RateSet { publishes: set.parse().ok(), ..self::set("1/s") };
        let limiter = RateLimiter::new(&Rates { user: both("1/h"), ..Rates::default() }).expect("two limits");
        let publish = || limiter.take(0, at(1, 7), &[Charge::Request, Charge::Publish]);
        assert_eq!([publish(), publish()], [Ok(()), Err(3_600_000)], "of all charges of a scope, too");
    }
}
