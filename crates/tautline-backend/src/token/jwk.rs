//! Keys as JSON (RFC 7517): one, or a set.
//!
//! Start at [`KeySet::parse`] and [`Jwk::parse`].

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{der::PublicKey, key::VerificationKey};

/// The most keys of a set.
pub(crate) const KEYS_MAX: usize = 100;

/// A key, as it is written. Unknown members are ignored (RFC 7517 §4).
#[derive(Deserialize)]
pub(crate) struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

impl Jwk {
    /// A key in JSON.
    ///
    /// # Errors
    /// Why it does not verify tokens; nothing of the key is repeated.
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|_| "this is no JSON Web Key (RFC 7517)".to_owned())
    }

    /// The key behind it, which verifies `asked` alone where that is some. Without an `alg` it verifies all that a key of
    /// its type does.
    ///
    /// # Errors
    /// Why it does not verify tokens.
    pub(crate) fn key(self, asked: Option<Algorithm>) -> Result<VerificationKey, String> {
        self.check_usage()?;
        let own = self.alg.as_deref().map(algorithm).transpose()?;
        if asked.is_some() && own.is_some() && asked != own {
            return Err("the key's `alg` is another one than `algorithm`".to_owned());
        }
        let algorithm = own.or(asked);
        let key = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => VerificationKey::rsa(&number("n", &self.n)?, &number("e", &self.e)?, algorithm)?,
            ("EC", Some("P-256")) => VerificationKey::public(&PublicKey::P256(self.point(32)?), algorithm)?,
            ("EC", Some("P-384")) => VerificationKey::public(&PublicKey::P384(self.point(48)?), algorithm)?,
            ("OKP", Some("Ed25519")) => {
                let x = number("x", &self.x)?;
                if x.len() != 32 {
                    return Err("a key of Ed25519 has 32 bytes".to_owned());
                }
                VerificationKey::public(&PublicKey::Ed25519(x), algorithm)?
            }
            ("oct", _) => {
                let algorithm = algorithm.ok_or("a secret needs its `alg`")?;
                VerificationKey::secret(&number("k", &self.k)?, algorithm)?
            }
            ("EC" | "OKP", _) => return Err("a curve other than P-256, P-384 and Ed25519".to_owned()),
            _ => return Err("a key of an unknown type".to_owned()),
        };
        Ok(key.with_kid(self.kid))
    }

    fn check_usage(&self) -> Result<(), String> {
        if self.usage.as_ref().is_some_and(|usage| usage != "sig") {
            return Err("a key that is not meant for signatures (`use`)".to_owned());
        }
        let may_verify = |ops: &Vec<String>| ops.iter().any(|op| op == "verify");
        if self.key_ops.as_ref().is_some_and(|ops| !may_verify(ops)) {
            return Err("a key that is not meant to verify (`key_ops`)".to_owned());
        }
        Ok(())
    }

    /// The uncompressed point of a curve whose coordinates have so many bytes.
    fn point(&self, bytes: usize) -> Result<Vec<u8>, String> {
        let (x, y) = (number("x", &self.x)?, number("y", &self.y)?);
        if x.len() != bytes || y.len() != bytes {
            return Err("coordinates that do not fit their curve".to_owned());
        }
        Ok([&[4][..], &x, &y].concat())
    }
}

/// Public keys of a service that signs tokens.
#[derive(Default)]
pub(crate) struct KeySet {
    keys: Vec<VerificationKey>,
    /// Keys of the document that are not used, for the log.
    pub(crate) unused: Vec<String>,
}

impl KeySet {
    /// Reads a set. A key that does not verify tokens, or whose name another key has, is left out; secrets
    /// are none of a set's business.
    ///
    /// # Errors
    /// It is no set, it is too large, or it has no key for tokens.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Document<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }
        let document: Document<'_> =
            serde_json::from_slice(json).map_err(|_| "this is no JWK set (RFC 7517)".to_owned())?;
        if document.keys.len() > KEYS_MAX {
            return Err(format!("a set has at most {KEYS_MAX} keys, this one has {}", document.keys.len()));
        }
        let mut set = Self::default();
        for json in document.keys {
            match Jwk::parse(json.get()).and_then(public) {
                Ok(key) => set.keys.push(key),
                Err(why) => set.unused.push(why),
            }
        }
        set.drop_ambiguous();
        if set.keys.is_empty() {
            return Err("the set has no key for tokens".to_owned());
        }
        Ok(set)
    }

    /// A name that two keys have names none of them.
    fn drop_ambiguous(&mut self) {
        let named = |keys: &[VerificationKey], kid: &str| {
            keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).count()
        };
        let twice: Vec<String> = (self.keys.iter().filter_map(|key| key.kid.clone()))
            .filter(|kid| named(&self.keys, kid) > 1)
            .collect();
        self.keys.retain(|key| key.kid.as_ref().is_none_or(|kid| !twice.contains(kid)));
        self.unused.extend(twice.iter().map(|_| "a key whose name (`kid`) another key has".to_owned()));
    }

    #[cfg(test)]
    pub(super) fn into_keys(self) -> Vec<VerificationKey> {
        self.keys
    }

    /// The key of a token. One that names no key is good only where a single key can have signed it: a
    /// token must not make the gateway try a hundred keys.
    pub(crate) fn find(&self, algorithm: Algorithm, kid: Option<&str>) -> Option<&VerificationKey> {
        let fitting = || self.keys.iter().filter(|key| key.may_verify(algorithm, kid));
        // Names are unique in a set: beside the named key those without a name do not count.
        let named = kid.and_then(|kid| fitting().find(|key| key.kid.as_deref() == Some(kid)));
        named.or_else(|| {
            let mut fitting = fitting();
            let first = fitting.next()?;
            fitting.next().is_none().then_some(first)
        })
    }
}

fn public(jwk: Jwk) -> Result<VerificationKey, String> {
    if jwk.kty == "oct" {
        return Err("a secret, which no public set has".to_owned());
    }
    jwk.key(None)
}

/// The algorithm of this name.
///
/// # Errors
/// It is none that tokens are checked with here.
pub(crate) fn algorithm(name: &str) -> Result<Algorithm, String> {
    name.parse().map_err(|_| {
        "an algorithm other than HS256-HS512, RS256-RS512, PS256-PS512, ES256, ES384 and EdDSA".to_owned()
    })
}

fn number(name: &str, value: &Option<String>) -> Result<Vec<u8>, String> {
    let value = value.as_ref().ok_or_else(|| format!("a key without `{name}`"))?;
    BASE64_URL_SAFE_NO_PAD.decode(value).map_err(|_| format!("a key whose `{name}` is not base64url"))
}
