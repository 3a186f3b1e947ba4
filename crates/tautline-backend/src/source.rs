//! Names the source of a login, so that its tickets end with it.

use sha2::{Digest as _, Sha256};

/// A digest of a login's source that reveals nothing of the secret; the same on all nodes with the same
/// settings.
pub(crate) fn source_of(environment: &str, kind: &str, secret: &[u8]) -> u64 {
    let mut digest = Sha256::new_with_prefix("tautline login source 1");
    for part in [environment.as_bytes(), kind.as_bytes(), secret] {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    u64::from_le_bytes(digest.finalize()[..8].try_into().expect("8 of 32 bytes"))
}
