//! Logins of the web page: tokens that this server has signed. A shop of your own checks a password, or a code by SMS.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::clock::wall_ms;

const LIFE_MS: i64 = 7 * 86_400_000;
const NAME_BYTES_MAX: usize = 24;

/// Signs and checks tokens.
pub(crate) struct Logins {
    pub(crate) secret: String,
}

/// A member, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) member: String,
    pub(crate) expires_at: i64,
}

impl Logins {
    /// The member of this name and its token; nothing where that is no name.
    pub(crate) fn log_in(&self, name: &str) -> Option<(String, String)> {
        let name = name.trim().to_lowercase();
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_name || name.len() > NAME_BYTES_MAX {
            return None;
        }
        let member = format!("wx-{name}");
        let claim = format!("{member}.{}", wall_ms() + LIFE_MS);
        let proof = BASE64_URL_SAFE_NO_PAD.encode(self.signed(&claim).finalize().into_bytes());
        Some((member, format!("{claim}.{proof}")))
    }

    /// Whose token this is, if it is a good one.
    pub(crate) fn check(&self, token: &str) -> Option<Login> {
        let (claim, proof) = token.rsplit_once('.')?;
        let proof = BASE64_URL_SAFE_NO_PAD.decode(proof).ok()?;
        self.signed(claim).verify_slice(&proof).ok()?;
        let (member, until) = claim.split_once('.')?;
        let expires_at = until.parse().ok().filter(|until| *until > wall_ms())?;
        Some(Login { member: member.to_owned(), expires_at })
    }

    fn signed(&self, claim: &str) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(claim.as_bytes());
        mac
    }
}
