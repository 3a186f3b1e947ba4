//! Remembers accepted logins for a while, so that a storm of reconnects asks about each token once.
//!
//! Holds no clock: each call is told the time.

use std::collections::{HashMap, VecDeque};

use sha2::{Digest as _, Sha256};
use tautline_hub::Identity;

/// Logins that are remembered; beyond it the oldest one is forgotten.
const LOGINS_MAX: usize = 16_384;

/// Accepted logins, by the digest of the token: the token itself is not kept.
#[derive(Debug)]
pub(super) struct LoginCache {
    kept_ms: u64,
    logins: HashMap<[u8; 32], (u64, Identity)>,
    /// The oldest first; also those that were replaced since.
    order: VecDeque<(u64, [u8; 32])>,
}

impl LoginCache {
    pub(super) fn new(kept_ms: u64) -> Self {
        Self { kept_ms, logins: HashMap::new(), order: VecDeque::new() }
    }

    /// The login of this token, while it is remembered and valid.
    pub(super) fn get(&self, token: &str, now_ms: u64, wall_ms: u64) -> Option<Identity> {
        let (until_ms, identity) = self.logins.get(&digest(token))?;
        let is_valid = identity.expires_at.is_none_or(|expires_at| wall_ms < expires_at);
        (now_ms < *until_ms && is_valid).then(|| identity.clone())
    }

    pub(super) fn insert(&mut self, token: &str, now_ms: u64, identity: Identity) {
        while let Some((until_ms, oldest)) = self.order.front().copied() {
            if self.order.len() < LOGINS_MAX && now_ms < until_ms {
                break;
            }
            self.order.pop_front();
            if self.logins.get(&oldest).is_some_and(|(of, _)| *of == until_ms) {
                self.logins.remove(&oldest);
            }
        }
        let (until_ms, digest) = (now_ms + self.kept_ms, digest(token));
        self.logins.insert(digest, (until_ms, identity));
        self.order.push_back((until_ms, digest));
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_is_remembered_for_its_time_and_no_longer() {
        let mut cache = LoginCache::new(1_000);
        cache.insert("t", 5_000, Identity { source: 7, ..Identity::default() });
        assert_eq!(cache.get("t", 5_999, 0).map(|identity| identity.source), Some(7));
        assert_eq!(cache.get("t", 6_000, 0), None);
        assert_eq!(cache.get("u", 5_000, 0), None);
    }

    #[test]
    fn expired_login_is_asked_about_again() {
        let mut cache = LoginCache::new(60_000);
        cache.insert("t", 0, Identity { expires_at: Some(900), ..Identity::default() });
        assert!(cache.get("t", 1, 899).is_some());
        assert!(cache.get("t", 1, 900).is_none());
    }

    #[test]
    fn flood_of_tokens_forgets_the_oldest() {
        let mut cache = LoginCache::new(60_000);
        for n in 0..=LOGINS_MAX {
            cache.insert(&n.to_string(), 0, Identity::default());
        }
        assert_eq!((cache.logins.len(), cache.order.len()), (LOGINS_MAX, LOGINS_MAX));
        assert_eq!(cache.get("0", 0, 0), None);
        assert!(cache.get("1", 0, 0).is_some());
        cache.insert("new", 60_000, Identity::default());
        assert_eq!(cache.logins.len(), 1, "those of before are forgotten");
    }
}
