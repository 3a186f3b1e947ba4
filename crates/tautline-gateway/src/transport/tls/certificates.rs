//! Certificates with their keys, and which of them a client is shown.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    SignatureScheme,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
};

/// A certificate, those that vouch for it, and its private key. Made by [`TlsCertificate::from_pem`].
#[derive(Clone)]
pub struct TlsCertificate {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
    begins: SystemTime,
    expires: SystemTime,
}

/// Why certificates were not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// No certificate at all.
    #[error("TLS needs a certificate")]
    None,
    /// The chain cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// The private key cannot be read.
    #[error("the private key cannot be read: {0}")]
    Key(String),
    /// Key and certificate do not belong together.
    #[error("the private key is not that of the certificate")]
    Mismatch,
    /// The system has no random bytes, which keys of session tickets need.
    #[error("the system gives no random bytes")]
    NoRandomness,
}

impl TlsCertificate {
    /// Reads a chain, the server's own certificate first, and the key of that certificate (PKCS #8, PKCS #1
    /// or SEC1), both as PEM.
    ///
    /// # Errors
    /// [`TlsError`] where either cannot be read, or where they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| TlsError::Certificate(error.to_string()))?;
        let Some(own) = chain.first() else {
            return Err(TlsError::Certificate("no block begins with -----BEGIN CERTIFICATE-----".to_owned()));
        };
        let (names, [begins, expires]) = read_certificate(own).map_err(TlsError::Certificate)?;
        for (index, issuer) in chain.iter().enumerate().skip(1) {
            read_certificate(issuer).map_err(|error| {
                TlsError::Certificate(format!("number {} of the chain: {error}", index + 1))
            })?;
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Key(error.to_string()))?;
        let key =
            CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => TlsError::Mismatch,
                error => TlsError::Key(error.to_string()),
            })?;
        Ok(Self { key: Arc::new(key), names, begins, expires })
    }

    /// The DNS names that it is for, in lower case; `*.` stands for any one label.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// From when on clients trust it.
    #[must_use]
    pub fn begins(&self) -> SystemTime {
        self.begins
    }

    /// From when on no client trusts it.
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        self.expires
    }
}

impl fmt::Debug for TlsCertificate {
    // The key stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsCertificate")
            .field("names", &self.names)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

fn read_certificate(der: &[u8]) -> Result<(Vec<String>, [SystemTime; 2]), String> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
    if !rest.is_empty() {
        return Err(format!("{} bytes behind its end", rest.len()));
    }
    let names = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
    let names = names.into_iter().flat_map(|names| &names.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    let validity = certificate.validity();
    let ends = [validity.not_before, validity.not_after]
        .map(|end| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(end.timestamp()).unwrap_or(0)));
    Ok((names.collect(), ends))
}

/// The certificates of a listener, which may be replaced at any time.
#[derive(Debug)]
pub(super) struct Certificates(RwLock<Arc<Table>>);

/// The certificates by name.
#[derive(Debug)]
struct Table {
    /// In the order of configuration: where no name matches, the first that the client can use.
    all: Vec<TlsCertificate>,
    /// Where each name, such as `shop.example` or `*.shop.example`, is in `all`.
    by_name: HashMap<String, Vec<usize>>,
}

impl Certificates {
    pub(super) fn new(all: Vec<TlsCertificate>) -> Result<Self, TlsError> {
        Ok(Self(RwLock::new(Table::new(all)?)))
    }

    pub(super) fn replace(&self, all: Vec<TlsCertificate>) -> Result<(), TlsError> {
        let table = Table::new(all)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = table;
        Ok(())
    }

    pub(super) fn all(&self) -> Vec<TlsCertificate> {
        self.table().all.clone()
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.table().choose(hello.server_name(), hello.signature_schemes())
    }
}

impl Table {
    fn new(all: Vec<TlsCertificate>) -> Result<Arc<Self>, TlsError> {
        if all.is_empty() {
            return Err(TlsError::None);
        }
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, certificate) in all.iter().enumerate() {
            for name in &certificate.names {
                by_name.entry(name.clone()).or_default().push(index);
            }
        }
        Ok(Arc::new(Self { all, by_name }))
    }

    /// By the exact name, then by a wildcard, then the default; of several, the first whose key the client can
    /// check.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let name = name.unwrap_or_default().to_ascii_lowercase();
        let exact = self.by_name.get(&name);
        let wildcard = || self.by_name.get(&format!("*.{}", name.split_once('.')?.1));
        let candidates = exact.or_else(wildcard).map(Vec::as_slice).unwrap_or_default();
        let named = candidates.iter().map(|index| &self.all[*index]);
        named
            .chain(&self.all)
            .find(|certificate| certificate.key.key.choose_scheme(schemes).is_some())
            .map(|certificate| Arc::clone(&certificate.key))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm};

    use super::*;

    const BOTH: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519];

    fn certificate_by(algorithm: &'static SignatureAlgorithm, names: &[&str]) -> TlsCertificate {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        TlsCertificate::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }

    fn certificate(names: &[&str]) -> TlsCertificate {
        certificate_by(&PKCS_ECDSA_P256_SHA256, names)
    }

    fn chosen(table: &Table, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<usize> {
        let key = table.choose(name, schemes)?;
        table.all.iter().position(|certificate| Arc::ptr_eq(&certificate.key, &key))
    }

    #[test]
    fn exact_name_comes_before_wildcard_before_default() {
        let table = Table::new(vec![
            certificate(&["first.example"]),
            certificate(&["*.shop.example"]),
            certificate(&["live.shop.example"]),
        ])
        .unwrap();
        for (name, index) in [
            (Some("live.shop.example"), 2),
            (Some("LIVE.Shop.example"), 2),
            (Some("other.shop.example"), 1),
            (Some("shop.example"), 0),
            (Some("a.b.shop.example"), 0),
            (Some("first.example"), 0),
            (Some("nobody.example"), 0),
            (Some(""), 0),
            (None, 0),
        ] {
            assert_eq!(chosen(&table, name, BOTH), Some(index), "{name:?}");
        }
    }

    #[test]
    fn second_certificate_of_a_name_serves_other_clients() {
        let table = Table::new(vec![
            certificate_by(&PKCS_ED25519, &["shop.example"]),
            certificate(&["shop.example"]),
        ])
        .unwrap();
        assert_eq!(chosen(&table, Some("shop.example"), BOTH), Some(0));
        assert_eq!(chosen(&table, Some("shop.example"), &BOTH[..1]), Some(1));
        assert_eq!(chosen(&table, Some("shop.example"), &[]), None);
    }

    #[test]
    fn unreadable_or_foreign_key_is_refused_in_words() {
        let pair = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let certificate =
                CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap().pem();
            (certificate, key.serialize_pem())
        };
        let (certificate, key) = pair("shop.example");
        let read = |chain: &str, key: &str| TlsCertificate::from_pem(chain.as_bytes(), key.as_bytes());
        assert_eq!(read(&certificate, &pair("shop.example").1).unwrap_err(), TlsError::Mismatch);
        assert!(matches!(read(&key, &key).unwrap_err(), TlsError::Certificate(_)));
        assert!(matches!(read(&certificate, &certificate).unwrap_err(), TlsError::Key(_)));
        assert!(matches!(read(&certificate.replace("-----END", ""), &key), Err(TlsError::Certificate(_))));
        assert_eq!(Table::new(Vec::new()).unwrap_err(), TlsError::None);
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let error = read(&format!("{certificate}{junk}"), &key).unwrap_err().to_string();
        assert!(error.starts_with("the certificate cannot be read: number 2 of the chain"), "{error}");
        assert!(read(&format!("{certificate}{certificate}"), &key).is_ok());
        let good = read(&certificate, &key).unwrap();
        assert_eq!(good.names(), ["shop.example"]);
        assert!(good.begins() < SystemTime::now() && good.expires() > SystemTime::now());
        let hidden = format!("{good:?}");
        assert!(hidden.contains("shop.example") && !hidden.contains("PRIVATE"), "{hidden}");
    }
}
