//! Turns the bytes of a peer into events. Start at [`Decoder::decode`].

use crate::{
    Deflate, Event, Opcode, Role, WebSocketError, apply_mask,
    header::{Frame, Rules},
    held::{Held, Lent},
    mask::key_after,
};

/// Reads the frames of one peer.
///
/// Holds no memory on the heap but while a frame or a message is incomplete: a shell can read into a buffer that
/// all its connections share, and a frame that came whole is lent out where it lies in that buffer.
#[derive(Debug)]
pub struct Decoder {
    held: Option<Box<Held>>,
    message_bytes_max: usize,
    role: Role,
    deflate: Option<Deflate>,
    is_over: bool,
}

/// Where a payload that is complete lies.
enum Found<'b> {
    /// In the input, which outlives the decoder's own buffers.
    InPlace(Event<'b>),
    /// In `Held::control`.
    Control(Opcode),
    /// In `Held::message`.
    Message,
}

impl Decoder {
    /// A decoder for a line just opened, which takes messages of up to `message_bytes_max` bytes.
    pub fn new(role: Role, message_bytes_max: usize) -> Self {
        Self { held: None, message_bytes_max, role, deflate: None, is_over: false }
    }

    /// Takes compressed messages, too, where that was agreed on ([`Deflate::accept`]). The longest message counts as it is
    /// when inflated, and inflating stops there.
    #[must_use]
    pub fn with_deflate(mut self, agreed: Option<Deflate>) -> Self {
        self.deflate = agreed;
        self
    }

    /// What was agreed on about compression. Kept here for those who send: it costs a line nothing.
    pub fn deflate(&self) -> Option<Deflate> {
        self.deflate
    }

    /// Sets the longest message from here on, in bytes. It is next looked at when a frame begins.
    pub fn set_message_bytes_max(&mut self, message_bytes_max: usize) {
        self.message_bytes_max = message_bytes_max;
    }

    /// Takes the next event off the front of `input`, unmasking it in place.
    ///
    /// To be called until it says `None`: then all of `input` is used up, and what the last event borrowed is given back.
    /// Nothing follows [`Event::Close`] or an error; bytes that come after are thrown away unread (section 1.4).
    ///
    /// # Errors
    /// The first rule that the peer broke. The connection is to be closed with [`WebSocketError::close_code`].
    pub fn decode<'a, 'b: 'a>(
        &'a mut self,
        input: &mut &'b mut [u8],
    ) -> Result<Option<Event<'a>>, WebSocketError> {
        if self.is_over {
            self.give_up();
            *input = &mut [];
            return Ok(None);
        }
        let found = self.find(input).inspect_err(|_| self.give_up())?;
        let event = match found {
            None => return Ok(None),
            Some(Found::InPlace(event)) => Ok(event),
            Some(Found::Control(opcode)) => Event::from_frame(opcode, &lender(&self.held).control),
            Some(Found::Message) => {
                lender(&self.held).message.as_ref().expect("find() has finished a message").event()
            }
        };
        self.is_over = matches!(event, Err(_) | Ok(Event::Close { .. }));
        event.map(Some)
    }

    /// Gives back at once what the last event borrowed, where the next call of [`Decoder::decode`] may be long in coming.
    pub fn give_back(&mut self) {
        self.held.take_if(|held| held.take_back());
    }

    /// Whether the peer has closed or broken a rule, so that nothing more will come.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The heap memory in use, in bytes: 0 unless a frame or a message is incomplete, or an event is lent out.
    pub fn held_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.heap_bytes())
    }

    fn give_up(&mut self) {
        self.is_over = true;
        self.held = None;
    }

    fn find<'b>(&mut self, input: &mut &'b mut [u8]) -> Result<Option<Found<'b>>, WebSocketError> {
        self.give_back();
        while let Some(mut frame) = self.next_frame(input)? {
            let message_bytes_max = self.message_bytes_max;
            if !frame.is_compressed && self.is_whole_in(&frame, input) {
                let payload = take_payload(&mut frame, input);
                return Event::from_frame(frame.opcode, payload).map(|event| Some(Found::InPlace(event)));
            }
            let held = self.held.get_or_insert_default();
            if input.is_empty() && frame.bytes_to_come > 0 {
                held.frame = Some(frame);
                return Ok(None);
            }
            let payload = take_payload(&mut frame, input);
            if frame.opcode.is_control() {
                held.control.extend_from_slice(payload);
            } else {
                held.message_for(&frame).push(payload, frame.bytes_to_come)?;
            }
            if frame.bytes_to_come > 0 {
                held.frame = Some(frame);
                return Ok(None);
            }
            if frame.opcode.is_control() {
                held.lent = Lent::Control;
                return Ok(Some(Found::Control(frame.opcode)));
            }
            if frame.is_final {
                held.message_for(&frame).finish(message_bytes_max)?;
                held.lent = Lent::Message;
                return Ok(Some(Found::Message));
            }
        }
        Ok(None)
    }

    /// The frame under way, or else the one whose header comes next; `None` while that header is incomplete.
    fn next_frame(&mut self, input: &mut &mut [u8]) -> Result<Option<Frame>, WebSocketError> {
        if let Some(frame) = self.held.as_mut().and_then(|held| held.frame.take()) {
            return Ok(Some(frame));
        }
        let rules = self.rules();
        let held_bytes = self.held.as_ref().map_or(0, |held| held.header().len());
        let parsed = if held_bytes == 0 {
            rules.parse(input)?
        } else {
            let held = self.held.get_or_insert_default();
            held.extend_header(input);
            rules.parse(held.header())?
        };
        if let Some((frame, header_bytes)) = parsed {
            let (_, rest) = std::mem::take(input).split_at_mut(header_bytes - held_bytes);
            *input = rest;
            if let Some(held) = &mut self.held {
                held.clear_header();
            }
            return Ok(Some(frame));
        }
        if held_bytes == 0 && !input.is_empty() {
            self.held.get_or_insert_default().extend_header(input);
        }
        // An incomplete header is shorter than any that is complete, so `extend_header` had room for all of the input.
        *input = &mut [];
        Ok(None)
    }

    fn rules(&self) -> Rules {
        let message = self.held.as_ref().and_then(|held| held.message.as_ref());
        Rules {
            role: self.role,
            message_bytes_max: self.message_bytes_max,
            deflates: self.deflate.is_some(),
            message: message.map(|message| (message.len(), message.is_compressed())),
        }
    }

    /// Whether the frame is a whole message or control frame of which nothing was kept yet, and all of it is in `input`.
    fn is_whole_in(&self, frame: &Frame, input: &[u8]) -> bool {
        let nothing_kept = match &self.held {
            None => true,
            Some(held) if frame.opcode.is_control() => held.control.is_empty(),
            Some(held) => held.message.is_none(),
        };
        nothing_kept && frame.is_final && frame.bytes_to_come <= input.len()
    }
}

/// Takes what is there of the frame's payload off the front of `input`, without its mask.
fn take_payload<'b>(frame: &mut Frame, input: &mut &'b mut [u8]) -> &'b mut [u8] {
    let bytes = frame.bytes_to_come.min(input.len());
    let (payload, rest) = std::mem::take(input).split_at_mut(bytes);
    *input = rest;
    frame.bytes_to_come -= bytes;
    if let Some(key) = &mut frame.key {
        apply_mask(payload, *key);
        *key = key_after(*key, bytes);
    }
    payload
}

fn lender(held: &Option<Box<Held>>) -> &Held {
    held.as_deref().expect("find() has kept what it found")
}
