//! Opens a WebSocket: TCP, TLS where the URL says so, then the opening handshake (RFC 6455, section 4).

use std::io;

use tautline_protocol::{
    Format,
    client::{DropCause, SocketClosed},
};
use tautline_websocket::{ClientRequest, HandshakeError};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, lookup_host},
};
use tokio_rustls::rustls::{CertificateError, Error};

use crate::{
    address::Address,
    stream::Stream,
    tls::{self, Door},
};

/// Why a dial failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("host name not found: {0}")]
    Name(#[source] io::Error),
    #[error("no connection: {0}")]
    Tcp(#[source] io::Error),
    #[error("{}", describe_tls(.0))]
    Tls(#[source] io::Error),
    #[error("connection ended in the handshake")]
    Ended,
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

impl DialError {
    /// What the session is told.
    pub(crate) fn closed(&self, socket: u64) -> SocketClosed {
        let (cause, code) = match self {
            Self::Name(_) => (Some(DropCause::DnsFailed), None),
            Self::Tcp(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                (Some(DropCause::Refused), error.raw_os_error().map(i64::from))
            }
            // TLS may find fault later, too: a server that wants a certificate of ours says so behind its handshake.
            Self::Tcp(error) | Self::Tls(error) => {
                let cause = tls::fault(error).map(|_| DropCause::TlsFailed);
                (cause, error.raw_os_error().map(i64::from))
            }
            Self::Ended => (None, None),
            Self::Handshake(HandshakeError::Refused { status, .. }) => {
                (Some(DropCause::Refused), Some(i64::from(*status)))
            }
            Self::Handshake(_) => (Some(DropCause::ProtocolError), None),
        };
        SocketClosed { socket, code, reason: None, message: Some(self.to_string()), cause, held: false }
    }
}

/// For people who look for what to mend.
fn describe_tls(error: &io::Error) -> String {
    match tls::fault(error) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "TLS: nobody that is trusted vouches for the server's certificate (a private authority's root is added with Tls::with_roots)".to_owned()
        }
        Some(Error::InvalidMessage(_)) => "TLS: the server answered in something else (is it ws:// there?)".to_owned(),
        Some(fault) => format!("TLS: {fault}"),
        None => format!("connection ended in the TLS handshake: {error}"),
    }
}

/// A line that is open.
pub(crate) struct Opened {
    pub stream: Stream,
    /// Frames that came with the answer.
    pub unread: Vec<u8>,
}

/// The session sets the time limit: it has the dial dropped when it takes too long.
pub(crate) async fn dial(
    address: Address,
    door: Option<Door>,
    format: Format,
    nonce: [u8; 16],
) -> Result<Opened, DialError> {
    let addresses = lookup_host((address.host.as_str(), address.port))
        .await
        .map_err(DialError::Name)?
        .collect::<Vec<_>>();
    let tcp = TcpStream::connect(addresses.as_slice()).await.map_err(DialError::Tcp)?;
    // Messages are small and somebody waits for each.
    tcp.set_nodelay(true).map_err(DialError::Tcp)?;
    let mut stream = match door {
        Some(door) => Stream::Tls(Box::new(door.enter(tcp).await.map_err(DialError::Tls)?)),
        None => Stream::Plain(tcp),
    };

    let request = ClientRequest {
        host: &address.authority,
        path: &address.target,
        protocols: &[format.subprotocol()],
        headers: &[],
        nonce,
    };
    let mut head = Vec::new();
    let handshake = request.encode(&mut head)?;
    stream.write_all(&head).await.map_err(DialError::Tcp)?;
    stream.flush().await.map_err(DialError::Tcp)?;

    // `read` below refuses a head that does not end, so this is bounded.
    let mut received = Vec::new();
    loop {
        if stream.read_buf(&mut received).await.map_err(DialError::Tcp)? == 0 {
            return Err(DialError::Ended);
        }
        if let Some(accepted) = handshake.read(&received)? {
            received.drain(..accepted.head_bytes);
            return Ok(Opened { stream, unread: received });
        }
    }
}
