//! The keys of the HTTP API.

use sha2::{Digest as _, Sha256};

/// The fewest characters of a key of the HTTP API: shorter ones can be guessed over the network.
pub const API_KEY_BYTES_MIN: usize = 16;

/// Why a key of the HTTP API is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyError {
    /// A short key can be guessed.
    #[error("an API key has {0} bytes: at least {API_KEY_BYTES_MIN} are needed, so that nobody guesses it")]
    TooShort(usize),
    /// No header can carry it.
    #[error("an API key holds only visible ASCII characters, because it travels in a header")]
    Unfit,
}

/// Keys as digests: comparisons then have one length, and their time tells nothing.
#[derive(Default)]
pub(crate) struct ApiKeys(Vec<[u8; 32]>);

impl ApiKeys {
    pub(crate) fn insert(&mut self, key: &str) -> Result<(), ApiKeyError> {
        if key.len() < API_KEY_BYTES_MIN {
            return Err(ApiKeyError::TooShort(key.len()));
        }
        if key.chars().any(|c| !c.is_ascii_graphic()) {
            return Err(ApiKeyError::Unfit);
        }
        self.0.push(Sha256::digest(key).into());
        Ok(())
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
        keys.insert("the-old-key-of-us").expect("a good key");
        keys.insert("the-new-key-of-us").expect("a good key");
        assert!(keys.contain("the-old-key-of-us") && keys.contain("the-new-key-of-us"));
        assert!(
            !keys.contain("the-old-key-of-u") && !keys.contain("the-new-key-of-us-") && !keys.contain("")
        );
    }
}
