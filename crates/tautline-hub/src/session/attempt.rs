//! An attempt number in six bytes: a session has no room for eight.

/// A stored attempt number. It is never far ahead of the clock, so 48 bits of milliseconds are enough until the
/// year 10889; a larger one counts as the largest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Attempt([u8; 6]);

impl From<u64> for Attempt {
    fn from(number: u64) -> Self {
        let [_, _, bytes @ ..] = number.min((1 << 48) - 1).to_be_bytes();
        Self(bytes)
    }
}

impl From<Attempt> for u64 {
    fn from(Attempt([a, b, c, d, e, f]): Attempt) -> Self {
        Self::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_is_stored_and_ordered() {
        for number in [0, 1, 255, 256, 1_763_666_000_000, (1 << 48) - 1] {
            assert_eq!(u64::from(Attempt::from(number)), number);
        }
        assert!(Attempt::from(255) < Attempt::from(256));
        assert_eq!(Attempt::from(1 << 48), Attempt::from(u64::MAX));
    }
}
