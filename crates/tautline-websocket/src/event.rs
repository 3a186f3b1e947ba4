//! What a peer said, borrowed from the bytes it came in.

use crate::{Opcode, WebSocketError, close::parse_close};

/// One message or control frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// To be answered with a pong of the same payload, at most 125 bytes.
    Ping(&'a [u8]),
    /// The answer to a ping, or an unasked sign of life.
    Pong(&'a [u8]),
    /// The last event: the peer will send no more, and waits for a close frame in return.
    Close {
        /// Absent where the peer gave none.
        code: Option<u16>,
        /// Empty where the peer gave none.
        reason: &'a str,
    },
}

impl<'a> Event<'a> {
    /// The event of a frame that stands alone, its payload unmasked.
    pub(crate) fn from_frame(opcode: Opcode, payload: &'a [u8]) -> Result<Self, WebSocketError> {
        Ok(match opcode {
            Opcode::Text => {
                Self::Text(simdutf8::basic::from_utf8(payload).map_err(|_| WebSocketError::InvalidUtf8)?)
            }
            Opcode::Binary => Self::Binary(payload),
            Opcode::Continuation => return Err(WebSocketError::NothingToContinue),
            Opcode::Ping => Self::Ping(payload),
            Opcode::Pong => Self::Pong(payload),
            Opcode::Close => {
                let (code, reason) = parse_close(payload)?;
                Self::Close { code, reason }
            }
        })
    }
}
