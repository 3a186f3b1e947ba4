//! Makes tokens, for tools and tests.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use crate::crypto;

/// A token with these claims, signed with HS256.
///
/// # Errors
/// When the secret is empty, or the claims are no JSON.
pub fn sign_hs256(claims: &impl Serialize, secret: &[u8]) -> jsonwebtoken::errors::Result<String> {
    crypto::install();
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret)?)
}
