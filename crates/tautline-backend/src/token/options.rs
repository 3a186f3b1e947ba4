//! Options of `[auth]`: whose tokens are accepted.
//!
//! Start at [`TokenOptions`].

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use tautline_files::secret::Secret;
use tautline_protocol::units::Span;

use super::{
    ClaimRules, RemoteKeys, StaticKey, Tokens,
    der::PublicKey,
    jwk::{Jwk, algorithm},
    jwks::{Fetch, FetchFuture, Jwks},
    key::VerificationKey,
};
use crate::source::source_of;

/// Which tokens are accepted, beside those of [`crate::AuthenticatorOptions::hs256_secrets`].
///
/// A configuration file may nest it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TokenOptions {
    /// One of them is a token's `iss`. Default none: an `iss` is not looked at.
    pub issuers: Vec<String>,
    /// One of them is in a token's `aud`. Default none: a token with an `aud` is refused.
    pub audiences: Vec<String>,
    /// How far ahead of this clock a token's `nbf` may be, because the service that signed it has its own
    /// clock. Default 60 s.
    #[serde(deserialize_with = "span")]
    #[cfg_attr(feature = "schema", schemars(with = "Span"))]
    pub nbf_leeway: Duration,
    /// How long a token is valid after its `exp`. Default 0 s.
    #[serde(deserialize_with = "span")]
    #[cfg_attr(feature = "schema", schemars(with = "Span"))]
    pub exp_leeway: Duration,
    /// Keys that stay. Default none.
    pub keys: Vec<KeyOptions>,
    /// Keys behind URLs. Default none.
    pub jwks: Vec<JwksOptions>,
}

impl Default for TokenOptions {
    fn default() -> Self {
        Self {
            issuers: Vec::new(),
            audiences: Vec::new(),
            nbf_leeway: Duration::from_secs(60),
            exp_leeway: Duration::ZERO,
            keys: Vec::new(),
            jwks: Vec::new(),
        }
    }
}

/// One key that tokens are signed with: exactly one of `secret`, `public_key` and `jwk`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct KeyOptions {
    /// Such as `RS256`. Default: `HS256` for a secret, and for other keys all that they sign with.
    pub algorithm: Option<String>,
    /// A secret that app and gateway share, at least as long as the hash.
    pub secret: Option<Secret>,
    /// A public key in PEM.
    pub public_key: Option<Secret>,
    /// A key in JSON (RFC 7517).
    pub jwk: Option<Secret>,
    /// The key's name: tokens that name another one are not checked with it. Default: that of the JWK.
    pub kid: Option<String>,
    /// Stands for [`TokenOptions::issuers`] where it is not empty.
    pub issuers: Vec<String>,
    /// Stands for [`TokenOptions::audiences`] where it is not empty.
    pub audiences: Vec<String>,
}

/// A set of public keys behind a URL, such as a login service has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct JwksOptions {
    /// `https://…`; `http://` only on this machine.
    pub url: String,
    /// Stands for [`TokenOptions::issuers`] where it is not empty.
    pub issuers: Vec<String>,
    /// Stands for [`TokenOptions::audiences`] where it is not empty.
    pub audiences: Vec<String>,
}

/// Tokens cannot be checked with these options. The text names the key and repeats nothing of it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{place}: {why}")]
pub struct TokenOptionsError {
    pub(super) place: String,
    pub(super) why: String,
}

impl TokenOptions {
    /// Checks the keys.
    ///
    /// # Errors
    /// The first that is not valid.
    pub fn check(&self) -> Result<(), TokenOptionsError> {
        let mut names = Vec::new();
        for index in 0..self.keys.len() {
            if let Some(kid) = self.key("", index)?.key.kid {
                if names.contains(&kid) {
                    return Err(error("keys", index, "an earlier key has the same `kid`".to_owned()));
                }
                names.push(kid);
            }
        }
        for (index, set) in self.jwks.iter().enumerate() {
            check_url(&set.url).map_err(|why| error("jwks", index, why))?;
            if self.jwks[..index].iter().any(|earlier| earlier.url == set.url) {
                return Err(error("jwks", index, "an earlier set has the same `url`".to_owned()));
            }
        }
        Ok(())
    }

    /// The keys and their rules; `fetch` gets sets of keys. What was fetched from a URL `before` stays in use.
    pub(crate) fn tokens<F: Fetch>(
        &self,
        environment: &str,
        fetch: impl Fn(&str) -> F,
        before: Option<&Tokens>,
    ) -> Result<Tokens, TokenOptionsError> {
        self.check()?;
        let keys = (0..self.keys.len()).map(|index| self.key(environment, index));
        let sets = self.jwks.iter().map(|set| {
            let source = source_of(environment, "jwks", set.url.as_bytes());
            let known = before.and_then(|before| before.remote_keys(source));
            let keys = known.unwrap_or_else(|| Jwks::new(&set.url, fetch(&set.url)));
            RemoteKeys { keys, rules: self.rules(&set.issuers, &set.audiences), source }
        });
        Ok(Tokens { keys: keys.collect::<Result<_, _>>()?, sets: sets.collect() })
    }

    /// The keys that stay, where nothing can be fetched.
    pub(crate) fn static_tokens(&self, environment: &str) -> Result<Tokens, TokenOptionsError> {
        if !self.jwks.is_empty() {
            return Err(error(
                "jwks",
                0,
                "this build fetches nothing: it is without the feature `http`".to_owned(),
            ));
        }
        self.tokens(environment, |_| NoFetch, None)
    }

    fn key(&self, environment: &str, index: usize) -> Result<StaticKey, TokenOptionsError> {
        let options = &self.keys[index];
        let (key, kind, bytes) = options.key().map_err(|why| error("keys", index, why))?;
        Ok(StaticKey {
            key,
            rules: self.rules(&options.issuers, &options.audiences),
            source: source_of(environment, kind, bytes),
        })
    }

    fn rules(&self, issuers: &[String], audiences: &[String]) -> ClaimRules {
        let or = |own: &[String], common: &[String]| if own.is_empty() { common } else { own }.to_vec();
        ClaimRules {
            issuers: or(issuers, &self.issuers),
            audiences: or(audiences, &self.audiences),
            nbf_leeway: self.nbf_leeway,
            exp_leeway: self.exp_leeway,
        }
    }

    /// Adds a secret for HS256.
    pub(crate) fn add_hs256(
        &self,
        tokens: &mut Tokens,
        environment: &str,
        secret: &[u8],
    ) -> Result<(), String> {
        tokens.keys.push(StaticKey {
            key: VerificationKey::secret(secret, jsonwebtoken::Algorithm::HS256)?,
            rules: self.rules(&[], &[]),
            source: source_of(environment, "hs256", secret),
        });
        Ok(())
    }
}

impl KeyOptions {
    /// The key, with what names its source.
    fn key(&self) -> Result<(VerificationKey, &'static str, &[u8]), String> {
        let algorithm = self.algorithm.as_deref().map(algorithm).transpose()?;
        let (key, kind, text) = match (&self.secret, &self.public_key, &self.jwk) {
            (Some(secret), None, None) => {
                let algorithm = algorithm.unwrap_or(jsonwebtoken::Algorithm::HS256);
                (VerificationKey::secret(secret.expose().as_bytes(), algorithm)?, "hs256", secret)
            }
            (None, Some(pem), None) => {
                let key = PublicKey::from_pem(pem.expose())?;
                (VerificationKey::public(&key, algorithm)?, "public key", pem)
            }
            (None, None, Some(json)) => (Jwk::parse(json.expose())?.key(algorithm)?, "jwk", json),
            _ => return Err("a key is one of `secret`, `public_key` and `jwk`".to_owned()),
        };
        let kid = self.kid.clone().or_else(|| key.kid.clone());
        Ok((key.with_kid(kid), kind, text.expose().as_bytes()))
    }
}

/// `https://…`, or `http://` and this machine.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    let says = "a URL begins with https:// (http:// only for 127.0.0.1, [::1] and localhost)";
    let uri: http::Uri = url.parse().map_err(|_| says)?;
    let is_loopback = || {
        uri.host().is_some_and(|host| {
            let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
            host == "localhost" || address.is_ok_and(|address| address.is_loopback())
        })
    };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("a URL has no user name and no password: they would not be sent".to_owned());
    }
    match uri.scheme_str() {
        Some("https") if uri.host().is_some() => Ok(()),
        Some("http") if is_loopback() => Ok(()),
        _ => Err(says.to_owned()),
    }
}

/// Where nothing can be fetched, and nothing is asked to be.
struct NoFetch;

impl Fetch for NoFetch {
    fn fetch(&self, _: Option<String>) -> FetchFuture {
        Box::pin(std::future::ready(Err("nothing can be fetched".to_owned())))
    }
}

fn error(list: &str, index: usize, why: String) -> TokenOptionsError {
    TokenOptionsError { place: format!("[[auth.{list}]] number {}", index + 1), why }
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Span::deserialize(deserializer).map(|span| span.0)
}
