//! Takes public keys out of PEM, as far as tokens need them.
//!
//! Start at [`PublicKey::from_pem`].

use base64::{Engine as _, prelude::BASE64_STANDARD};

/// `AlgorithmIdentifier` of RSA (RFC 3279), P-256 and P-384 (RFC 5480), and Ed25519 (RFC 8410).
const RSA: &[u8] = &[0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
const P256: &[u8] =
    &[0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x22];
const ED25519: &[u8] = &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70];

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// An `AlgorithmIdentifier`, and the key that follows it.
type Kind = (&'static [u8], fn(Vec<u8>) -> PublicKey);

/// A public key, in the form in which signatures are checked with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublicKey {
    /// `RSAPublicKey` of PKCS#1.
    Rsa(Vec<u8>),
    /// The uncompressed point.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl PublicKey {
    /// The key in a PEM text: `PUBLIC KEY`, or `RSA PUBLIC KEY`.
    ///
    /// # Errors
    /// What the text is instead, and repeats nothing of it.
    pub(crate) fn from_pem(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let (label, rest) = text
            .strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.split_once("-----"))
            .ok_or("this is no PEM: it begins with -----BEGIN PUBLIC KEY-----")?;
        let (body, _) = rest.split_once("-----END ").ok_or("the PEM has no -----END PUBLIC KEY-----")?;
        let der = decode(body)?;
        match label {
            "PUBLIC KEY" => Self::from_spki(&der),
            "RSA PUBLIC KEY" => Ok(Self::Rsa(der)),
            "CERTIFICATE" => {
                Err("a certificate is no public key: `openssl x509 -pubkey -noout` takes the key out of it")
            }
            label if label.ends_with("PRIVATE KEY") => {
                Err("this is the private key, which signs tokens: the gateway needs only the public one")
            }
            _ => Err("this PEM is no public key"),
        }
    }

    /// The key in a `SubjectPublicKeyInfo`.
    pub(crate) fn from_spki(der: &[u8]) -> Result<Self, &'static str> {
        let unsupported = "no key of a kind that signs tokens: RSA, P-256, P-384 and Ed25519 do";
        let (content, behind) = element(SEQUENCE, der).ok_or(unsupported)?;
        let kinds: [Kind; 4] =
            [(RSA, Self::Rsa), (P256, Self::P256), (P384, Self::P384), (ED25519, Self::Ed25519)];
        let (bits, kind) = kinds
            .into_iter()
            .find_map(|(algorithm, kind)| Some((content.strip_prefix(algorithm)?, kind)))
            .ok_or(unsupported)?;
        match element(BIT_STRING, bits) {
            // No unused bits.
            Some(([0, key @ ..], [])) if behind.is_empty() => kind(key.to_vec()).checked(),
            _ => Err("the public key is cut off, or something follows it"),
        }
    }

    /// Points and keys of the length that they have.
    fn checked(self) -> Result<Self, &'static str> {
        let fits = match &self {
            Self::P256(point) | Self::P384(point) if matches!(point.first(), Some(2 | 3)) => {
                return Err(
                    "the point is compressed: `openssl ec -pubin -conv_form uncompressed` writes it in full",
                );
            }
            Self::P256(point) => point.len() == 65 && point[0] == 4,
            Self::P384(point) => point.len() == 97 && point[0] == 4,
            Self::Ed25519(point) => point.len() == 32,
            // Its numbers are read where its bits are counted.
            Self::Rsa(_) => true,
        };
        if fits { Ok(self) } else { Err("the public key has not the length of its kind") }
    }

    /// The bits of an RSA key's modulus; none where it cannot be read.
    pub(crate) fn rsa_bits(der: &[u8]) -> Option<usize> {
        let (content, _) = element(SEQUENCE, der)?;
        let (modulus, _) = element(INTEGER, content)?;
        let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
        Some(modulus.len() * 8 - modulus.first()?.leading_zeros() as usize)
    }
}

/// Base64 with line breaks.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
    let text: String = text.split_ascii_whitespace().collect();
    BASE64_STANDARD.decode(text).map_err(|_| "the key is not base64")
}

/// The content of the first element, which has this tag, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[first, length], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    (first == tag).then(|| rest.split_at_checked(length)).flatten()
}
