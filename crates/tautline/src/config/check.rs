//! The rules that a single setting must obey, wherever it comes from. The words say what would be valid, and never quote
//! a secret.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tautline_gateway::{API_KEY_BYTES_MIN, HS256_SECRET_BYTES_MIN, ORIGIN_PRESET, ORIGIN_PRESETS};
use tautline_process::secret::Secret;
use tautline_redis::RedisUrl;

use super::Engine;

/// More would only make every welcome longer.
const NODE_BYTES_MAX: usize = 64;

/// A key that seals tickets.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKey(pub [u8; 32]);

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey(…)")
    }
}

/// Where logs live.
///
/// # Errors
/// In words.
pub fn engine(text: &str) -> Result<Engine, String> {
    match (text, text.strip_prefix("disk:")) {
        ("memory", _) => Ok(Engine::Memory),
        (_, Some(folder)) if !folder.is_empty() => Ok(Engine::Disk(folder.into())),
        _ if text.starts_with("redis") => redis(text),
        // Of a URL only its scheme: there may be a password in the rest.
        _ => Err(format!(
            "{:?} is no engine: write `memory`, `disk:` and a folder, like disk:./tautline-data, or a URL, like \
             redis://127.0.0.1:6379",
            text.split_once("://").map_or(text, |(scheme, _)| scheme)
        )),
    }
}

/// The words of an error repeat nothing of it: there may be a password in it.
fn redis(text: &str) -> Result<Engine, String> {
    let url: RedisUrl = text.parse().map_err(|error| format!("it is no URL of a Redis: {error}"))?;
    match url.has_password() {
        true => Err("the password belongs in [redis] password, where it is kept out of logs".to_owned()),
        false => Ok(Engine::Redis(url)),
    }
}

pub(super) fn node(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.len() <= NODE_BYTES_MAX;
    if fits && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} is no node name: write 1 to {NODE_BYTES_MAX} ASCII letters, digits, `-`, `_` and `.`, like n1"
    ))
}

/// What a browser, a mini game or an app in a web view puts into `Origin` (RFC 6454, section 6.1): a scheme and a host, or
/// `null`.
pub(super) fn origin(text: String) -> Result<String, String> {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let is_host =
        |host: &str| !host.is_empty() && host.chars().all(|c| c.is_ascii_graphic() && !"/?#@*".contains(c));
    if let Some(preset) = text.strip_prefix(ORIGIN_PRESET) {
        let names = || ORIGIN_PRESETS.map(|(name, _)| name).join(", ");
        return match ORIGIN_PRESETS.iter().any(|(name, _)| *name == preset) {
            true => Ok(text),
            false => Err(format!("{text:?} is no preset of origins: there are {}", names())),
        };
    }
    match text.split_once("://") {
        Some((scheme, host)) if is_scheme(scheme) && is_host(host) => Ok(text),
        None if text == "null" => Ok(text),
        _ => Err(format!(
            "{text:?} is no origin: write a scheme and a host without a path, like https://shop.example or \
             weapp://wechat-game-runtime, or null"
        )),
    }
}

pub(super) fn hs256_secret(secret: Secret) -> Result<Secret, String> {
    at_least(secret, HS256_SECRET_BYTES_MIN)
}

pub(super) fn api_key(key: Secret) -> Result<Secret, String> {
    if key.expose().chars().any(|c| !c.is_ascii_graphic()) {
        return Err(
            "an API key holds only visible ASCII characters, because it travels in a header".to_owned()
        );
    }
    at_least(key, API_KEY_BYTES_MIN)
}

pub(super) fn ticket_key(key: &Secret) -> Result<TicketKey, String> {
    let bytes = STANDARD.decode(key.expose()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.map(TicketKey).ok_or_else(|| {
        "a ticket key is 32 random bytes in base64: make one with `openssl rand -base64 32`".to_owned()
    })
}

fn at_least(secret: Secret, bytes_min: usize) -> Result<Secret, String> {
    let bytes = secret.expose().len();
    if bytes >= bytes_min {
        return Ok(secret);
    }
    Err(format!(
        "too short, {bytes} bytes: at least {bytes_min} are needed (`openssl rand -base64 32` makes a good one)"
    ))
}
