//! `tautline token`: makes the tokens that `[auth] hs256_secret` accepts.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use serde::Serialize;
use tautline_process::{secret::Secret, units::parse_duration};
use tautline_protocol::{Pattern, UserId};

use crate::config;

/// What a token says.
#[derive(Clone, Debug, clap::Args)]
pub struct TokenArgs {
    /// The user it lets in (claim `sub`).
    #[arg(long, value_name = "USER", value_parser = user)]
    pub user: UserId,
    /// The channels it opens where a rule says "token": names, or prefixes that end in `*`. May be repeated.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',', value_parser = pattern)]
    pub channels: Vec<Pattern>,
    /// How long it is good for, like 90s, 24h or 7d (claim `exp`).
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_duration)]
    pub expires: Duration,
    /// The configuration file with the secret; the environment wins over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The claims that the gateway reads, and `iat` for those who debug.
#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<&'a str>,
}

/// Signs a token.
///
/// # Errors
/// When there is no secret to sign with.
pub fn make(args: &TokenArgs, secret: Option<&Secret>) -> anyhow::Result<String> {
    let secret = secret.with_context(|| {
        format!(
            "no secret to sign with: set {}, or [auth] hs256_secret in a file and --config FILE",
            config::AUTH_SECRET
        )
    })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?.as_secs();
    let claims = Claims {
        sub: args.user.as_str(),
        iat: now,
        exp: now + args.expires.as_secs(),
        channels: args.channels.iter().map(Pattern::as_str).collect(),
    };
    tautline_backend::sign_hs256(&claims, secret.expose().as_bytes()).context("cannot sign the token")
}

fn user(text: &str) -> Result<UserId, String> {
    UserId::parse(text).map_err(|why| why.to_string())
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::parse(text).map_err(|why| {
        format!("{why}; write a channel's name, or a prefix that ends in one `*`, like room:*")
    })
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    use serde_json::Value;

    use super::*;

    #[test]
    fn token_holds_the_requested_claims() {
        let args = TokenArgs {
            user: UserId::parse("u42").unwrap(),
            channels: vec![Pattern::parse("room:*").unwrap()],
            expires: Duration::from_secs(60),
            config: None,
        };
        let secret = Secret::new("0123456789abcdef0123456789abcdef");
        let token = make(&args, Some(&secret)).unwrap();
        let key = DecodingKey::from_secret(secret.expose().as_bytes()).unwrap();
        let claims: Value =
            jsonwebtoken::decode(&token, &key, &Validation::new(Algorithm::HS256)).unwrap().claims;
        assert_eq!(claims["sub"], "u42");
        assert_eq!(claims["channels"], serde_json::json!(["room:*"]));
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
    }

    #[test]
    fn token_without_a_secret_names_the_setting() {
        let args = TokenArgs {
            user: UserId::parse("u42").unwrap(),
            channels: Vec::new(),
            expires: Duration::from_secs(60),
            config: None,
        };
        let error = make(&args, None).unwrap_err().to_string();
        assert!(error.contains("TAUTLINE_AUTH_SECRET") && error.contains("hs256_secret"), "{error}");
    }
}
