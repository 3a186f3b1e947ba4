//! The reason why a connection ended, for the log.

use std::{fmt, io};

use tautline_websocket::WebSocketError;

/// Prints nothing that a peer sent but numbers.
#[derive(Debug)]
pub(crate) enum CloseReason {
    /// The peer sent a close frame.
    ClosedByPeer(Option<u16>),
    /// The server sent a close frame.
    ClosedByServer {
        code: u16,
        reason: &'static str,
    },
    /// The peer broke RFC 6455 or a limit.
    Violation(WebSocketError),
    /// The peer sent text where binary was negotiated, or the other way round.
    WrongMessageType,
    /// The peer hung up without a close frame.
    Eof,
    /// The peer read nothing for too long.
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
            Self::Eof => f.write_str("the peer hung up without a close frame"),
            Self::Stalled => f.write_str("the peer read nothing for too long"),
            Self::Io(error) => write!(f, "the socket failed: {error}"),
        }
    }
}
