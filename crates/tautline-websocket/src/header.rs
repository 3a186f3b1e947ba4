//! The head of a frame, RFC 6455 section 5.2: [`FrameHeader`] writes it, [`Rules::parse`] reads it.

use crate::{MaskKey, Role, WebSocketError, deflate::compressed_bytes_max};

/// The longest payload of a control frame, in bytes (section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;
/// Two bytes, a length of up to eight and a key of four.
pub(crate) const HEADER_BYTES_MAX: usize = 14;

const FINAL_BIT: u8 = 0x80;
const RESERVED_BITS: u8 = 0x70;
/// The first of the reserved bits: the message is compressed (RFC 7692 section 6).
const COMPRESSED_BIT: u8 = 0x40;
const OPCODE_BITS: u8 = 0x0f;
const MASK_BIT: u8 = 0x80;
const LENGTH_BITS: u8 = 0x7f;
const LENGTH_IN_TWO_BYTES: u8 = 126;
const LENGTH_IN_EIGHT_BYTES: u8 = 127;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// Goes on with the message that an earlier frame began.
    Continuation = 0x0,
    /// Begins, or is, a text message.
    Text = 0x1,
    /// Begins, or is, a binary message.
    Binary = 0x2,
    /// Ends the connection.
    Close = 0x8,
    /// Asks for a pong.
    Ping = 0x9,
    /// Answers a ping.
    Pong = 0xA,
}

impl Opcode {
    /// Whether frames of this kind are short, whole, and allowed between the pieces of a message.
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    fn parse(bits: u8) -> Result<Self, WebSocketError> {
        Ok(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            reserved => return Err(WebSocketError::ReservedOpcode(reserved)),
        })
    }
}

/// The head of an unfragmented frame, ready to be written in front of its payload.
///
/// A server that sends one payload to many peers writes the same header and the same payload bytes to all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    bytes: [u8; HEADER_BYTES_MAX],
    len: u8,
}

impl FrameHeader {
    /// A header for `payload_bytes` bytes. With a key it is a client's, and the payload has to be masked with that key.
    ///
    /// # Panics
    /// When a control frame would carry more than [`CONTROL_BYTES_MAX`].
    pub fn new(opcode: Opcode, payload_bytes: usize, key: Option<MaskKey>) -> Self {
        assert!(
            !opcode.is_control() || payload_bytes <= CONTROL_BYTES_MAX,
            "a control frame carries at most {CONTROL_BYTES_MAX} bytes"
        );
        Self::with_first(FINAL_BIT | opcode as u8, payload_bytes, key)
    }

    /// A header for a message that [`crate::Deflate::compress`] has made this short.
    ///
    /// # Panics
    /// When it is not for a message: control frames are never compressed.
    pub fn compressed(opcode: Opcode, payload_bytes: usize, key: Option<MaskKey>) -> Self {
        assert!(matches!(opcode, Opcode::Text | Opcode::Binary), "only messages are compressed");
        Self::with_first(FINAL_BIT | COMPRESSED_BIT | opcode as u8, payload_bytes, key)
    }

    fn with_first(first: u8, payload_bytes: usize, key: Option<MaskKey>) -> Self {
        let mut header = Self { bytes: [0; HEADER_BYTES_MAX], len: 0 };
        let mask_bit = if key.is_some() { MASK_BIT } else { 0 };
        header.push(&[first]);
        match (u8::try_from(payload_bytes), u16::try_from(payload_bytes)) {
            (Ok(length), _) if length < LENGTH_IN_TWO_BYTES => header.push(&[mask_bit | length]),
            (_, Ok(length)) => {
                header.push(&[mask_bit | LENGTH_IN_TWO_BYTES]);
                header.push(&length.to_be_bytes());
            }
            _ => {
                header.push(&[mask_bit | LENGTH_IN_EIGHT_BYTES]);
                header.push(&(payload_bytes as u64).to_be_bytes());
            }
        }
        if let Some(key) = key {
            header.push(&key);
        }
        header
    }

    /// The 2 to 14 bytes that go on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bytes[usize::from(self.len)] = *byte;
            self.len += 1;
        }
    }
}

/// A frame whose header has been read, and how much of its payload is still to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub opcode: Opcode,
    pub is_final: bool,
    /// Begins a compressed message.
    pub is_compressed: bool,
    pub bytes_to_come: usize,
    /// Turned so that its first byte meets the next byte of the payload.
    pub key: Option<MaskKey>,
}

/// What a header is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub role: Role,
    pub message_bytes_max: usize,
    /// Whether messages may be compressed.
    pub deflates: bool,
    /// What has come of an unfinished message, where there is one, and whether it is compressed.
    pub message: Option<(usize, bool)>,
}

impl Rules {
    /// Reads a header off the front of `bytes`: the frame and the header's length, or `None` while it is incomplete.
    ///
    /// Each field is judged as soon as it is there and in the order of the wire, so that the same stream meets the same
    /// error however it is split.
    pub fn parse(&self, bytes: &[u8]) -> Result<Option<(Frame, usize)>, WebSocketError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let (opcode, is_final, is_compressed) = self.judge_first(first)?;
        let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
        let is_masked = self.judge_second(opcode, second)?;
        let Some((length, rest)) = parse_length(second & LENGTH_BITS, rest)? else { return Ok(None) };
        let bytes_to_come = if opcode.is_control() {
            // A control frame is outside of every message, and `judge_second` has seen that it is short.
            usize::from(second & LENGTH_BITS)
        } else {
            self.judge_message_length(length, is_compressed)?
        };
        let (key, rest) = match rest.split_first_chunk() {
            Some((key, rest)) if is_masked => (Some(*key), rest),
            None if is_masked => return Ok(None),
            _ => (None, rest),
        };
        let frame = Frame { opcode, is_final, is_compressed, bytes_to_come, key };
        Ok(Some((frame, bytes.len() - rest.len())))
    }

    fn judge_first(&self, first: u8) -> Result<(Opcode, bool, bool), WebSocketError> {
        let is_compressed = match first & RESERVED_BITS {
            0 => false,
            COMPRESSED_BIT if self.deflates => true,
            _ => return Err(WebSocketError::ReservedBits(first)),
        };
        let is_final = first & FINAL_BIT != 0;
        let opcode = Opcode::parse(first & OPCODE_BITS)?;
        match (opcode, self.message) {
            // Said once, with the first frame of a message (RFC 7692 section 6.1).
            (Opcode::Continuation, _) if is_compressed => Err(WebSocketError::ReservedBits(first)),
            _ if is_compressed && opcode.is_control() => Err(WebSocketError::ReservedBits(first)),
            (Opcode::Continuation, None) => Err(WebSocketError::NothingToContinue),
            (Opcode::Text | Opcode::Binary, Some(_)) => Err(WebSocketError::MessageInterrupted),
            _ if opcode.is_control() && !is_final => Err(WebSocketError::ControlFragmented),
            _ => Ok((opcode, is_final, is_compressed)),
        }
    }

    fn judge_second(&self, opcode: Opcode, second: u8) -> Result<bool, WebSocketError> {
        let is_masked = second & MASK_BIT != 0;
        match (self.role, is_masked) {
            (Role::Server, false) => return Err(WebSocketError::UnmaskedFrame),
            (Role::Client, true) => return Err(WebSocketError::MaskedFrame),
            (Role::Server, true) | (Role::Client, false) => {}
        }
        if opcode.is_control() && second & LENGTH_BITS >= LENGTH_IN_TWO_BYTES {
            return Err(WebSocketError::ControlTooLong);
        }
        Ok(is_masked)
    }

    fn judge_message_length(&self, length: u64, is_compressed: bool) -> Result<usize, WebSocketError> {
        let (so_far, is_compressed) = self.message.unwrap_or((0, is_compressed));
        let bytes_max =
            if is_compressed { compressed_bytes_max(self.message_bytes_max) } else { self.message_bytes_max };
        let too_big = WebSocketError::MessageTooBig { bytes: length + so_far as u64, bytes_max };
        let room = bytes_max.saturating_sub(so_far);
        usize::try_from(length).ok().filter(|length| *length <= room).ok_or(too_big)
    }
}

/// The length that the seven bits say, or that follows them, and what comes after it.
fn parse_length(bits: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, WebSocketError> {
    let (length, rest, shorter_form_max) = match bits {
        LENGTH_IN_TWO_BYTES => {
            let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*bytes)), rest, u64::from(LENGTH_IN_TWO_BYTES) - 1)
        }
        LENGTH_IN_EIGHT_BYTES => {
            let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*bytes), rest, u64::from(u16::MAX))
        }
        length => return Ok(Some((u64::from(length), rest))),
    };
    if length > u64::MAX / 2 {
        return Err(WebSocketError::LengthTopBit);
    }
    if length <= shorter_form_max {
        return Err(WebSocketError::LengthNotMinimal(length));
    }
    Ok(Some((length, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Rules =
        Rules { role: Role::Client, message_bytes_max: usize::MAX, deflates: false, message: None };

    #[test]
    fn a_header_says_the_length_in_its_shortest_form() {
        let header = |bytes| FrameHeader::new(Opcode::Binary, bytes, None).as_bytes().to_vec();
        assert_eq!(header(0), [0x82, 0]);
        assert_eq!(header(125), [0x82, 125]);
        assert_eq!(header(126), [0x82, 126, 0, 126]);
        assert_eq!(header(65_535), [0x82, 126, 0xff, 0xff]);
        assert_eq!(header(65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn what_is_written_is_read_back_with_its_length_and_key() {
        for bytes in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 40] {
            for key in [None, Some([1, 2, 3, 4])] {
                let role = if key.is_some() { Role::Server } else { Role::Client };
                let header = FrameHeader::new(Opcode::Text, bytes, key);
                let (frame, used) = Rules { role, ..OPEN }.parse(header.as_bytes()).unwrap().unwrap();
                assert_eq!(
                    (frame.opcode, frame.is_final, frame.bytes_to_come, frame.key, used),
                    (Opcode::Text, true, bytes, key, header.as_bytes().len())
                );
            }
        }
    }

    #[test]
    fn a_header_is_incomplete_until_its_last_byte() {
        let header = FrameHeader::new(Opcode::Text, 70_000, Some([1, 2, 3, 4]));
        let rules = Rules { role: Role::Server, ..OPEN };
        for cut in 0..HEADER_BYTES_MAX {
            assert!(rules.parse(&header.as_bytes()[..cut]).unwrap().is_none(), "cut at {cut}");
        }
    }

    #[test]
    #[should_panic(expected = "a control frame carries at most 125 bytes")]
    fn a_control_frame_over_the_limit_is_our_own_fault() {
        FrameHeader::new(Opcode::Ping, 126, None);
    }
}
