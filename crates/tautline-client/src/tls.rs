//! TLS for `wss://`: who is trusted, and how a connection becomes one of TLS.
//!
//! Start at [`Tls`], which an app gives along, and [`Door::enter`], which a dial goes through.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, Error, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
        version::{TLS12, TLS13},
    },
};

use crate::{
    address::InvalidUrl,
    error::{ConnectError, Source},
};

/// What servers may speak, by its name in a TLS handshake. One that offers HTTP/2 as well must know what we come for.
const PROTOCOL: &[u8] = b"http/1.1";

/// How PEM begins; DER never does.
const PEM_BEGIN: &[u8] = b"-----BEGIN";

/// Whom a `wss://` URL may lead to. By default to every server that the system trusts.
///
/// Clones share the roots that were loaded and the sessions that servers offered to resume: give the clients of one process
/// clones of one.
#[derive(Clone)]
pub struct Tls {
    own_roots: Vec<CertificateDer<'static>>,
    trusts_system: bool,
    /// Made when it is first needed: reading the system's roots takes some milliseconds.
    config: Arc<Mutex<Option<Arc<ClientConfig>>>>,
}

impl Default for Tls {
    fn default() -> Self {
        Self { own_roots: Vec::new(), trusts_system: true, config: Arc::default() }
    }
}

impl Tls {
    /// Trusts the roots in `certificates` too, as PEM (all that are in it) or DER (one): a private authority's, or a test's.
    ///
    /// # Errors
    /// When there is no certificate in it, or none that can be a root.
    pub fn with_roots(mut self, certificates: impl AsRef<[u8]>) -> Result<Self, InvalidRoot> {
        let bytes = certificates.as_ref();
        let roots = if bytes.windows(PEM_BEGIN.len()).any(|window| window == PEM_BEGIN) {
            CertificateDer::pem_slice_iter(bytes)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| InvalidRoot::Pem(error.into()))?
        } else {
            vec![CertificateDer::from(bytes.to_vec())]
        };
        if roots.is_empty() {
            return Err(InvalidRoot::Nothing);
        }
        for root in &roots {
            // Here, where the app can still say which file it was.
            RootCertStore::empty()
                .add(root.clone())
                .map_err(|error| InvalidRoot::Certificate(error.into()))?;
        }
        self.own_roots.extend(roots);
        self.config = Arc::default();
        Ok(self)
    }

    /// Trusts only what was given to [`Tls::with_roots`], and nothing that the system trusts.
    #[must_use]
    pub fn without_system_roots(mut self) -> Self {
        self.trusts_system = false;
        self.config = Arc::default();
        self
    }

    /// The way in to `host`.
    pub(crate) fn door(&self, host: &str) -> Result<Door, ConnectError> {
        let host = ServerName::try_from(host.to_owned()).map_err(|_| InvalidUrl::Host(host.to_owned()))?;
        // A panic halfway leaves it empty, which is as good as new.
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let config = match &*config {
            Some(config) => Arc::clone(config),
            None => Arc::clone(config.insert(Arc::new(self.load()?))),
        };
        Ok(Door { connector: TlsConnector::from(config), host })
    }

    fn load(&self) -> Result<ClientConfig, ConnectError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.own_roots.iter().cloned());
        if self.trusts_system {
            let found = rustls_native_certs::load_native_certs();
            // Old stores hold roots that nobody can read any more; the others are good.
            roots.add_parsable_certificates(found.certs);
            if let (true, Some(error)) = (roots.is_empty(), found.errors.into_iter().next()) {
                return Err(ConnectError::NoRoots(Some(error.into())));
            }
        }
        if roots.is_empty() {
            return Err(ConnectError::NoRoots(None));
        }
        // Named here, so that whatever else is in the process may have a provider of its own.
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("ring knows TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(config)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("own_roots", &self.own_roots.len())
            .field("trusts_system", &self.trusts_system)
            .finish_non_exhaustive()
    }
}

/// Why a root was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRoot {
    /// Not a single `CERTIFICATE`: perhaps a file with a key.
    #[error(
        "there is no certificate in the PEM: a block that begins with -----BEGIN CERTIFICATE----- is wanted"
    )]
    Nothing,
    /// The PEM is cut short or damaged.
    #[error("PEM cannot be read")]
    Pem(#[source] Source),
    /// Neither PEM nor DER, or a certificate that is damaged.
    #[error("not a certificate, in PEM or DER, that can be a root")]
    Certificate(#[source] Source),
}

/// What leads to one server.
#[derive(Clone)]
pub(crate) struct Door {
    connector: TlsConnector,
    host: ServerName<'static>,
}

impl Door {
    /// The TLS handshake. The peer has then proved who it is.
    pub(crate) async fn enter(self, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.host, tcp).await
    }
}

/// What TLS itself finds fault with, in contrast to the connection below.
pub(crate) fn fault(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> rcgen::Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new(["line.example".to_owned()]).unwrap().self_signed(&key).unwrap()
    }

    #[test]
    fn roots_come_as_pem_with_all_that_is_in_it_or_as_der() {
        let two = format!("# ours\n{}\n{}", root().pem(), root().pem());
        let tls = Tls::default().with_roots(two).unwrap().with_roots(root().der()).unwrap();
        assert_eq!(tls.own_roots.len(), 3);
        assert_eq!(format!("{tls:?}"), "Tls { own_roots: 3, trusts_system: true, .. }");
    }

    #[test]
    fn what_is_no_root_is_refused_where_the_file_is_still_known() {
        let refuse = |bytes: &str| Tls::default().with_roots(bytes).unwrap_err();
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert!(matches!(refuse(&key), InvalidRoot::Nothing));
        let damaged = refuse("a text");
        assert!(matches!(damaged, InvalidRoot::Certificate(_)));
        assert!(std::error::Error::source(&damaged).is_some(), "{damaged}");
        assert!(matches!(refuse(&root().pem().replace("-----END", "")), InvalidRoot::Pem(_)));
    }

    #[test]
    fn where_nobody_is_trusted_the_client_is_not_made() {
        let nobody = Tls::default().without_system_roots();
        assert!(matches!(nobody.door("line.example"), Err(ConnectError::NoRoots(_))));
        assert!(matches!(nobody.door("a..b"), Err(ConnectError::Url(InvalidUrl::Host(_)))));
    }

    #[test]
    fn clones_share_what_was_loaded() {
        let tls = Tls::default().without_system_roots().with_roots(root().der()).unwrap();
        let (one, other) = (tls.clone().door("a.example").unwrap(), tls.door("127.0.0.1").unwrap());
        assert!(Arc::ptr_eq(one.connector.config(), other.connector.config()));
    }
}
