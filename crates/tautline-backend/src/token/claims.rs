//! The claims of a correctly signed token (RFC 7519), and the login in them.
//!
//! Start at [`ClaimRules::identity`].

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tautline_hub::{Identity, LoginDetails, LoginRefused};
use tautline_protocol::{Now, UserId};

use super::{TOKEN_BYTES_MAX, header::TokenHeader, members::LoginMembers};

/// The last date: clients accept no larger number.
pub(crate) const DATE_MS_MAX: u64 = (1 << 52) - 1;

/// A token's claims, of any type, so that each bad claim has its own error text. Other claims are ignored.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct TokenClaims {
    iss: Value,
    aud: Value,
    sub: Value,
    exp: Value,
    nbf: Value,
    iat: Value,
    jti: Value,
    channels: Value,
    subs: Value,
    info: Option<Box<RawValue>>,
    labels: Value,
}

/// What the claims must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClaimRules {
    /// One of them is the `iss`; empty: any, or none.
    pub(crate) issuers: Vec<String>,
    /// One of them is in `aud`; empty: there must be no `aud`, because a token for another audience is not
    /// valid here (RFC 7519 §4.1.3).
    pub(crate) audiences: Vec<String>,
    /// How far ahead of this clock `nbf` may be: the back end that signed has its own clock.
    pub(crate) nbf_leeway: Duration,
    /// How long a token is valid after its `exp`.
    pub(crate) exp_leeway: Duration,
}

impl ClaimRules {
    /// The login in these claims, within their time.
    ///
    /// # Errors
    /// The reason, for the client: it names no secret and repeats nothing of the token.
    pub(crate) fn identity(
        &self,
        now: Now,
        claims: &TokenClaims,
        source: u64,
    ) -> Result<Identity, LoginRefused> {
        self.check_issuer(&claims.iss)?;
        self.check_audience(&claims.aud)?;
        let times = claims.times()?;
        let expires_at = times.ends_at.saturating_add(ms(self.exp_leeway)).min(DATE_MS_MAX);
        if expires_at <= now.wall_ms {
            return Err(LoginRefused::Expired);
        }
        let leeway_ms = ms(self.nbf_leeway);
        let issued_at = times.issued_at.unwrap_or(0);
        if issued_at > now.wall_ms.saturating_add(leeway_ms) {
            // No revocation up to now would ever reach it.
            return Err(refused("the token's `iat` is in the future: it counts seconds since 1970"));
        }
        let begins_at = times.begins_at.saturating_sub(leeway_ms);
        if begins_at > now.wall_ms {
            return Err(LoginRefused::NotYet { in_ms: begins_at - now.wall_ms });
        }
        Ok(Identity {
            source,
            expires_at: Some(expires_at),
            // One that does not say so counts as older than any revocation.
            // The clock that signed may be ahead: a revocation from now on ends what this login opens.
            issued_at_ms: Some(issued_at.min(now.wall_ms)),
            ..claims.client()?
        })
    }

    fn check_issuer(&self, iss: &Value) -> Result<(), LoginRefused> {
        let is_known = || iss.as_str().is_some_and(|iss| self.issuers.iter().any(|known| known == iss));
        if self.issuers.is_empty() || is_known() {
            return Ok(());
        }
        Err(refused("the token's `iss` is none of the issuers that are accepted here"))
    }

    fn check_audience(&self, aud: &Value) -> Result<(), LoginRefused> {
        let is_ours =
            |aud: &Value| aud.as_str().is_some_and(|aud| self.audiences.iter().any(|our| our == aud));
        let fits = match aud {
            Value::Null => self.audiences.is_empty(),
            Value::Array(several) => several.iter().any(is_ours),
            one => is_ours(one),
        };
        if fits { Ok(()) } else { Err(refused("the token is meant for another audience")) }
    }
}

/// What a token opens, for tools: its signature, whether it is within its times, its issuer and its audience are not looked
/// at.
///
/// # Errors
/// What the gateway would refuse whatever its keys and its clock are.
pub fn unverified_identity(token: &str) -> Result<Identity, LoginRefused> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(refused("the token is too long"));
    }
    TokenHeader::of(token).map_err(refused)?;
    let claims = token.split('.').nth(1).and_then(|claims| BASE64_URL_SAFE_NO_PAD.decode(claims).ok());
    let claims = claims.ok_or_else(|| refused("this is no token"))?;
    let claims: TokenClaims =
        serde_json::from_slice(&claims).map_err(|_| refused("the token's claims are no JSON object"))?;
    claims.times()?;
    let identity = claims.client()?;
    identity.check_bounds().map_err(|over| refused(&over.to_string()))?;
    Ok(identity)
}

/// Whether a text is meant to be a token: three parts, of which the first is an object.
#[must_use]
pub fn looks_like_a_token(text: &str) -> bool {
    let is_object = |header: &str| {
        let json = BASE64_URL_SAFE_NO_PAD.decode(header).ok();
        json.is_some_and(|json| serde_json::from_slice::<serde_json::Map<String, Value>>(&json).is_ok())
    };
    text.split('.').count() == 3 && text.split('.').next().is_some_and(is_object)
}

/// When a token begins and ends, and when it was issued, as it says itself.
struct Times {
    ends_at: u64,
    begins_at: u64,
    issued_at: Option<u64>,
}

impl TokenClaims {
    fn times(&self) -> Result<Times, LoginRefused> {
        Ok(Times {
            ends_at: date("exp", &self.exp)?.ok_or_else(|| refused("the token has no `exp`"))?,
            begins_at: date("nbf", &self.nbf)?.unwrap_or(0),
            issued_at: date("iat", &self.iat)?,
        })
    }

    /// The client that they describe, without the times of its login.
    fn client(&self) -> Result<Identity, LoginRefused> {
        let Self { channels, subs, info, labels, .. } = self;
        let members = LoginMembers { channels, subs, info: info.clone(), labels };
        let (channels, details) = members.read().map_err(|why| refused(&why))?;
        Ok(Identity {
            user: Some(user(&self.sub)?),
            channels,
            details: LoginDetails { token_id: token_id(&self.jti)?, ..details }.shared(),
            ..Identity::default()
        })
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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

fn token_id(jti: &Value) -> Result<Option<Box<str>>, LoginRefused> {
    match jti {
        Value::Null => Ok(None),
        Value::String(id) => Ok(Some(id.as_str().into())),
        _ => Err(refused("the token's `jti` is not text")),
    }
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

pub(crate) fn refused(words: &str) -> LoginRefused {
    LoginRefused::Unauthorized(words.to_owned())
}
