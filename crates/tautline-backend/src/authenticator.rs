//! Checks logins: tokens signed by the app's back end, guests where they are allowed, nothing else.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tautline_hub::{Identity, LoginRefused};
use tautline_protocol::{Now, Pattern, UserId, packet::Auth};

use crate::{
    backend::{Backend, BackendFuture, Login, LoginResult},
    crypto,
};

/// How far ahead of this clock a token's `nbf` may be, because the back end that signed it has its own clock.
/// Milliseconds.
const NBF_LEEWAY_MS: u64 = 60_000;
/// The last date: clients accept no larger number.
const DATE_MS_MAX: u64 = (1 << 52) - 1;

/// Answers logins at once, from its settings alone.
///
/// Each accepted login names its source (a secret, or guests) as a digest that all nodes with the same
/// settings share.
pub struct Authenticator {
    hs256: Vec<(DecodingKey, u64)>,
    guests: Option<u64>,
}

/// A token's claims (RFC 7519), of any type, so that each bad claim has its own error text. Other claims are
/// ignored.
#[derive(Deserialize)]
struct TokenClaims {
    #[serde(default)]
    sub: Value,
    #[serde(default)]
    exp: Value,
    #[serde(default)]
    nbf: Value,
    #[serde(default)]
    channels: Value,
}

impl Authenticator {
    /// Without a secret no token is valid. `environment` separates the logins of one deployment from those of
    /// another.
    #[must_use]
    pub fn new(environment: &str, hs256_secrets: &[Vec<u8>], guests: bool) -> Self {
        crypto::install();
        // An empty secret is none.
        let with_source = |secret: &Vec<u8>| {
            Some((DecodingKey::from_secret(secret).ok()?, source_of(environment, "hs256", secret)))
        };
        Self {
            hs256: hs256_secrets.iter().filter_map(with_source).collect(),
            guests: guests.then(|| source_of(environment, "guest", b"")),
        }
    }

    /// The identity behind a login.
    ///
    /// # Errors
    /// The reason, for the client: it names no secret and repeats nothing that the client sent.
    pub fn check(&self, now: Now, auth: &Auth) -> Result<Identity, LoginRefused> {
        match auth {
            Auth::Token { token } => self.check_token(now, token),
            Auth::Guest { guest: true } => {
                let source = self.guests;
                let source =
                    source.ok_or_else(|| refused("guests are not let in here: log in with a token"))?;
                Ok(Identity { source, ..Identity::default() })
            }
            Auth::Guest { .. } => Err(refused("a guest says `guest: true`")),
            Auth::Code { .. } => Err(refused("login codes are not accepted here: log in with a token")),
        }
    }

    fn check_token(&self, now: Now, token: &str) -> Result<Identity, LoginRefused> {
        let mut validation = Validation::new(Algorithm::HS256);
        // Checked below, against `now` and without leeway for `exp`. An `aud` is still refused: the gateway
        // is no named audience, and a token for another audience is not valid here (RFC 7519 §4.1.3).
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        let mut refusal = refused("tokens are not accepted here: no secret is configured");
        for (key, source) in &self.hs256 {
            match jsonwebtoken::decode::<TokenClaims>(token, key, &validation) {
                Ok(decoded) => return identity_of(now, &decoded.claims, *source),
                Err(error) => {
                    let is_of_another = matches!(error.kind(), ErrorKind::InvalidSignature);
                    refusal = words(error);
                    if !is_of_another {
                        break;
                    }
                }
            }
        }
        Err(refusal)
    }
}

impl Backend for Authenticator {
    fn authenticate<'a>(&'a self, login: Login<'a>) -> BackendFuture<'a, LoginResult> {
        Box::pin(std::future::ready(self.check(login.now, login.auth)))
    }

    fn sources(&self) -> Vec<u64> {
        self.hs256.iter().map(|(_, source)| *source).chain(self.guests).collect()
    }
}

/// The identity in the claims of a correctly signed token, within its time.
fn identity_of(now: Now, claims: &TokenClaims, source: u64) -> Result<Identity, LoginRefused> {
    let expires_at = date("exp", &claims.exp)?.ok_or_else(|| refused("the token has no `exp`"))?;
    if expires_at <= now.wall_ms {
        return Err(LoginRefused::Expired);
    }
    let begins_at = date("nbf", &claims.nbf)?.unwrap_or(0).saturating_sub(NBF_LEEWAY_MS);
    if begins_at > now.wall_ms {
        return Err(LoginRefused::NotYet { in_ms: begins_at - now.wall_ms });
    }
    let (user, channels) = (user(&claims.sub)?, channels(&claims.channels)?);
    Ok(Identity { user: Some(user), channels, source, expires_at: Some(expires_at), ..Identity::default() })
}

/// A digest of a login's source that reveals nothing of the secret.
fn source_of(environment: &str, kind: &str, secret: &[u8]) -> u64 {
    let mut digest = Sha256::new_with_prefix("tautline login source 1");
    for part in [environment.as_bytes(), kind.as_bytes(), secret] {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    u64::from_le_bytes(digest.finalize()[..8].try_into().expect("8 of 32 bytes"))
}

fn user(sub: &Value) -> Result<UserId, LoginRefused> {
    match sub {
        Value::Null => Err(refused("the token has no `sub`, which names the user")),
        Value::String(id) => {
            UserId::parse(id).map_err(|why| refused(&format!("the token's `sub` is no user: {why}")))
        }
        _ => Err(refused("the token's `sub` is not text: a user's id is written in quotes, as \"42\"")),
    }
}

fn channels<C: FromIterator<Pattern>>(channels: &Value) -> Result<C, LoginRefused> {
    let patterns = match channels {
        Value::Null => &[][..],
        Value::Array(patterns) => patterns,
        _ => return Err(refused("the token's `channels` are no list of patterns")),
    };
    let parse = |pattern: &Value| match pattern.as_str().map(Pattern::parse) {
        Some(Ok(pattern)) => Ok(pattern),
        Some(Err(why)) => Err(refused(&format!("the token's `channels` hold no pattern: {why}"))),
        None => Err(refused("the token's `channels` hold what is not text")),
    };
    patterns.iter().map(parse).collect()
}

/// A NumericDate (seconds, fractions allowed) in milliseconds, at most the last date; none where the claim is
/// absent.
fn date(claim: &str, value: &Value) -> Result<Option<u64>, LoginRefused> {
    let seconds = match value {
        Value::Null => return Ok(None),
        value => value.as_f64().ok_or_else(|| {
            refused(&format!("the token's `{claim}` is no number: it counts seconds since 1970"))
        })?,
    };
    if seconds < 0.0 {
        return Err(refused(&format!("the token's `{claim}` is negative: it counts seconds since 1970")));
    }
    let since_1970 = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    Ok(Some(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX).min(DATE_MS_MAX)))
}

fn refused(words: &str) -> LoginRefused {
    LoginRefused::Unauthorized(words.to_owned())
}

fn words(error: jsonwebtoken::errors::Error) -> LoginRefused {
    refused(match error.kind() {
        ErrorKind::InvalidSignature => "the token is signed with another secret",
        ErrorKind::InvalidAlgorithm => "the token is not signed with HS256",
        ErrorKind::InvalidAudience => "the token is meant for another audience",
        ErrorKind::Json(_) => "the token's claims are no JSON object",
        _ => "this is no token",
    })
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;

    const SECRET: &[u8] = b"a secret of the app and its gateway";
    const NOW: Now = Now::new(5_000, 1_800_000_000_000);
    const SOON: u64 = 1_800_000_060;

    fn authenticator(guests: bool) -> Authenticator {
        Authenticator::new("", &[SECRET.to_vec()], guests)
    }

    fn no_secret(guests: bool) -> Authenticator {
        Authenticator::new("", &[], guests)
    }

    fn login(claims: &Value) -> Result<Identity, LoginRefused> {
        login_signed(claims, &Header::new(Algorithm::HS256), SECRET)
    }

    fn login_signed(claims: &Value, header: &Header, secret: &[u8]) -> Result<Identity, LoginRefused> {
        let authenticator = authenticator(false);
        let token = encode(header, claims, &EncodingKey::from_secret(secret).unwrap()).unwrap();
        authenticator.check(NOW, &Auth::Token { token })
    }

    fn is_refused_for(result: Result<Identity, LoginRefused>, word: &str) -> bool {
        matches!(result, Err(LoginRefused::Unauthorized(words)) if words.contains(word))
    }

    #[test]
    fn good_token_gives_user_channels_and_expiry() {
        let identity = login(&json!({"sub": "u42", "exp": SOON, "channels": ["room:*", "lobby"]})).unwrap();
        assert_eq!(identity.user, UserId::parse("u42").ok());
        assert_eq!(identity.channels.iter().map(Pattern::as_str).collect::<Vec<_>>(), ["room:*", "lobby"]);
        assert_eq!(identity.expires_at, Some(SOON * 1000));
    }

    #[test]
    fn fractional_expiry_is_accepted() {
        let identity = login(&json!({"sub": "u42", "exp": 1_800_000_060.25})).unwrap();
        assert_eq!(identity.expires_at, Some(1_800_000_060_250));
    }

    #[test]
    fn token_expires_at_exactly_its_expiry() {
        assert_eq!(login(&json!({"sub": "u42", "exp": 1_800_000_000})), Err(LoginRefused::Expired));
        assert_eq!(login(&json!({"sub": "u42", "exp": 0})), Err(LoginRefused::Expired));
    }

    #[test]
    fn nbf_a_minute_ahead_is_accepted() {
        let login_with = |nbf: u64| login(&json!({"sub": "u42", "exp": SOON + 600, "nbf": nbf}));
        assert!(login_with(1_800_000_001).is_ok(), "the back end's clock is a second ahead");
        assert!(login_with(SOON).is_ok());
    }

    #[test]
    fn nbf_further_ahead_is_refused_with_its_wait() {
        let refused = login(&json!({"sub": "u42", "exp": SOON + 600, "nbf": SOON + 5}));
        assert_eq!(refused, Err(LoginRefused::NotYet { in_ms: 5_000 }));
        let never = login(&json!({"sub": "u42", "exp": 1, "nbf": SOON + 5}));
        assert_eq!(never, Err(LoginRefused::Expired), "it was valid at no moment, and never will be");
    }

    #[test]
    fn each_bad_token_is_refused_with_its_reason() {
        let good = json!({"sub": "u42", "exp": SOON});
        let hs256 = Header::new(Algorithm::HS256);
        assert!(is_refused_for(login_signed(&good, &hs256, b"another"), "another secret"));
        assert!(is_refused_for(login_signed(&good, &Header::new(Algorithm::HS384), SECRET), "HS256"));
        assert!(is_refused_for(login(&json!({"sub": "u42"})), "`exp`"));
        assert!(is_refused_for(login(&json!({"exp": SOON})), "`sub`"));
        assert!(is_refused_for(login(&json!({"sub": "a b", "exp": SOON})), "`sub`"));
        assert!(is_refused_for(
            login(&json!({"sub": "u42", "exp": SOON, "channels": ["a*b"]})),
            "`channels`"
        ));
        assert!(is_refused_for(login(&json!({"sub": "u42", "exp": SOON, "aud": "shop"})), "audience"));
        let authenticator = authenticator(true);
        assert!(is_refused_for(
            authenticator.check(NOW, &Auth::Token { token: "a.b.c".to_owned() }),
            "no token"
        ));
    }

    #[test]
    fn invalid_claim_is_named_in_the_refusal() {
        let sentences = [
            (json!({"sub": "u42", "exp": -5}), "`exp` is negative"),
            (json!({"sub": "u42", "exp": "soon"}), "`exp` is no number"),
            (json!({"sub": "u42", "exp": SOON, "nbf": -1}), "`nbf` is negative"),
            (json!({"sub": 42, "exp": SOON}), "`sub` is not text"),
            (json!({"sub": "u".repeat(251), "exp": SOON}), "at most 250 bytes of UTF-8, this one has 251"),
            (json!({"sub": "u42", "exp": SOON, "channels": "room:*"}), "no list of patterns"),
            (json!({"sub": "u42", "exp": SOON, "channels": [7]}), "hold what is not text"),
            (json!({"sub": "u42", "exp": SOON, "channels": ["c".repeat(256)]}), "at most 255 bytes"),
        ];
        for (claims, sentence) in sentences {
            assert!(is_refused_for(login(&claims), sentence), "{claims}: {:?}", login(&claims));
        }
    }

    #[test]
    fn expiry_beyond_the_last_date_is_clamped() {
        let identity = login(&json!({"sub": "u42", "exp": 1e300})).unwrap();
        assert_eq!(identity.expires_at, Some(DATE_MS_MAX));
    }

    #[test]
    fn unsigned_token_is_refused() {
        // {"alg":"none"} . {"sub":"u42","exp":1800000060} .
        let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1NDIiLCJleHAiOjE4MDAwMDAwNjB9.".to_owned();
        assert!(authenticator(true).check(NOW, &Auth::Token { token }).is_err());
    }

    #[test]
    fn without_a_secret_every_token_is_refused() {
        let result = {
            let authenticator = no_secret(true);
            let key = EncodingKey::from_secret(SECRET).unwrap();
            let token = encode(&Header::default(), &json!({"sub": "u42", "exp": SOON}), &key).unwrap();
            authenticator.check(NOW, &Auth::Token { token })
        };
        assert!(is_refused_for(result, "no secret"));
    }

    #[test]
    fn guest_is_accepted_only_where_guests_are_allowed() {
        let guest = Auth::Guest { guest: true };
        let admitted = no_secret(true).check(NOW, &guest).unwrap();
        assert_eq!(admitted, Identity { source: admitted.source, ..Identity::default() });
        assert!(is_refused_for(no_secret(false).check(NOW, &guest), "guests"));
        assert!(is_refused_for(no_secret(true).check(NOW, &Auth::Guest { guest: false }), "guest"));
    }

    #[test]
    fn each_login_source_has_its_own_digest() {
        const OTHER: &[u8] = b"another secret, of the same length!";
        let both =
            |environment: &str| Authenticator::new(environment, &[SECRET.to_vec(), OTHER.to_vec()], true);
        let mut sources = [both(""), both("staging")].map(|authenticator| authenticator.sources()).concat();
        assert_eq!(sources[..1], authenticator(false).sources(), "other settings beside it do not matter");
        sources.sort_unstable();
        sources.dedup();
        assert_eq!(sources.len(), 6, "secrets, guests and environments are told apart");
    }

    #[test]
    fn token_of_older_secret_names_its_own_source() {
        const OLD: &[u8] = b"the secret of before, long enough!!";
        let token = |secret: &[u8]| {
            let claims = json!({"sub": "u42", "exp": SOON});
            encode(&Header::default(), &claims, &EncodingKey::from_secret(secret).unwrap()).unwrap()
        };
        let authenticator = Authenticator::new("", &[SECRET.to_vec(), OLD.to_vec()], false);
        let check = |secret: &[u8]| authenticator.check(NOW, &Auth::Token { token: token(secret) });
        let source = |secret: &[u8]| check(secret).unwrap().source;
        assert_eq!([source(SECRET), source(OLD)][..], authenticator.sources());
        assert!(is_refused_for(check(b"a secret that never was one of ours"), "another secret"));
    }

    #[test]
    fn login_code_is_refused_with_a_reason() {
        let code = Auth::Code { code: "c".to_owned(), provider: "wechat".to_owned() };
        assert!(is_refused_for(no_secret(true).check(NOW, &code), "codes"));
    }
}
