//! The client's randomness: mulberry32, because it is five lines and bit for bit the same in JavaScript.

/// A generator of 32-bit numbers. Good enough to spread retries; no source of secrets.
#[derive(Clone, Debug)]
pub(super) struct Random {
    state: u32,
}

impl Random {
    pub(super) const fn new(seed: u32) -> Self {
        Self { state: seed }
    }

    /// The next 32 bits.
    pub(super) const fn bits(&mut self) -> u32 {
        self.state = self.state.wrapping_add(0x6D2B_79F5);
        let mut z = self.state;
        z = (z ^ (z >> 15)).wrapping_mul(z | 1);
        z ^= z.wrapping_add((z ^ (z >> 7)).wrapping_mul(z | 61));
        z ^ (z >> 14)
    }

    /// A whole number in `0..ceiling`, as `Math.floor(random() * ceiling)` gives it.
    pub(super) fn below(&mut self, ceiling: u64) -> u64 {
        // floor(bits / 2^32 · ceiling) in whole numbers: exact, and the same as in doubles while ceiling < 2^21.
        let product = u128::from(self.bits()) * u128::from(ceiling);
        u64::try_from(product >> 32).expect("less than the ceiling")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_mulberry32_in_javascript() {
        let mut random = Random::new(1);
        assert_eq!([random.bits(), random.bits(), random.bits()], [2_693_262_067, 11_749_833, 2_265_367_787]);
        let mut random = Random::new(0xFFFF_FFFF);
        assert_eq!([random.bits(), random.bits()], [3_850_105_811, 813_802_916]);
    }

    #[test]
    fn numbers_below_a_ceiling_stay_below_it() {
        let mut random = Random::new(7);
        assert!((0..1000).all(|_| random.below(500) < 500));
        assert_eq!(Random::new(1).below(1000), 627);
        assert!(Random::new(1).below(u64::MAX) < u64::MAX);
    }
}
