//! Opens a WebSocket: TCP, then the opening handshake (RFC 6455, section 4).

use std::io;

use tautline_protocol::{
    SUBPROTOCOL_JSON,
    client::{DropCause, SocketClosed},
};
use tautline_websocket::{ClientRequest, HandshakeError};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, lookup_host},
};

use crate::address::Address;

/// Why a dial failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("host name not found: {0}")]
    Name(#[source] io::Error),
    #[error("no connection: {0}")]
    Tcp(#[source] io::Error),
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
            Self::Tcp(error) => (None, error.raw_os_error().map(i64::from)),
            Self::Ended => (None, None),
            Self::Handshake(HandshakeError::Refused { status, .. }) => {
                (Some(DropCause::Refused), Some(i64::from(*status)))
            }
            Self::Handshake(_) => (Some(DropCause::ProtocolError), None),
        };
        SocketClosed { socket, code, reason: None, message: Some(self.to_string()), cause }
    }
}

/// A line that is open.
pub(crate) struct Opened {
    pub stream: TcpStream,
    /// Frames that came with the answer.
    pub unread: Vec<u8>,
}

/// The session sets the time limit: it has the dial dropped when it takes too long.
pub(crate) async fn dial(address: Address, nonce: [u8; 16]) -> Result<Opened, DialError> {
    let addresses = lookup_host((address.host.as_str(), address.port))
        .await
        .map_err(DialError::Name)?
        .collect::<Vec<_>>();
    let mut stream = TcpStream::connect(addresses.as_slice()).await.map_err(DialError::Tcp)?;
    // Messages are small and somebody waits for each.
    stream.set_nodelay(true).map_err(DialError::Tcp)?;

    let request = ClientRequest {
        host: &address.authority,
        path: &address.target,
        protocols: &[SUBPROTOCOL_JSON],
        headers: &[],
        nonce,
    };
    let mut head = Vec::new();
    let handshake = request.encode(&mut head)?;
    stream.write_all(&head).await.map_err(DialError::Tcp)?;

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
