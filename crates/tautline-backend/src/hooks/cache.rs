//! Remembers accepted logins for a while, so that a storm of reconnects asks about each token once.
//!
//! Start at [`LoginCache::begin`] and [`LoginCache::insert`]. Holds no clock: each call is told the time.

use std::collections::{HashMap, VecDeque};

use sha2::{Digest as _, Sha256};
use tautline_hub::Identity;
use tautline_protocol::UserId;

/// Logins that are remembered; beyond it the oldest one is forgotten.
const LOGINS_MAX: usize = 16_384;
/// What a login takes beside its texts, and a text beside its bytes.
const LOGIN_BYTES: usize = 512;
const TEXT_BYTES: usize = 32;

/// Accepted logins, by the digest of the token: the token itself is not kept.
#[derive(Debug)]
pub(super) struct LoginCache {
    kept_ms: u64,
    bytes_max: usize,
    bytes: usize,
    logins: HashMap<[u8; 32], Kept>,
    /// The oldest first; also those that were replaced or forgotten since.
    order: VecDeque<(u64, [u8; 32])>,
    /// How often logins were forgotten because of news of their user.
    generation: u64,
}

#[derive(Debug)]
struct Kept {
    until_ms: u64,
    bytes: usize,
    identity: Identity,
}

/// A question that runs. What is known of its user may be newer than its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked(u64);

impl LoginCache {
    pub(super) fn new(kept_ms: u64, bytes_max: usize) -> Self {
        Self { kept_ms, bytes_max, bytes: 0, logins: HashMap::new(), order: VecDeque::new(), generation: 0 }
    }

    /// The login of this token, while it is remembered and valid. `Err`: it has to be asked about.
    pub(super) fn begin(&self, token: &str, now_ms: u64, wall_ms: u64) -> Result<Identity, Asked> {
        let is_good = |kept: &&Kept| {
            now_ms < kept.until_ms && kept.identity.expires_at.is_none_or(|expires_at| wall_ms < expires_at)
        };
        let kept = self.logins.get(&digest(token)).filter(is_good);
        kept.map(|kept| kept.identity.clone()).ok_or(Asked(self.generation))
    }

    /// Remembers an answer, unless logins were forgotten since the question.
    pub(super) fn insert(&mut self, token: &str, asked: Asked, now_ms: u64, identity: Identity) {
        let bytes = bytes_of(&identity);
        if asked.0 != self.generation || bytes > self.bytes_max {
            return;
        }
        let digest = digest(token);
        self.remove(&digest);
        while let Some((until_ms, oldest)) = self.order.front().copied() {
            let has_room = self.order.len() < LOGINS_MAX && self.bytes + bytes <= self.bytes_max;
            if has_room && now_ms < until_ms {
                break;
            }
            self.order.pop_front();
            if self.logins.get(&oldest).is_some_and(|kept| kept.until_ms == until_ms) {
                self.remove(&oldest);
            }
        }
        let until_ms = now_ms + self.kept_ms;
        self.bytes += bytes;
        self.logins.insert(digest, Kept { until_ms, bytes, identity });
        self.order.push_back((until_ms, digest));
    }

    /// There is news of a user, or of a token: what is remembered of them may be wrong.
    pub(super) fn forget(&mut self, user: Option<&UserId>, token: Option<&str>) {
        self.generation += 1;
        if let Some(token) = token {
            self.remove(&digest(token));
        }
        if let Some(user) = user {
            let bytes = &mut self.bytes;
            self.logins.retain(|_, kept| {
                let keeps = kept.identity.user.as_ref() != Some(user);
                *bytes -= if keeps { 0 } else { kept.bytes };
                keeps
            });
        }
    }

    fn remove(&mut self, digest: &[u8; 32]) {
        if let Some(removed) = self.logins.remove(digest) {
            self.bytes -= removed.bytes;
        }
    }
}

/// About what a login takes in memory.
fn bytes_of(identity: &Identity) -> usize {
    let Identity { user, channels, details, .. } = identity;
    let mut texts = vec![user.as_ref().map_or(0, |user| user.as_str().len())];
    texts.extend(channels.iter().map(|pattern| pattern.as_str().len()));
    if let Some(details) = details {
        texts.extend(details.grants.iter().map(|(_, pattern)| pattern.as_str().len()));
        texts.extend(details.subs.iter().map(|channel| channel.as_str().len()));
        texts.extend(details.info.iter().map(|info| info.as_str().len()));
        texts.extend(details.labels.iter().flat_map(|(name, value)| [name.len(), value.len()]));
        texts.extend(details.token_id.iter().map(|id| id.len()));
    }
    LOGIN_BYTES + texts.into_iter().map(|bytes| TEXT_BYTES + bytes).sum::<usize>()
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use tautline_protocol::Pattern;

    use super::*;

    const BYTES_MAX: usize = 16 << 20;

    fn identity(user: &str) -> Identity {
        Identity { user: UserId::parse(user).ok(), ..Identity::default() }
    }

    fn insert(cache: &mut LoginCache, token: &str, now_ms: u64, identity: Identity) {
        let asked = cache.begin(token, now_ms, 0).unwrap_err();
        cache.insert(token, asked, now_ms, identity);
    }

    #[test]
    fn login_is_remembered_for_its_time_and_no_longer() {
        let mut cache = LoginCache::new(1_000, BYTES_MAX);
        insert(&mut cache, "t", 5_000, Identity { source: 7, ..Identity::default() });
        assert_eq!(cache.begin("t", 5_999, 0).unwrap().source, 7);
        assert!(cache.begin("t", 6_000, 0).is_err());
        assert!(cache.begin("u", 5_000, 0).is_err());
    }

    #[test]
    fn expired_login_is_asked_about_again() {
        let mut cache = LoginCache::new(60_000, BYTES_MAX);
        insert(&mut cache, "t", 0, Identity { expires_at: Some(900), ..Identity::default() });
        assert!(cache.begin("t", 1, 899).is_ok());
        assert!(cache.begin("t", 1, 900).is_err());
    }

    #[test]
    fn flood_of_tokens_forgets_the_oldest() {
        let mut cache = LoginCache::new(60_000, BYTES_MAX);
        for n in 0..=LOGINS_MAX {
            insert(&mut cache, &n.to_string(), 0, Identity::default());
        }
        assert_eq!((cache.logins.len(), cache.order.len()), (LOGINS_MAX, LOGINS_MAX));
        assert!(cache.begin("0", 0, 0).is_err());
        assert!(cache.begin("1", 0, 0).is_ok());
        insert(&mut cache, "new", 60_000, Identity::default());
        assert_eq!(cache.logins.len(), 1, "those of before are forgotten");
        assert_eq!(cache.bytes, bytes_of(&Identity::default()));
    }

    #[test]
    fn large_logins_are_bounded_by_their_bytes() {
        let pattern = Pattern::parse(&"x".repeat(200)).unwrap();
        let large = Identity { channels: vec![pattern; 100].into(), ..Identity::default() };
        let bytes = bytes_of(&large);
        assert!(bytes > 20_000);
        let mut cache = LoginCache::new(60_000, 3 * bytes);
        for n in 0..5 {
            insert(&mut cache, &n.to_string(), n, large.clone());
        }
        assert_eq!((cache.logins.len(), cache.bytes), (3, 3 * bytes));
        assert!(cache.begin("1", 5, 0).is_err() && cache.begin("2", 5, 0).is_ok());
        let mut small = LoginCache::new(60_000, bytes - 1);
        insert(&mut small, "t", 0, large);
        assert_eq!((small.logins.len(), small.bytes), (0, 0), "one that never fits forgets no other");
    }

    #[test]
    fn news_of_a_user_forgets_all_its_logins() {
        let mut cache = LoginCache::new(60_000, BYTES_MAX);
        for (token, user) in [("a", "ali"), ("b", "ali"), ("c", "bo")] {
            insert(&mut cache, token, 0, identity(user));
        }
        cache.forget(UserId::parse("ali").ok().as_ref(), None);
        let known = ["a", "b", "c"].map(|token| cache.begin(token, 1, 0).is_ok());
        assert_eq!((known, cache.bytes), ([false, false, true], bytes_of(&identity("bo"))));
        cache.forget(None, Some("c"));
        assert_eq!((cache.logins.len(), cache.bytes), (0, 0));
    }

    #[test]
    fn answer_older_than_the_news_is_not_remembered() {
        let mut cache = LoginCache::new(60_000, BYTES_MAX);
        let asked = cache.begin("a", 0, 0).unwrap_err();
        cache.forget(UserId::parse("ali").ok().as_ref(), None);
        cache.insert("a", asked, 1, identity("ali"));
        assert!(cache.begin("a", 2, 0).is_err());
    }
}
