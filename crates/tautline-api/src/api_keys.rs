//! The keys of the API, and what each of them opens.

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

/// What a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Reads logs, rosters, sessions and figures.
    Read,
    /// Publishes.
    Publish,
    /// Ends sessions, subscriptions and logins.
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 3] = [Self::Read, Self::Publish, Self::Admin];

    /// The name in options and problems.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Admin => "admin",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Keys as digests: comparisons then have one length, and their time tells nothing.
#[derive(Debug, Default)]
pub struct ApiKeys(Vec<Known>);

#[derive(Clone, Copy, Debug)]
struct Known {
    digest: [u8; 32],
    scopes: Scopes,
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// True if this scope is one of them.
    #[must_use]
    pub fn contain(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |all, scope| all | scope.bit()))
    }
}

impl ApiKeys {
    /// These keys, each with all scopes.
    ///
    /// # Errors
    /// As [`ApiKeys::insert`].
    pub fn all_open(keys: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, ApiKeyError> {
        let mut all = Self::default();
        keys.into_iter().try_for_each(|key| all.insert(key.as_ref(), Scope::ALL))?;
        Ok(all)
    }

    /// One more key. A key that is there already opens what both open.
    ///
    /// # Errors
    /// [`ApiKeyError`] for a key that can be guessed, or that no header can carry.
    pub fn insert(&mut self, key: &str, scopes: impl IntoIterator<Item = Scope>) -> Result<(), ApiKeyError> {
        if key.len() < API_KEY_BYTES_MIN {
            return Err(ApiKeyError::TooShort(key.len()));
        }
        if key.chars().any(|c| !c.is_ascii_graphic()) {
            return Err(ApiKeyError::Unfit);
        }
        self.insert_digest(Sha256::digest(key).into(), scopes);
        Ok(())
    }

    /// The same by the key's SHA-256: then nobody who reads the configuration knows the key.
    pub fn insert_digest(&mut self, digest: [u8; 32], scopes: impl IntoIterator<Item = Scope>) {
        self.0.push(Known { digest, scopes: scopes.into_iter().collect() });
    }

    /// What a key opens; `None` if it is unknown. Compares with every key, whichever matches.
    #[must_use]
    pub fn scopes_of(&self, key: &str) -> Option<Scopes> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let differs = |known: &[u8; 32]| known.iter().zip(digest).fold(0, |sum, (a, b)| sum | (a ^ b));
        let found = self.0.iter().fold((false, 0), |(found, scopes), known| match differs(&known.digest) {
            0 => (true, scopes | known.scopes.0),
            _ => (found, scopes),
        });
        found.0.then_some(Scopes(found.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_inserted_key_matches_and_no_other() {
        let mut keys = ApiKeys::default();
        let contain = |keys: &ApiKeys, key| keys.scopes_of(key).is_some();
        assert!(!contain(&keys, ""), "without keys nothing is open");
        keys.insert("the-old-key-of-us", Scope::ALL).expect("a good key");
        keys.insert("the-new-key-of-us", Scope::ALL).expect("a good key");
        assert!(contain(&keys, "the-old-key-of-us") && contain(&keys, "the-new-key-of-us"));
        for other in ["the-old-key-of-u", "the-new-key-of-us-", ""] {
            assert!(!contain(&keys, other), "{other}");
        }
    }

    #[test]
    fn key_opens_its_scopes_and_no_other() {
        let mut keys = ApiKeys::default();
        keys.insert("the-key-of-a-report", [Scope::Read]).expect("a good key");
        keys.insert_digest(Sha256::digest("the-key-of-a-shop").into(), [Scope::Read, Scope::Publish]);
        let opens = |key: &str| {
            let scopes = keys.scopes_of(key).expect("a known key");
            Scope::ALL.map(|scope| scopes.contain(scope))
        };
        assert_eq!(opens("the-key-of-a-report"), [true, false, false]);
        assert_eq!(opens("the-key-of-a-shop"), [true, true, false]);
    }
}
