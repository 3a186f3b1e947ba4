//! `[[api.key]]`: a key of the HTTP API with its scopes.

use schemars::JsonSchema;
use serde::Deserialize;
use tautline_gateway::{ApiKeyError, ApiKeys, Scope};
use tautline_process::secret::Secret;

use super::{Settings, check};

/// A key of the HTTP API.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct ApiKey {
    known_by: KnownBy,
    scopes: Vec<Scope>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum KnownBy {
    Key(Secret),
    Digest([u8; 32]),
}

/// One `[[api.key]]` as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    /// Which key it is, for people.
    name: String,
    /// The key: at least 16 characters.
    #[serde(default)]
    #[schemars(with = "Secret")]
    key: Option<Secret>,
    /// In place of the key: its SHA-256 in hex, so that nobody who reads this knows the key.
    #[serde(default)]
    #[schemars(with = "String")]
    sha256: Option<String>,
    /// What it opens.
    scopes: Vec<ScopeName>,
}

/// What a key opens.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ScopeName {
    /// Reads logs, presence, sessions and figures.
    Read,
    /// Publishes.
    Publish,
    /// Ends sessions, subscriptions and logins.
    Admin,
}

impl TryFrom<Written> for ApiKey {
    type Error = String;

    fn try_from(Written { name, key, sha256, scopes }: Written) -> Result<Self, String> {
        let known_by = match (key, sha256) {
            (Some(key), None) => KnownBy::Key(check::api_key(key)?),
            (None, Some(digest)) => KnownBy::Digest(parse_digest(&digest).ok_or_else(|| {
                format!("`sha256` of API key {name:?} is 64 hexadecimal digits: `printf %s KEY | sha256sum`")
            })?),
            _ => return Err(format!("API key {name:?} needs either `key` or `sha256`")),
        };
        if scopes.is_empty() {
            return Err(format!("API key {name:?} opens nothing: give it `scopes`"));
        }
        let scopes = scopes.into_iter().map(|scope| match scope {
            ScopeName::Read => Scope::Read,
            ScopeName::Publish => Scope::Publish,
            ScopeName::Admin => Scope::Admin,
        });
        Ok(Self { known_by, scopes: scopes.collect() })
    }
}

fn parse_digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(digest)
}

impl Settings {
    /// All keys of the HTTP API.
    ///
    /// # Errors
    /// For a key that can be guessed, or that no header can carry.
    pub fn keys_of_api(&self) -> Result<ApiKeys, ApiKeyError> {
        let mut keys = ApiKeys::all_open(self.api_keys.iter().map(Secret::expose))?;
        for ApiKey { known_by, scopes } in &self.scoped_api_keys {
            let scopes = scopes.iter().copied();
            match known_by {
                KnownBy::Key(key) => keys.insert(key.expose(), scopes)?,
                KnownBy::Digest(digest) => keys.insert_digest(*digest, scopes),
            }
        }
        Ok(keys)
    }
}
