//! The bytes of a connection of the load: TCP, plain or inside of TLS.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use anyhow::Context as _;
use mio::net::TcpStream;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};

/// The name in the certificate of a server of its own.
const NAME: &str = "bench.example";

/// A socket; what it reads and writes may be encrypted.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    pub(super) fn new(stream: TcpStream, tls: Option<&Arc<ClientConfig>>) -> anyhow::Result<Self> {
        let Some(config) = tls else { return Ok(Self::Plain(stream)) };
        let name = ServerName::try_from(NAME).expect("it is a name");
        let connection = ClientConnection::new(Arc::clone(config), name).context("cannot start TLS")?;
        Ok(Self::Tls(Box::new(StreamOwned::new(connection, stream))))
    }

    pub(super) fn tcp(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &mut tls.sock,
        }
    }

    /// Whether a read that fills less than its buffer has emptied the socket: TLS gives record by record.
    pub(super) fn reads_all(&self) -> bool {
        matches!(self, Self::Plain(_))
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(into),
            Self::Tls(tls) => tls.read(into),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// A certificate for a server of its own, with its key, as PEM.
pub(super) fn certificate() -> anyhow::Result<String> {
    let key = KeyPair::generate().context("cannot make a key")?;
    let certificate = CertificateParams::new([NAME.to_owned()]).and_then(|params| params.self_signed(&key));
    Ok(certificate.context("cannot make a certificate")?.pem() + &key.serialize_pem())
}

/// Trusts this certificate alone.
pub(super) fn trust(pem: &str) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).context("no certificate")?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("ring has all versions")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
