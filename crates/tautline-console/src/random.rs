//! Secrets that nobody guesses, and comparisons whose time tells nothing.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// 256 random bits as text; `None` where the system gives none.
pub(crate) fn token() -> Option<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// What a secret is known by: whoever reads memory or compares digests learns nothing of it.
pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Whether two secrets are the same. Digests have one length, and no two of them a prefix that could be guessed.
pub(crate) fn same(one: &str, other: &str) -> bool {
    let pairs = digest(one).into_iter().zip(digest(other));
    pairs.fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}
