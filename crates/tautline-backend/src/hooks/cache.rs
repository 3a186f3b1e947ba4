//! Remembers accepted logins for a while, so that a storm of reconnects asks about each token once.
//!
//! Start at [`LoginCache::begin`] and [`LoginCache::insert`]. Holds no clock: each call is told the time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
};

use sha2::{Digest as _, Sha256};
use tautline_hub::Identity;
use tautline_protocol::{Now, UserId};

/// Logins that are remembered; beyond it the oldest one is forgotten.
const LOGINS_MAX: usize = 16_384;
/// What a login takes beside its texts, and a text beside its bytes.
const LOGIN_BYTES: usize = 640;
const TEXT_BYTES: usize = 32;

type TokenDigest = [u8; 32];

/// Accepted logins, by the digest of the token: the token itself is not kept.
#[derive(Debug)]
pub(super) struct LoginCache {
    kept_ms: u64,
    bytes_max: usize,
    bytes: usize,
    logins: HashMap<TokenDigest, Kept>,
    /// By number: the oldest first.
    order: BTreeMap<u64, TokenDigest>,
    next_number: u64,
    by_user: BTreeSet<(UserId, TokenDigest)>,
    news: News,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    until_ms: u64,
    bytes: usize,
    identity: Identity,
}

/// A question that runs. What is known of its user or token may be newer than its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asked(u64);

impl LoginCache {
    pub(super) fn new(kept_ms: u64, bytes_max: usize) -> Self {
        Self {
            kept_ms,
            bytes_max,
            bytes: 0,
            logins: HashMap::new(),
            order: BTreeMap::new(),
            next_number: 0,
            by_user: BTreeSet::new(),
            news: News::new(),
        }
    }

    /// The login of this token, while it is remembered and valid. `Err`: it has to be asked about.
    /// Where it was revoked since, the back end may let the user in anew.
    pub(super) fn begin(
        &self,
        token: &str,
        now: Now,
        is_revoked: impl Fn(&Identity) -> bool,
    ) -> Result<Identity, Asked> {
        let is_good = |kept: &&Kept| {
            let expires_at = kept.identity.expires_at;
            now.mono_ms < kept.until_ms
                && expires_at.is_none_or(|expires_at| now.wall_ms < expires_at)
                && !is_revoked(&kept.identity)
        };
        let kept = self.logins.get(&digest(token)).filter(is_good);
        kept.map(|kept| kept.identity.clone()).ok_or(self.news.now())
    }

    /// Remembers an answer, unless there is news of its user or its token since the question.
    pub(super) fn insert(&mut self, token: &str, asked: Asked, now_ms: u64, identity: Identity) {
        let (digest, bytes) = (digest(token), bytes_of(&identity));
        let is_outdated = self.news.is_newer(&digest, asked)
            || identity.user.as_ref().is_some_and(|user| self.news.is_newer(user, asked));
        if is_outdated || bytes > self.bytes_max {
            return;
        }
        self.remove(&digest);
        while let Some((_, oldest)) = self.order.first_key_value() {
            let oldest = *oldest;
            let has_room = self.logins.len() < LOGINS_MAX && self.bytes + bytes <= self.bytes_max;
            if has_room && self.logins.get(&oldest).is_some_and(|kept| now_ms < kept.until_ms) {
                break;
            }
            self.remove(&oldest);
        }
        let (number, until_ms) = (self.next_number, now_ms + self.kept_ms);
        self.next_number += 1;
        self.bytes += bytes;
        self.order.insert(number, digest);
        self.by_user.extend(identity.user.clone().map(|user| (user, digest)));
        self.logins.insert(digest, Kept { number, until_ms, bytes, identity });
    }

    /// There is news of a user, or of a token: what is remembered of them may be wrong.
    pub(super) fn forget(&mut self, user: Option<&UserId>, token: Option<&str>) {
        if let Some(digest) = token.map(digest) {
            self.news.note(&digest);
            self.remove(&digest);
        }
        if let Some(user) = user {
            self.news.note(user);
            while let Some(digest) = self.first_of(user) {
                self.remove(&digest);
            }
        }
    }

    fn first_of(&self, user: &UserId) -> Option<TokenDigest> {
        let (of, digest) = self.by_user.range((user.clone(), TokenDigest::default())..).next()?;
        (of == user).then_some(*digest)
    }

    fn remove(&mut self, digest: &TokenDigest) {
        let Some(Kept { number, bytes, identity, .. }) = self.logins.remove(digest) else { return };
        self.bytes -= bytes;
        self.order.remove(&number);
        if let Some(user) = identity.user {
            self.by_user.remove(&(user, *digest));
        }
    }
}

/// When there was news last, by user and by token. Those that share a place share their news: an answer about one of
/// them may not be remembered because of the other, and is never remembered by mistake.
#[derive(Debug)]
struct News {
    /// How often there was any.
    count: u64,
    places: Box<[u64]>,
    hasher: RandomState,
}

/// Places for news. Only what comes while a question runs counts: a thousand refreshes a second, and questions of
/// 100 ms, take one place in fifty.
const NEWS_PLACES: usize = 8_192;

impl News {
    fn new() -> Self {
        Self { count: 0, places: vec![0; NEWS_PLACES].into(), hasher: RandomState::new() }
    }

    const fn now(&self) -> Asked {
        Asked(self.count)
    }

    fn note(&mut self, of: &impl std::hash::Hash) {
        self.count += 1;
        let place = self.place(of);
        self.places[place] = self.count;
    }

    fn is_newer(&self, of: &impl std::hash::Hash, asked: Asked) -> bool {
        Asked(self.places[self.place(of)]) > asked
    }

    fn place(&self, of: &impl std::hash::Hash) -> usize {
        usize::try_from(self.hasher.hash_one(of) % NEWS_PLACES as u64).expect("less than the places")
    }
}

/// About what a login takes in memory.
fn bytes_of(identity: &Identity) -> usize {
    let Identity { user, channels, details, .. } = identity;
    let user = user.as_ref().map_or(0, |user| user.as_str().len());
    let mut texts = vec![user, user];
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

fn digest(token: &str) -> TokenDigest {
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

    fn begin(cache: &LoginCache, token: &str, now_ms: u64, wall_ms: u64) -> Result<Identity, Asked> {
        cache.begin(token, Now::new(now_ms, wall_ms), |_| false)
    }

    fn insert(cache: &mut LoginCache, token: &str, now_ms: u64, identity: Identity) {
        let asked = begin(cache, token, now_ms, 0).unwrap_err();
        cache.insert(token, asked, now_ms, identity);
    }

    #[test]
    fn login_is_remembered_for_its_time_and_no_longer() {
        let mut cache = LoginCache::new(1_000, BYTES_MAX);
        insert(&mut cache, "t", 5_000, Identity { source: 7, ..Identity::default() });
        assert_eq!(begin(&cache, "t", 5_999, 0).unwrap().source, 7);
        assert!(begin(&cache, "t", 6_000, 0).is_err());
        assert!(begin(&cache, "u", 5_000, 0).is_err());
    }

    #[test]
    fn expired_login_is_asked_about_again() {
        let mut cache = LoginCache::new(60_000, BYTES_MAX);
        insert(&mut cache, "t", 0, Identity { expires_at: Some(900), ..Identity::default() });
        assert!(begin(&cache, "t", 1, 899).is_ok());
        assert!(begin(&cache, "t", 1, 900).is_err());
    }

    #[test]
    fn revoked_login_is_asked_about_again() {
        let mut cache = LoginCache::new(60_000, BYTES_MAX);
        insert(&mut cache, "t", 0, identity("ali"));
        let is_revoked =
            |identity: &Identity| identity.user.as_ref().is_some_and(|user| user.as_str() == "ali");
        let asked = cache.begin("t", Now::new(1, 0), is_revoked).unwrap_err();
        cache.insert("t", asked, 2, Identity { source: 7, ..identity("ali") });
        assert_eq!(begin(&cache, "t", 3, 0).unwrap().source, 7, "the newer answer is remembered");
    }

    #[test]
    fn flood_of_tokens_forgets_the_oldest() {
        let mut cache = LoginCache::new(60_000, BYTES_MAX);
        for n in 0..=LOGINS_MAX {
            insert(&mut cache, &n.to_string(), 0, Identity::default());
        }
        assert_eq!((cache.logins.len(), cache.order.len()), (LOGINS_MAX, LOGINS_MAX));
        assert_eq!(cache.by_user.len(), 0, "guests");
        assert!(begin(&cache, "0", 0, 0).is_err());
        assert!(begin(&cache, "1", 0, 0).is_ok());
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
        assert!(begin(&cache, "1", 5, 0).is_err() && begin(&cache, "2", 5, 0).is_ok());
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
        let known = ["a", "b", "c"].map(|token| begin(&cache, token, 1, 0).is_ok());
        assert_eq!((known, cache.bytes), ([false, false, true], bytes_of(&identity("bo"))));
        cache.forget(None, Some("c"));
        assert_eq!((cache.logins.len(), cache.bytes), (0, 0));
    }

    #[test]
    fn answer_older_than_the_news_is_not_remembered() {
        for (user, token) in [(Some("ali"), None), (None, Some("a")), (Some("ali"), Some("new"))] {
            let mut cache = LoginCache::new(60_000, BYTES_MAX);
            let asked = begin(&cache, "a", 0, 0).unwrap_err();
            cache.forget(user.and_then(|user| UserId::parse(user).ok()).as_ref(), token);
            cache.insert("a", asked, 1, identity("ali"));
            assert!(begin(&cache, "a", 2, 0).is_err(), "{user:?} {token:?}");
            insert(&mut cache, "a", 3, identity("ali"));
            assert!(begin(&cache, "a", 4, 0).is_ok(), "asked after the news");
        }
    }

    #[test]
    fn news_of_one_user_leaves_logins_of_others() {
        let mut cache = LoginCache::new(60_000, BYTES_MAX);
        insert(&mut cache, "c", 0, identity("cem"));
        // Other names, as two may share a place by chance.
        let is_remembered = (0..8).any(|n| {
            let asked = begin(&cache, "b", 0, 0).unwrap_err();
            cache.forget(UserId::parse(&format!("ali{n}")).ok().as_ref(), Some(&format!("a{n}")));
            cache.insert("b", asked, 1, identity("bo"));
            begin(&cache, "b", 2, 0).is_ok()
        });
        assert!(is_remembered && begin(&cache, "c", 2, 0).is_ok());
    }

    #[test]
    fn refreshes_in_a_storm_take_no_room() {
        let mut cache = LoginCache::new(60_000, BYTES_MAX);
        insert(&mut cache, "b", 0, identity("bo"));
        for n in 0..3 * LOGINS_MAX {
            let token = n.to_string();
            insert(&mut cache, &token, 1, identity("ali"));
            cache.forget(UserId::parse("ali").ok().as_ref(), Some(&token));
        }
        assert!(begin(&cache, "b", 2, 0).is_ok());
        assert_eq!((cache.logins.len(), cache.order.len(), cache.by_user.len()), (1, 1, 1));
        assert_eq!((cache.bytes, cache.news.places.len()), (bytes_of(&identity("bo")), NEWS_PLACES));
    }
}
