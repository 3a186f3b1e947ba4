//! One rate limit: the generic cell rate algorithm (GCRA), told the time.
//!
//! Start at [`Bucket::take`]. A bucket is a single number, the time at which it is full again. All arithmetic is
//! in whole numbers, so a bucket never admits more than its burst and what has flowed in since, and the wait that
//! it tells is exact.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, de::Error as _};
use tautline_protocol::units;

/// `count` units in `per_ms` milliseconds, and up to `burst` units at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u64,
    per_ms: u64,
    burst: u64,
}

/// The bucket of one client under a [`Rate`]. A new one is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When it is full again, in milliseconds divided by the rate's count.
    full_at: u128,
}

impl Rate {
    /// `None` if one of them is zero.
    #[must_use]
    pub const fn new(count: u64, per_ms: u64, burst: u64) -> Option<Self> {
        if count == 0 || per_ms == 0 || burst == 0 {
            return None;
        }
        Some(Self { count, per_ms, burst })
    }

    fn time(&self, now_ms: u64) -> u128 {
        u128::from(now_ms) * u128::from(self.count)
    }

    fn cost(&self, units: u64) -> u128 {
        u128::from(units) * u128::from(self.per_ms)
    }
}

impl Bucket {
    /// Takes so many units. More than the burst pass once the bucket is full, and leave it in debt: they could never
    /// pass otherwise, and the rate still holds. `Err`: takes nothing, and tells in how many milliseconds the same would
    /// succeed.
    ///
    /// # Errors
    /// The wait.
    pub fn take(&mut self, rate: &Rate, now_ms: u64, units: u64) -> Result<(), u64> {
        let now = rate.time(now_ms);
        let full_at = self.full_at.max(now);
        let late = (full_at + rate.cost(units.min(rate.burst))).saturating_sub(now + rate.cost(rate.burst));
        if late > 0 {
            return Err(u64::try_from(late.div_ceil(u128::from(rate.count))).unwrap_or(u64::MAX));
        }
        self.full_at = full_at + rate.cost(units);
        Ok(())
    }

    /// Nothing is missing: it is as a new one.
    pub(crate) fn is_full(&self, rate: &Rate, now_ms: u64) -> bool {
        self.full_at <= rate.time(now_ms)
    }
}

/// `20/s`, `600/m`, `256KiB/10s burst 1MiB`; without a burst, the whole count may come at once.
impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || {
            format!(
                "{text:?} is no rate: write a number, a time and a burst, like 20/s or 64KiB/10s burst 1MiB"
            )
        };
        let (count, rest) = text.split_once('/').ok_or_else(refuse)?;
        let (per, burst) = match rest.split_once("burst") {
            Some((per, burst)) => (per.trim(), Some(burst.trim())),
            None => (rest.trim(), None),
        };
        let number = |text: &str| units::parse_bytes(text.trim()).map_err(|_| refuse());
        let per = match per.starts_with(|c: char| c.is_ascii_digit()) {
            true => units::parse_duration(per),
            false => units::parse_duration(&format!("1{per}")),
        };
        let (count, per_ms) = (number(count)? as u64, units::whole_ms(per.map_err(|_| refuse())?));
        let burst = burst.map_or(Ok(count), |burst| number(burst).map(|burst| burst as u64))?;
        Self::new(count, per_ms, burst).ok_or_else(refuse)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Rate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^ *[0-9]+ *(B|KiB|MiB|GiB)? */ *[0-9]* *(ms|s|m|h|d)"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn rate(text: &str) -> Rate {
        text.parse().expect("a rate")
    }

    #[test]
    fn burst_passes_and_then_one_unit_each_interval() {
        let (rate, mut bucket) = (rate("20/s burst 5"), Bucket::default());
        assert_eq!((0..9).map_while(|_| bucket.take(&rate, 1_000, 1).ok()).count(), 5);
        assert_eq!(bucket.take(&rate, 1_000, 1), Err(50));
        assert_eq!(bucket.take(&rate, 1_049, 1), Err(1));
        assert_eq!(bucket.take(&rate, 1_050, 1), Ok(()));
        assert!(!bucket.is_full(&rate, 1_299) && bucket.is_full(&rate, 1_300));
    }

    #[test]
    fn amount_above_the_burst_leaves_the_bucket_in_debt() {
        let (rate, mut bucket) = (rate("20/s burst 50"), Bucket::default());
        assert_eq!(bucket.take(&rate, 7, 60), Ok(()));
        assert_eq!(bucket.take(&rate, 7, 1), Err(550), "ten of debt, and the one");
        assert_eq!(bucket.take(&rate, 7, 1_000), Err(3_000), "until it is full");
        assert_eq!(bucket.take(&rate, 3_007, 1_000), Ok(()));
        assert_eq!(bucket.take(&rate, 50_507, 1), Err(50), "the rate holds");
        assert_eq!(bucket.take(&rate, 50_557, 1), Ok(()));
    }

    /// Random rates, pauses and amounts: no window admits more than the burst and what flows in meanwhile, and the
    /// wait that is told is neither too short nor too long.
    #[test]
    fn any_window_admits_burst_and_flow_and_waits_are_exact() {
        for seed in 0..200_u8 {
            let random = Random::new([seed; 32]);
            let draw = |most: u64| 1 + u64::try_from(random.id() % u128::from(most)).expect("below most");
            let rate = Rate::new(draw(1_000), draw(10_000), draw(200)).expect("above zero");
            let (mut bucket, mut now_ms, mut admitted) = (Bucket::default(), draw(1 << 40), Vec::new());
            for _ in 0..200 {
                now_ms += draw(rate.per_ms / 10 + 1) - 1;
                let units = draw(rate.burst);
                match bucket.take(&rate, now_ms, units) {
                    Ok(()) => admitted.push((now_ms, units)),
                    Err(wait_ms) => {
                        let before = bucket;
                        assert!(bucket.take(&rate, now_ms + wait_ms - 1, units).is_err(), "{rate:?}");
                        assert_eq!(bucket, before, "a refusal takes nothing");
                        assert_eq!(bucket.take(&rate, now_ms + wait_ms, units), Ok(()), "{rate:?}");
                        now_ms += wait_ms;
                        admitted.push((now_ms, units));
                    }
                }
            }
            for (from, (begin_ms, _)) in admitted.iter().enumerate() {
                let mut sum = 0;
                for (at_ms, units) in &admitted[from..] {
                    sum += u128::from(*units);
                    let flowed = u128::from(at_ms - begin_ms) * u128::from(rate.count);
                    assert!(sum * u128::from(rate.per_ms) <= rate.cost(rate.burst) + flowed, "{rate:?}");
                }
            }
        }
    }

    #[test]
    fn rates_are_read_from_texts() {
        assert_eq!(rate("20/s"), Rate { count: 20, per_ms: 1_000, burst: 20 });
        assert_eq!(rate("600/m burst 50"), Rate { count: 600, per_ms: 60_000, burst: 50 });
        assert_eq!(rate("64KiB / 10s burst 1MiB"), Rate { count: 65_536, per_ms: 10_000, burst: 1 << 20 });
        for text in
            ["", "20", "20/", "/s", "0/s", "20/0s", "20/s burst 0", "20/s burst", "20 per s", "-1/s", "1.5/s"]
        {
            assert!(text.parse::<Rate>().unwrap_err().contains("is no rate"), "{text}");
        }
    }
}
