//! Signatures of requests to the app's back end: Standard Webhooks 1.0.0.
//!
//! Start at [`Signer::sign`]. The receiver checks them with a library of its language
//! (<https://www.standardwebhooks.com>).

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::{hmac, signature::Ed25519KeyPair};
use tautline_files::secret::Secret;

/// The name of the header with the id of a message, the same however often it is sent.
pub const ID_HEADER: &str = "webhook-id";
/// The name of the header with the time of the attempt, in Unix seconds.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The name of the header with the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// The shortest and the longest secret behind `whsec_`, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Signs messages with one or several keys: during a rotation the receiver accepts any of them.
#[derive(Debug)]
pub struct Signer(Vec<Key>);

enum Key {
    /// `v1`: HMAC-SHA256.
    Shared(hmac::Key),
    /// `v1a`: Ed25519.
    Private(Box<Ed25519KeyPair>),
}

/// A secret cannot sign. The text does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningSecretError {
    /// There is none: requests are always signed.
    #[error("no secret: `echo whsec_$(openssl rand -base64 32)` makes one")]
    None,
    /// It has neither prefix, or what follows is not base64.
    #[error(
        "a secret is `whsec_` and 24 to 64 bytes in base64 (`echo whsec_$(openssl rand -base64 32)`), or `whsk_` and an \
         Ed25519 key"
    )]
    Format,
    /// It is too short or too long.
    #[error("a secret behind `whsec_` has 24 to 64 bytes, this one has {0}")]
    Length(usize),
    /// It is no key of Ed25519.
    #[error(
        "`whsk_` is followed by the base64 of an Ed25519 key: its seed of 32 bytes, or seed and public key"
    )]
    Ed25519,
}

impl Signer {
    /// Signs with all of these secrets.
    ///
    /// # Errors
    /// The first one that cannot sign.
    pub fn new(secrets: &[Secret]) -> Result<Self, SigningSecretError> {
        if secrets.is_empty() {
            return Err(SigningSecretError::None);
        }
        secrets.iter().map(|secret| Key::parse(secret.expose())).collect::<Result<_, _>>().map(Self)
    }

    /// The value of [`SIGNATURE_HEADER`] for a message with this id, sent at this time. An id has no `.` in it.
    #[must_use]
    pub fn sign(&self, id: &str, unix_seconds: u64, body: &[u8]) -> String {
        let head = format!("{id}.{unix_seconds}.");
        let message = [head.as_bytes(), body].concat();
        self.0.iter().map(|key| key.sign(&message)).collect::<Vec<_>>().join(" ")
    }
}

impl Key {
    fn parse(text: &str) -> Result<Self, SigningSecretError> {
        let decode = |base64: &str| BASE64_STANDARD.decode(base64).map_err(|_| SigningSecretError::Format);
        if let Some(base64) = text.strip_prefix("whsec_") {
            let bytes = decode(base64)?;
            if !SECRET_BYTES.contains(&bytes.len()) {
                return Err(SigningSecretError::Length(bytes.len()));
            }
            return Ok(Self::Shared(hmac::Key::new(hmac::HMAC_SHA256, &bytes)));
        }
        let bytes = decode(text.strip_prefix("whsk_").ok_or(SigningSecretError::Format)?)?;
        let pair = match bytes.split_at_checked(32) {
            Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed),
            Some((seed, public)) => Ed25519KeyPair::from_seed_and_public_key(seed, public),
            None => return Err(SigningSecretError::Ed25519),
        };
        pair.map(|pair| Self::Private(pair.into())).map_err(|_| SigningSecretError::Ed25519)
    }

    fn sign(&self, message: &[u8]) -> String {
        match self {
            Self::Shared(key) => format!("v1,{}", BASE64_STANDARD.encode(hmac::sign(key, message))),
            Self::Private(pair) => format!("v1a,{}", BASE64_STANDARD.encode(pair.sign(message))),
        }
    }
}

impl std::fmt::Debug for Key {
    // Secrets stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Shared(_) => "Shared(…)",
            Self::Private(_) => "Private(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use ring::signature::{ED25519, KeyPair as _, UnparsedPublicKey};
    use standardwebhooks::Webhook;

    use super::*;

    fn secret(byte: u8, bytes: usize) -> Secret {
        Secret::new(format!("whsec_{}", BASE64_STANDARD.encode(vec![byte; bytes])))
    }

    fn now() -> u64 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
    }

    /// Whether the reference library accepts what these secrets have signed.
    fn accepts(signers: &[Secret], of_receiver: &Secret, body: &[u8]) -> bool {
        let (id, at) = ("session:7", now());
        let mut headers = HeaderMap::new();
        headers.insert(ID_HEADER, id.parse().unwrap());
        headers.insert(TIMESTAMP_HEADER, at.into());
        let signature = Signer::new(signers).unwrap().sign(id, at, br#"{"kind":"call"}"#);
        headers.insert(SIGNATURE_HEADER, signature.parse().unwrap());
        Webhook::new(of_receiver.expose()).unwrap().verify(body, &headers).is_ok()
    }

    #[test]
    fn reference_library_accepts_signature() {
        for bytes in [24, 32, 64] {
            let secret = secret(1, bytes);
            assert!(accepts(std::slice::from_ref(&secret), &secret, br#"{"kind":"call"}"#), "{bytes}");
            assert!(!accepts(std::slice::from_ref(&secret), &secret, br#"{"kind":"calls"}"#), "{bytes}");
        }
        assert!(!accepts(&[secret(1, 32)], &secret(2, 32), br#"{"kind":"call"}"#));
    }

    #[test]
    fn receiver_with_either_secret_accepts_during_rotation() {
        let both = [secret(2, 32), secret(1, 24)];
        for of_receiver in &both {
            assert!(accepts(&both, of_receiver, br#"{"kind":"call"}"#));
        }
    }

    #[test]
    fn example_of_the_standard_is_signed_alike() {
        // The test vector of the standard's libraries.
        let signer = Signer::new(&[Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]).unwrap();
        let signature =
            signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn ed25519_key_signs_what_its_public_key_verifies() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let whole = [&[7; 32][..], pair.public_key().as_ref()].concat();
        for bytes in [&[7; 32][..], &whole] {
            let secret = Secret::new(format!("whsk_{}", BASE64_STANDARD.encode(bytes)));
            let signature = Signer::new(&[secret]).unwrap().sign("a", 5, b"body");
            let raw = BASE64_STANDARD.decode(signature.strip_prefix("v1a,").unwrap()).unwrap();
            UnparsedPublicKey::new(&ED25519, pair.public_key()).verify(b"a.5.body", &raw).unwrap();
        }
    }

    #[test]
    fn unfit_secret_is_refused_without_repeating_it() {
        let wrong_pair = format!("whsk_{}", BASE64_STANDARD.encode([7; 64]));
        for (secret, why) in [
            (secret(1, 23), SigningSecretError::Length(23)),
            (secret(1, 65), SigningSecretError::Length(65)),
            (Secret::new("hush"), SigningSecretError::Format),
            (Secret::new("whsec_hush!"), SigningSecretError::Format),
            (Secret::new("whsk_aHVzaA=="), SigningSecretError::Ed25519),
            (Secret::new(wrong_pair), SigningSecretError::Ed25519),
        ] {
            assert_eq!(Signer::new(&[secret]).unwrap_err(), why);
        }
        assert_eq!(Signer::new(&[]).unwrap_err(), SigningSecretError::None);
        assert!(!format!("{:?}", Signer::new(&[secret(1, 32)]).unwrap()).contains("AQEB"));
    }
}
