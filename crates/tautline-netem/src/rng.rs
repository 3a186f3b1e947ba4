//! The only source of randomness: a seed in, a fixed sequence out.
//! SplitMix64, because eight bytes of state and four lines of arithmetic are enough to choose faults; it is
//! no good for secrets.

/// A small deterministic random sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The sequence that belongs to `seed`, the same one on every machine.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A sequence of its own for each `stream` of a `seed`, so that what one connection draws never shifts another's.
    #[must_use]
    pub fn stream(seed: u64, stream: u64) -> Self {
        Self::seeded(mix(seed ^ mix(stream.wrapping_add(GAMMA))))
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// A number in `0..bound`, or 0 where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the product of two 64-bit numbers has a 64-bit upper half")
    }

    /// A number in `low..=high`; `low` where the two are the wrong way round.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True with this `probability` (0 never, 1 always). Draws nothing for "never", so that a rule which is off does
    /// not change what the other rules do.
    pub fn chance(&mut self, probability: f64) -> bool {
        // The upper 53 bits are all that a double can tell apart.
        probability > 0.0 && (self.next_u64() >> 11) as f64 * 2f64.powi(-53) < probability
    }
}

/// The golden ratio in 64 bits, the step of SplitMix64.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_splitmix64() {
        let mut rng = Rng::seeded(1_234_567);
        let first = [rng.next_u64(), rng.next_u64(), rng.next_u64()];
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn draws_stay_within_their_bounds() {
        let mut rng = Rng::seeded(7);
        assert!((0..1000).all(|_| rng.below(10) < 10));
        assert!((0..1000).all(|_| (5..=8).contains(&rng.between(5, 8))));
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.between(9, 3), 9);
    }

    #[test]
    fn chance_matches_its_probability() {
        let mut rng = Rng::seeded(7);
        let hits = (0..10_000).filter(|_| rng.chance(0.25)).count();
        assert!((2_300..2_700).contains(&hits), "{hits} of 10000");
        assert!((0..100).all(|_| rng.chance(1.0)));
    }

    #[test]
    fn zero_probability_draws_nothing() {
        let mut rng = Rng::seeded(7);
        assert!(!rng.chance(0.0));
        assert_eq!(rng, Rng::seeded(7));
    }

    #[test]
    fn streams_of_one_seed_differ() {
        assert_ne!(Rng::stream(1, 0).next_u64(), Rng::stream(1, 1).next_u64());
        assert_ne!(Rng::stream(1, 0).next_u64(), Rng::stream(2, 0).next_u64());
    }
}
