//! A key that signatures of tokens are checked with, and the algorithms it is good for.
//!
//! Start at [`VerificationKey`]. An algorithm is bound to its key: a public key never serves as the secret of
//! an HMAC.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::de::DeserializeOwned;

use super::der::PublicKey;

/// RFC 7518 §3.2: a secret has at least as many bytes as its hash.
pub const HS256_SECRET_BYTES_MIN: usize = 32;

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

pub(crate) struct VerificationKey {
    /// A token that names another key is not checked with this one.
    pub(crate) kid: Option<String>,
    key: DecodingKey,
    validation: Validation,
}

impl VerificationKey {
    /// A secret that app and gateway share.
    pub(crate) fn secret(secret: &[u8], algorithm: Algorithm) -> Result<Self, String> {
        let bytes_min = match algorithm {
            Algorithm::HS256 => HS256_SECRET_BYTES_MIN,
            Algorithm::HS384 => 48,
            Algorithm::HS512 => 64,
            _ => return Err("a secret signs with HS256, HS384 or HS512".to_owned()),
        };
        if secret.len() < bytes_min {
            return Err(format!("a secret for {algorithm:?} has at least {bytes_min} bytes"));
        }
        let key = DecodingKey::from_secret(secret).map_err(|_| "the secret is empty")?;
        Ok(Self::new(key, vec![algorithm]))
    }

    /// A public key.
    ///
    /// # Errors
    /// Why it is too weak, or does not sign with the algorithm that is asked for.
    pub(crate) fn public(key: &PublicKey, algorithm: Option<Algorithm>) -> Result<Self, String> {
        let (decoding, possible): (_, &[_]) = match key {
            PublicKey::Rsa(der) => {
                check_rsa_bits(PublicKey::rsa_bits(der).ok_or("the RSA key cannot be read")?)?;
                (DecodingKey::from_rsa_der(der), RSA)
            }
            PublicKey::P256(point) => (DecodingKey::from_ec_der(point), &[Algorithm::ES256]),
            PublicKey::P384(point) => (DecodingKey::from_ec_der(point), &[Algorithm::ES384]),
            PublicKey::Ed25519(point) => (DecodingKey::from_ed_der(point), &[Algorithm::EdDSA]),
        };
        Ok(Self::new(decoding, narrow(possible, algorithm)?))
    }

    /// An RSA key by its numbers.
    pub(crate) fn rsa(n: &[u8], e: &[u8], algorithm: Option<Algorithm>) -> Result<Self, String> {
        let significant =
            |number: &[u8]| -> Vec<u8> { number.iter().copied().skip_while(|byte| *byte == 0).collect() };
        let (n, e) = (significant(n), significant(e));
        check_rsa_bits(n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize))?;
        if e.len() == 1 && e[0] < 3 || e.is_empty() {
            return Err("the exponent of the RSA key is too small".to_owned());
        }
        Ok(Self::new(DecodingKey::from_rsa_raw_components(&n, &e), narrow(RSA, algorithm)?))
    }

    fn new(key: DecodingKey, algorithms: Vec<Algorithm>) -> Self {
        let mut validation = Validation::new(algorithms[0]);
        validation.algorithms = algorithms;
        // All claims are checked elsewhere, against the time and the settings that the caller gives.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Self { kid: None, key, validation }
    }

    pub(crate) fn with_kid(self, kid: Option<String>) -> Self {
        Self { kid, ..self }
    }

    pub(crate) fn algorithms(&self) -> &[Algorithm] {
        &self.validation.algorithms
    }

    /// Whether a token with this algorithm, which may name its key, can be signed with this one.
    pub(crate) fn may_verify(&self, algorithm: Algorithm, kid: Option<&str>) -> bool {
        let is_named = match (self.kid.as_deref(), kid) {
            (Some(ours), Some(named)) => ours == named,
            _ => true,
        };
        is_named && self.validation.algorithms.contains(&algorithm)
    }

    /// Whether this key has signed the bytes.
    #[cfg(test)]
    pub(super) fn is_signature(&self, algorithm: Algorithm, message: &str, signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.key, algorithm).unwrap_or(false)
    }

    /// The claims of a token that is signed with this key.
    pub(crate) fn verify<T: DeserializeOwned>(&self, token: &str) -> jsonwebtoken::errors::Result<T> {
        jsonwebtoken::decode(token, &self.key, &self.validation).map(|decoded| decoded.claims)
    }
}

/// Shorter keys can be factored, longer ones cost too much (`ring` refuses both).
fn check_rsa_bits(bits: usize) -> Result<(), String> {
    if (2048..=8192).contains(&bits) {
        return Ok(());
    }
    Err(format!("an RSA key has 2048 to 8192 bits, this one has {bits}"))
}

/// The algorithm that is asked for, if the key signs with it; else all that it signs with.
fn narrow(possible: &[Algorithm], asked: Option<Algorithm>) -> Result<Vec<Algorithm>, String> {
    match asked {
        None => Ok(possible.to_vec()),
        Some(asked) if possible.contains(&asked) => Ok(vec![asked]),
        Some(asked) => Err(format!("a key of this type does not sign with {asked:?}")),
    }
}
