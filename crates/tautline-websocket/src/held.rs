//! What a decoder has to keep between two reads: an incomplete header, an incomplete frame, a message in pieces.

use crate::{
    Event, Opcode, WebSocketError,
    deflate::inflate,
    header::{Frame, HEADER_BYTES_MAX},
};

/// Kept in one box that exists only while there is something to keep, so that an idle decoder costs a null pointer.
#[derive(Debug, Default)]
pub(crate) struct Held {
    header: [u8; HEADER_BYTES_MAX],
    header_len: u8,
    /// The frame whose payload is incomplete.
    pub frame: Option<Frame>,
    /// The payload of an incomplete control frame, or of one that is lent out.
    pub control: Vec<u8>,
    /// The message that is incomplete, or that is lent out.
    pub message: Option<Message>,
    /// What the newest event borrows.
    pub lent: Lent,
}

/// Which buffer the newest event borrows; it is free again at the next call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lent {
    #[default]
    Nothing,
    Control,
    Message,
}

impl Held {
    /// The bytes of an incomplete header.
    pub fn header(&self) -> &[u8] {
        &self.header[..usize::from(self.header_len)]
    }

    /// Appends as much of `bytes` as a header can still need.
    pub fn extend_header(&mut self, bytes: &[u8]) {
        let free = self.header[usize::from(self.header_len)..].iter_mut();
        for (slot, byte) in free.zip(bytes) {
            *slot = *byte;
            self.header_len += 1;
        }
    }

    /// Forgets the header: it has been read.
    pub fn clear_header(&mut self) {
        self.header_len = 0;
    }

    /// Takes back what the last event borrowed; true where nothing is left to keep.
    pub fn take_back(&mut self) -> bool {
        match std::mem::take(&mut self.lent) {
            Lent::Nothing => {}
            Lent::Control => self.control = Vec::new(),
            Lent::Message => self.message = None,
        }
        self.header_len == 0 && self.frame.is_none() && self.control.is_empty() && self.message.is_none()
    }

    /// The message that `frame` begins or continues.
    pub fn message_for(&mut self, frame: &Frame) -> &mut Message {
        self.message.get_or_insert_with(|| Message {
            bytes: Vec::new(),
            utf8_checked: (frame.opcode == Opcode::Text).then_some(0),
            is_compressed: frame.is_compressed,
        })
    }

    /// Heap memory, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| message.bytes.capacity());
        size_of::<Self>() + self.control.capacity() + message
    }
}

/// A message that did not come in one piece.
#[derive(Debug)]
pub(crate) struct Message {
    bytes: Vec<u8>,
    /// For text: how far it is known to be UTF-8. At most three bytes behind the end, the front of an incomplete character.
    utf8_checked: Option<usize>,
    is_compressed: bool,
}

impl Message {
    /// How much has come.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the bytes are to be inflated when all of them are there.
    pub fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// Appends what came of a frame of which `bytes_to_come` more will follow.
    pub fn push(&mut self, bytes: &[u8], bytes_to_come: usize) -> Result<(), WebSocketError> {
        self.make_room(bytes.len(), bytes_to_come);
        self.bytes.extend_from_slice(bytes);
        if self.is_compressed {
            return Ok(());
        }
        let Some(checked) = &mut self.utf8_checked else { return Ok(()) };
        // Judged as it comes: a peer that sends rubbish is not listened to until the end of its message.
        match simdutf8::compat::from_utf8(&self.bytes[*checked..]) {
            Ok(_) => *checked = self.bytes.len(),
            Err(error) if error.error_len().is_none() => *checked += error.valid_up_to(),
            Err(_) => return Err(WebSocketError::InvalidUtf8),
        }
        Ok(())
    }

    /// Doubles at most, and never goes past the end of the frame: what a header claims is not what a peer has paid for.
    fn make_room(&mut self, bytes: usize, bytes_to_come: usize) {
        let free = self.bytes.capacity() - self.bytes.len();
        if free < bytes {
            self.bytes.reserve_exact(bytes + bytes_to_come.min(self.bytes.len()));
        }
    }

    /// Inflates the message, where it is compressed, to `bytes_max` at most, and checks that its end is no half character.
    pub fn finish(&mut self, bytes_max: usize) -> Result<(), WebSocketError> {
        if self.is_compressed {
            self.bytes = inflate(&self.bytes, bytes_max)?;
            // The event's own check sees all of it.
            return Ok(());
        }
        let is_whole = self.utf8_checked.is_none_or(|checked| checked == self.bytes.len());
        if is_whole { Ok(()) } else { Err(WebSocketError::InvalidUtf8) }
    }

    /// The message as an event, once it is finished.
    pub fn event(&self) -> Result<Event<'_>, WebSocketError> {
        let opcode = if self.utf8_checked.is_some() { Opcode::Text } else { Opcode::Binary };
        Event::from_frame(opcode, &self.bytes)
    }
}
