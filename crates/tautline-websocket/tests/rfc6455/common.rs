//! What the tests share: a seeded generator, frames written by hand, and reading in pieces.

use tautline_websocket::{Decoder, MaskKey, Role, apply_mask};

pub(crate) use crate::owned_event::OwnedEvent;

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

/// Everything that `decoder` makes of one read.
pub fn read(decoder: &mut Decoder, bytes: &[u8]) -> Vec<OwnedEvent> {
    let mut events = Vec::new();
    crate::owned_event::read(decoder, bytes, &mut events);
    events
}

/// Everything that a new decoder makes of `pieces`, read one after the other.
pub fn read_all<'p>(
    role: Role,
    message_bytes_max: usize,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Vec<OwnedEvent> {
    let mut decoder = Decoder::new(role, message_bytes_max);
    pieces.into_iter().flat_map(|piece| read(&mut decoder, piece)).collect()
}
