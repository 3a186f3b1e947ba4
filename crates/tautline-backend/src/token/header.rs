//! The header of a token (RFC 7515 §4): with which algorithm and key it is signed.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;

/// The longest header in base64: it has an algorithm and a name.
const HEADER_BYTES_MAX: usize = 8 * 1024;

pub(super) struct TokenHeader {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(default, borrow)]
    alg: Option<Cow<'a, str>>,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
}

impl TokenHeader {
    /// Reads the header. Nothing is verified yet.
    ///
    /// # Errors
    /// The reason, for the client: it repeats nothing of the token.
    pub(super) fn of(token: &str) -> Result<Self, &'static str> {
        const NO_TOKEN: &str = "this is no token";
        let mut parts = token.split('.');
        let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NO_TOKEN);
        };
        if header.len() > HEADER_BYTES_MAX {
            return Err("the token's header is too long");
        }
        let json = BASE64_URL_SAFE_NO_PAD.decode(header).map_err(|_| NO_TOKEN)?;
        let members: Members<'_> = serde_json::from_slice(&json).map_err(|_| NO_TOKEN)?;
        if members.crit.is_some() {
            return Err("the token has extensions that must be understood (`crit`), and none are here");
        }
        let alg = members.alg.ok_or("the token's header has no `alg`")?;
        if alg.eq_ignore_ascii_case("none") {
            return Err("the token is not signed");
        }
        let algorithm =
            alg.parse().map_err(|_| "the token is signed with an algorithm that is not known here")?;
        Ok(Self { algorithm, kid: members.kid })
    }
}
