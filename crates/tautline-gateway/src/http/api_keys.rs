//! The keys of the HTTP API.

use sha2::{Digest as _, Sha256};

/// Keys as digests: comparisons then have one length, and their time tells nothing.
#[derive(Default)]
pub(crate) struct ApiKeys(Vec<[u8; 32]>);

impl ApiKeys {
    pub(crate) fn insert(&mut self, key: &str) {
        self.0.push(Sha256::digest(key).into());
    }

    /// Compares with every key, whichever matches.
    pub(crate) fn contain(&self, key: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let differs = |known: &[u8; 32]| known.iter().zip(digest).fold(0, |sum, (a, b)| sum | (a ^ b));
        self.0.iter().fold(false, |found, known| found | (differs(known) == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_inserted_key_matches_and_no_other() {
        let mut keys = ApiKeys::default();
        assert!(!keys.contain(""), "without keys nothing is open");
        keys.insert("old");
        keys.insert("new");
        assert!(keys.contain("old") && keys.contain("new"));
        assert!(!keys.contain("ne") && !keys.contain("newer") && !keys.contain(""));
    }
}
