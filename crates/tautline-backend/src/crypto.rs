//! Signatures of tokens by `ring`, as a provider for `jsonwebtoken`.
//!
//! Start at [`install`].

use ::signature as signature_traits;
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind, Result, new_error},
    jwk::ThumbprintHash,
};
use ring::{
    digest, hmac,
    rand::SystemRandom,
    signature::{
        self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RsaEncoding, RsaKeyPair, RsaParameters,
        RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use signature_traits::{Signer, Verifier};

static PROVIDER: CryptoProvider =
    CryptoProvider { signer_factory: signer, verifier_factory: verifier, key_utils: KEY_UTILS };

/// Tokens are read by their signature alone: nothing here asks for the parts of a key.
const KEY_UTILS: KeyUtils = KeyUtils {
    rsa_pub_components_from_private_key: |_| Err(unsupported()),
    rsa_pub_components_from_public_key: |_| Err(unsupported()),
    ec_pub_components_from_private_key: |_, _| Err(unsupported()),
    ed_pub_components_from_private_key: |_, _| Err(unsupported()),
    compute_digest,
};

/// Gives the process a provider of signatures, where it has none: an app that embeds the gateway may have
/// selected another one, which is as good.
pub fn install() {
    if CryptoProvider::try_get_default().is_none() {
        // Another thread may have been faster, with the same provider.
        PROVIDER.install_default().ok();
    }
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(
        &self,
        message: &[u8],
        signature: &Vec<u8>,
    ) -> std::result::Result<(), signature_traits::Error> {
        let invalid = |_| signature_traits::Error::new();
        match (Scheme::of(self.algorithm).map_err(invalid)?, self.key.kind()) {
            (Scheme::Hmac(algorithm), DecodingKeyKind::SecretOrDer(secret)) => {
                hmac::verify(&hmac::Key::new(algorithm, secret), message, signature)
            }
            (Scheme::Rsa { verification, .. }, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(verification, message, signature)
            }
            (Scheme::Rsa { verification, .. }, DecodingKeyKind::SecretOrDer(der)) => {
                UnparsedPublicKey::new(verification, der).verify(message, signature)
            }
            (Scheme::Curve { verification, .. }, DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(verification, point).verify(message, signature)
            }
            (Scheme::Hmac(_) | Scheme::Curve { .. }, DecodingKeyKind::RsaModulusExponent { .. }) => {
                Err(ring::error::Unspecified)
            }
        }
        .map_err(|_| signature_traits::Error::new())
    }
}

struct RingSigner {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature_traits::Error> {
        self.sign(message).ok_or_else(signature_traits::Error::new)
    }
}

impl RingSigner {
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let (key, random) = (self.key.as_bytes(), SystemRandom::new());
        match Scheme::of(self.algorithm).ok()? {
            Scheme::Hmac(algorithm) => {
                Some(hmac::sign(&hmac::Key::new(algorithm, key), message).as_ref().to_vec())
            }
            Scheme::Rsa { padding, .. } => {
                let pair = RsaKeyPair::from_pkcs8(key).or_else(|_| RsaKeyPair::from_der(key)).ok()?;
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Scheme::Curve { signing: Some(algorithm), .. } => {
                let pair = EcdsaKeyPair::from_pkcs8(algorithm, key, &random).ok()?;
                Some(pair.sign(&random, message).ok()?.as_ref().to_vec())
            }
            Scheme::Curve { signing: None, .. } => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key).ok()?;
                Some(pair.sign(message).as_ref().to_vec())
            }
        }
    }
}

/// How `ring` calls an algorithm.
enum Scheme {
    Hmac(hmac::Algorithm),
    Rsa {
        verification: &'static RsaParameters,
        padding: &'static dyn RsaEncoding,
    },
    /// No way of signing is named for Ed25519, which has only one.
    Curve {
        verification: &'static dyn VerificationAlgorithm,
        signing: Option<&'static EcdsaSigningAlgorithm>,
    },
}

impl Scheme {
    fn of(algorithm: Algorithm) -> Result<Self> {
        let rsa = |verification, padding| Self::Rsa { verification, padding };
        Ok(match algorithm {
            Algorithm::HS256 => Self::Hmac(hmac::HMAC_SHA256),
            Algorithm::HS384 => Self::Hmac(hmac::HMAC_SHA384),
            Algorithm::HS512 => Self::Hmac(hmac::HMAC_SHA512),
            Algorithm::RS256 => rsa(&signature::RSA_PKCS1_2048_8192_SHA256, &signature::RSA_PKCS1_SHA256),
            Algorithm::RS384 => rsa(&signature::RSA_PKCS1_2048_8192_SHA384, &signature::RSA_PKCS1_SHA384),
            Algorithm::RS512 => rsa(&signature::RSA_PKCS1_2048_8192_SHA512, &signature::RSA_PKCS1_SHA512),
            Algorithm::PS256 => rsa(&signature::RSA_PSS_2048_8192_SHA256, &signature::RSA_PSS_SHA256),
            Algorithm::PS384 => rsa(&signature::RSA_PSS_2048_8192_SHA384, &signature::RSA_PSS_SHA384),
            Algorithm::PS512 => rsa(&signature::RSA_PSS_2048_8192_SHA512, &signature::RSA_PSS_SHA512),
            Algorithm::ES256 => Self::Curve {
                verification: &signature::ECDSA_P256_SHA256_FIXED,
                signing: Some(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            },
            Algorithm::ES384 => Self::Curve {
                verification: &signature::ECDSA_P384_SHA384_FIXED,
                signing: Some(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            },
            Algorithm::EdDSA => Self::Curve { verification: &signature::ED25519, signing: None },
            _ => return Err(unsupported()),
        })
    }
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    is_of_family(*algorithm, key.family())?;
    Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.clone() }))
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    is_of_family(*algorithm, key.family())?;
    Ok(Box::new(RingSigner { algorithm: *algorithm, key: key.clone() }))
}

/// Without this check a public RSA key would verify tokens as the secret of an HMAC.
fn is_of_family(algorithm: Algorithm, family: AlgorithmFamily) -> Result<()> {
    if algorithm.family() == family { Ok(()) } else { Err(new_error(ErrorKind::InvalidKeyFormat)) }
}

fn compute_digest(data: &[u8], hash: ThumbprintHash) -> Result<Vec<u8>> {
    let algorithm = match hash {
        ThumbprintHash::SHA256 => &digest::SHA256,
        ThumbprintHash::SHA384 => &digest::SHA384,
        ThumbprintHash::SHA512 => &digest::SHA512,
        _ => return Err(unsupported()),
    };
    Ok(digest::digest(algorithm, data).as_ref().to_vec())
}

fn unsupported() -> Error {
    new_error(ErrorKind::UnsupportedAlgorithm)
}
