//! Random numbers of the system.

use ring::rand::{SecureRandom as _, SystemRandom};

/// A number that nobody can guess.
///
/// # Panics
/// When the system has no random bytes.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).expect("the system has random bytes");
    u64::from_ne_bytes(bytes)
}
