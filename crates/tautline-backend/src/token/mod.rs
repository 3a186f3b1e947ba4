//! Tokens: JWTs that the app's back end, or a service that it trusts, has signed.
//!
//! Start at [`Tokens::check`].

mod claims;
mod der;
#[cfg(feature = "http")]
mod fetch;
mod header;
mod jwk;
mod jwks;
mod key;
mod members;
mod options;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wycheproof;

use jsonwebtoken::{Algorithm, errors::ErrorKind};
use tautline_hub::LoginRefused;
use tautline_protocol::Now;
use tokio::task::JoinSet;

pub(crate) use self::claims::refused;
pub use self::claims::{looks_like_a_token, unverified_identity};
#[cfg(feature = "http")]
pub(crate) use self::{
    claims::DATE_MS_MAX,
    der::{PublicKey, decode as decode_base64},
    fetch::HttpFetch,
    members::LoginMembers,
    options::check_url,
};
use self::{
    claims::{ClaimRules, TokenClaims},
    header::TokenHeader,
    jwks::Jwks,
    key::VerificationKey,
};
pub use self::{
    jwks::JWKS_BYTES_MAX,
    key::HS256_SECRET_BYTES_MIN,
    options::{JwksOptions, KeyOptions, TokenOptions, TokenOptionsError},
};
use crate::LoginResult;

/// The longest token in bytes: `hello` has no room for a longer one by default.
pub const TOKEN_BYTES_MAX: usize = 256 * 1024;

/// The keys of tokens, and the rules for what is signed with them.
#[derive(Default)]
pub(crate) struct Tokens {
    keys: Vec<StaticKey>,
    sets: Vec<RemoteKeys>,
}

struct StaticKey {
    key: VerificationKey,
    rules: ClaimRules,
    source: u64,
}

/// Keys behind a URL. Their source is the URL: a service changes its keys every few weeks, and then not
/// all tickets are void.
struct RemoteKeys {
    keys: Jwks,
    rules: ClaimRules,
    source: u64,
}

/// What the known keys say about a token.
pub(crate) enum Known {
    Answer(LoginResult),
    /// It is signed with none of them; newer ones may be had.
    NoKey(Option<&'static str>),
}

impl Tokens {
    /// The keys of a URL, by their source.
    fn remote_keys(&self, source: u64) -> Option<Jwks> {
        self.sets.iter().find(|set| set.source == source).map(|set| set.keys.clone())
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = u64> + '_ {
        self.keys.iter().map(|key| key.source).chain(self.sets.iter().map(|set| set.source))
    }

    /// Checks a token with the keys that are known. Never waits.
    pub(crate) fn check(&self, now: Now, token: &str) -> Known {
        match self.try_check(now, token) {
            Ok(known) => known,
            Err(words) => Known::Answer(Err(refused(words))),
        }
    }

    /// Checks a token after keys were fetched anew.
    pub(crate) async fn check_with_newer_keys(&self, now: Now, token: &str) -> LoginResult {
        let (mut fetches, mut is_current) = (JoinSet::new(), true);
        for set in &self.sets {
            match set.keys.refresh(now) {
                Some(fetch) => drop(fetches.spawn(fetch.result())),
                None => is_current = false,
            }
        }
        // All at once, and no slow one holds up a token that another set has the key of.
        while let Some(fetched) = fetches.join_next().await {
            is_current &= matches!(fetched.ok().flatten().as_deref(), Some(true));
            if let Known::Answer(result) = self.check(now, token) {
                return result;
            }
        }
        match self.check(now, token) {
            Known::Answer(result) => result,
            // The keys of a moment ago are no proof: the service may have changed them since.
            Known::NoKey(Some(words)) if is_current => Err(refused(words)),
            Known::NoKey(None) if is_current => {
                Err(refused("the token is signed with a key that is not known here"))
            }
            Known::NoKey(_) => Err(LoginRefused::Unavailable(
                "the token's key is not known here yet, and the keys cannot be fetched at the moment"
                    .to_owned(),
            )),
        }
    }

    fn try_check(&self, now: Now, token: &str) -> Result<Known, &'static str> {
        if self.keys.is_empty() && self.sets.is_empty() {
            return Err("tokens are not accepted here: no secret is configured");
        }
        if token.len() > TOKEN_BYTES_MAX {
            return Err("the token is too long");
        }
        let TokenHeader { algorithm, kid } = TokenHeader::of(token)?;
        let kid = kid.as_deref();
        let mut refusal = None;
        for StaticKey { key, rules, source } in &self.keys {
            if key.may_verify(algorithm, kid) {
                match key.verify(token) {
                    Ok(claims) => return Ok(answer(now, &claims, rules, *source)),
                    Err(error) => refusal = Some(words(error.kind())?),
                }
            }
        }
        for RemoteKeys { keys, rules, source } in &self.sets {
            let known = keys.keys(now);
            if let Some(key) = known.as_ref().and_then(|keys| keys.find(algorithm, kid)) {
                match key.verify(token) {
                    Ok(claims) => return Ok(answer(now, &claims, rules, *source)),
                    Err(error) => refusal = Some(words(error.kind())?),
                }
            }
        }
        match refusal {
            Some(words) if self.sets.is_empty() || is_symmetric(algorithm) => Err(words),
            None if self.sets.is_empty() || is_symmetric(algorithm) => Err(self.no_key(algorithm)),
            // Another key may have signed it: one of a set that was not fetched yet, or that has changed.
            refusal => Ok(Known::NoKey(refusal)),
        }
    }

    /// The reason why no key fits a token.
    fn no_key(&self, algorithm: Algorithm) -> &'static str {
        if self.keys.iter().any(|key| key.key.algorithms().contains(&algorithm)) {
            return "the token is signed with a key that is not known here";
        }
        match &self.keys[..] {
            [only] if only.key.algorithms() == [Algorithm::HS256] => "the token is not signed with HS256",
            _ => "the token is not signed with an algorithm of this server's keys",
        }
    }
}

fn answer(now: Now, claims: &TokenClaims, rules: &ClaimRules, source: u64) -> Known {
    Known::Answer(rules.identity(now, claims, source))
}

fn is_symmetric(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
}

/// `Ok`: another key may have signed it.
fn words(kind: &ErrorKind) -> Result<&'static str, &'static str> {
    match kind {
        ErrorKind::InvalidSignature => Ok("the token is signed with another secret or key"),
        ErrorKind::Json(_) | ErrorKind::InvalidClaimFormat(_) => Err("the token's claims are no JSON object"),
        _ => Err("this is no token"),
    }
}
