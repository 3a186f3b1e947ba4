//! Why a connection ended, for the log.

use std::{fmt, io};

use tautline_websocket::WebSocketError;

/// The cause of an ending. What it prints holds nothing that a peer sent but numbers.
#[derive(Debug)]
pub(crate) enum CloseReason {
    /// The peer said goodbye.
    ClosedByPeer(Option<u16>),
    /// We did.
    ClosedByServer {
        code: u16,
        reason: &'static str,
    },
    /// The peer broke RFC 6455 or a limit.
    Violation(WebSocketError),
    /// The peer sent text where binary was negotiated on, or the other way round.
    WrongMessageType,
    /// The peer hung up without a word.
    Eof,
    /// The peer took nothing for too long.
    Stalled,
    Io(io::Error),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClosedByPeer(Some(code)) => write!(f, "closed by the peer with {code}"),
            Self::ClosedByPeer(None) => f.write_str("closed by the peer"),
            Self::ClosedByServer { code, reason } => write!(f, "closed with {code} {reason}"),
            Self::Violation(error) => write!(f, "closed for a violation: {error}"),
            Self::WrongMessageType => f.write_str("closed for a message of the other format"),
            Self::Eof => f.write_str("the peer hung up without a word"),
            Self::Stalled => f.write_str("the peer took nothing for too long"),
            Self::Io(error) => write!(f, "the socket failed: {error}"),
        }
    }
}
