//! What the tests share: a seeded generator, frames written by hand, and events that own their payload.

use tautline_websocket::{Decoder, Event, MaskKey, Role, WebSocketError, apply_mask};

/// SplitMix64: the same seed gives the same numbers on any machine.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("it is below a usize")
    }

    pub fn key(&mut self) -> MaskKey {
        let [a, b, c, d, ..] = self.next().to_le_bytes();
        [a, b, c, d]
    }
}

/// A frame with any first byte, right or wrong: its length in the shortest form, its payload masked where there is a key.
pub fn frame(first: u8, payload: &[u8], key: Option<MaskKey>) -> Vec<u8> {
    let mask_bit = if key.is_some() { 0x80 } else { 0 };
    let mut out = vec![first];
    match payload.len() {
        len @ 0..126 => out.push(mask_bit | u8::try_from(len).expect("the arm says so")),
        len @ 126..65_536 => {
            out.push(mask_bit | 126);
            out.extend(u16::try_from(len).expect("the arm says so").to_be_bytes());
        }
        len => {
            out.push(mask_bit | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(key.iter().flatten());
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], key.unwrap_or_default());
    out
}

/// An [`Event`] that outlives the bytes it came in, or the error that ended the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Failed(WebSocketError),
}

impl From<Event<'_>> for Heard {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(payload) => Self::Binary(payload.to_owned()),
            Event::Ping(payload) => Self::Ping(payload.to_owned()),
            Event::Pong(payload) => Self::Pong(payload.to_owned()),
            Event::Close { code, reason } => Self::Close(code, reason.to_owned()),
        }
    }
}

/// Everything that `decoder` makes of one read.
pub fn read(decoder: &mut Decoder, bytes: &[u8]) -> Vec<Heard> {
    let mut bytes = bytes.to_vec();
    let mut unread = bytes.as_mut_slice();
    let mut heard = Vec::new();
    loop {
        match decoder.decode(&mut unread) {
            Ok(Some(event)) => heard.push(event.into()),
            Ok(None) => break,
            Err(error) => heard.push(Heard::Failed(error)),
        }
    }
    assert!(unread.is_empty(), "decode() said None before the end of its input");
    heard
}

/// Everything that a new decoder makes of `pieces`, read one after the other.
pub fn read_all<'p>(
    role: Role,
    message_bytes_max: usize,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Vec<Heard> {
    let mut decoder = Decoder::new(role, message_bytes_max);
    pieces.into_iter().flat_map(|piece| read(&mut decoder, piece)).collect()
}
