//! TLS as a listener is given it.

use std::{fmt, sync::Arc, time::SystemTime};

use rustls::{
    ServerConfig,
    crypto::ring,
    server::NoServerSessionStorage,
    version::{TLS12, TLS13},
};

use super::certificates::{Certificates, TlsCertificate, TlsError};

/// The protocol behind TLS (RFC 7301): WebSockets are opened by HTTP/1.1.
const ALPN: &[u8] = b"http/1.1";

/// TLS 1.2 and 1.3 with certificates that are chosen by the name which the client asks for. Clones share the
/// certificates.
///
/// ```no_run
/// # use tautline_gateway::{Gateway, Tls, TlsCertificate};
/// # async fn run(gateway: Gateway) -> Result<(), Box<dyn std::error::Error>> {
/// let certificate = TlsCertificate::from_pem(&std::fs::read("chain.pem")?, &std::fs::read("key.pem")?)?;
/// let tls = Tls::new(vec![certificate])?;
/// let listener = tokio::net::TcpListener::bind("[::]:443").await?;
/// gateway.serve_tls(listener, tls.clone()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
}

impl Tls {
    /// The first certificate serves clients that ask for none of the names.
    ///
    /// # Errors
    /// [`TlsError::None`] without certificates.
    pub fn new(certificates: Vec<TlsCertificate>) -> Result<Self, TlsError> {
        let certificates = Arc::new(Certificates::new(certificates)?);
        // The provider is named: whatever else is in the process may have another one.
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("ring has TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificates) as _);
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Sessions are kept by the clients: a server that keeps them spends memory on each.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = ring::Ticketer::new().map_err(|_| TlsError::NoRandomness)?;
        // A phone has one connection, and gets a new ticket with each.
        config.send_tls13_tickets = 1;
        Ok(Self { config: Arc::new(config), certificates })
    }

    /// Replaces all certificates: the next handshakes use the new ones, and open connections stay open.
    ///
    /// # Errors
    /// [`TlsError::None`] without certificates; the old ones stay.
    pub fn replace(&self, certificates: Vec<TlsCertificate>) -> Result<(), TlsError> {
        self.certificates.replace(certificates)
    }

    /// The certificates in use.
    #[must_use]
    pub fn certificates(&self) -> Vec<TlsCertificate> {
        self.certificates.all()
    }

    /// When the first of them expires.
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        let all = self.certificates();
        all.iter().map(TlsCertificate::expires).min().expect("there is at least one certificate")
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.certificates()).finish()
    }
}
