//! Randomness of the system.

use std::io;

/// Any number.
pub(crate) fn random() -> io::Result<u64> {
    getrandom::u64().map_err(io::Error::other)
}

/// An incarnation, never 0.
pub(crate) fn random_incarnation() -> io::Result<u32> {
    getrandom::u32().map(|number| number.max(1)).map_err(io::Error::other)
}
