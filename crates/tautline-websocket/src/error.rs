//! What a peer can do wrong once the line is open, and the close code that answers it.

/// A peer broke RFC 6455 or our limit. The connection is to be failed with [`WebSocketError::close_code`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebSocketError {
    /// A reserved bit is set where no extension that was negotiated allows it (section 5.2). The value is the first byte of the frame.
    #[error("reserved bits set where no extension allows them, in first byte {0:#04x}")]
    ReservedBits(u8),
    /// An opcode that the RFC keeps for later (section 5.2).
    #[error("reserved opcode {0:#x}")]
    ReservedOpcode(u8),
    /// A client sent a frame without a mask (section 5.1).
    #[error("unmasked frame from a client")]
    UnmaskedFrame,
    /// A server sent a frame with a mask (section 5.1).
    #[error("masked frame from a server")]
    MaskedFrame,
    /// A control frame came in pieces (section 5.5).
    #[error("fragmented control frame")]
    ControlFragmented,
    /// A control frame claims more than 125 bytes (section 5.5).
    #[error("control frame over 125 bytes")]
    ControlTooLong,
    /// A length was spelled with more bytes than it takes (section 5.2).
    #[error("payload length {0} not in its shortest form")]
    LengthNotMinimal(u64),
    /// A length has its highest bit set (section 5.2).
    #[error("payload length over 2^63 - 1")]
    LengthTopBit,
    /// A continuation came where no message was begun (section 5.4).
    #[error("continuation frame without a message to continue")]
    NothingToContinue,
    /// A new message began inside an unfinished one (section 5.4).
    #[error("new message inside an unfinished one")]
    MessageInterrupted,
    /// A close frame carries one byte, which is no close code (section 5.5.1).
    #[error("close frame of one byte")]
    CloseTooShort,
    /// A close frame carries a code that must not be sent (section 7.4).
    #[error("close code {0} not allowed on the wire")]
    CloseCodeNotAllowed(u16),
    /// A text message or a close reason is not UTF-8 (section 8.1).
    #[error("text not valid UTF-8")]
    InvalidUtf8,
    /// A compressed message is no deflate stream (RFC 7692 section 6.2).
    #[error("compressed message cannot be inflated")]
    InvalidDeflate,
    /// A message is longer than we take. Found in the header, before any of the payload is kept, or while it was inflated.
    #[error("message of {bytes} bytes or more, at most {bytes_max} allowed")]
    MessageTooBig {
        /// What has come of the message, and what its newest frame claims.
        bytes: u64,
        /// The limit that was in force.
        bytes_max: usize,
    },
}

impl WebSocketError {
    /// The code to close with: 1002 (protocol error), 1007 (invalid UTF-8, or nothing that can be inflated) or 1009 (too big), RFC 6455 section 7.4.1.
    pub fn close_code(&self) -> u16 {
        match self {
            Self::InvalidUtf8 | Self::InvalidDeflate => 1007,
            Self::MessageTooBig { .. } => 1009,
            _ => 1002,
        }
    }
}
