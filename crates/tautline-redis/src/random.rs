//! Randomness of the system.

use std::io;

/// Any number.
pub(crate) fn random() -> io::Result<u64> {
    getrandom::u64().map_err(io::Error::other)
}

/// An incarnation, never 0.
pub(crate) fn random_incarnation() -> io::Result<u32> {
    Ok((random()? as u32).max(1))
}
