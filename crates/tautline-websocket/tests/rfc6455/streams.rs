//! Streams as a lively peer may send them: messages whole and in pieces, control frames anywhere, now and then a mistake.

use tautline_websocket::Role;

use crate::common::{Rng, frame};

/// The limit that the streams are to be read with; a few messages are longer.
pub const MESSAGE_BYTES_MAX: usize = 4 << 10;
const CHARACTERS: [char; 6] = ['a', '\n', 'é', '中', '𝄞', '\u{7ff}'];

/// What one peer sends.
struct Peer<'r> {
    rng: &'r mut Rng,
    role: Role,
    sent: Vec<u8>,
    frame_starts: Vec<usize>,
}

/// The bytes that a peer of `role` reads.
pub fn stream(rng: &mut Rng, role: Role) -> Vec<u8> {
    let mut peer = Peer { rng, role, sent: Vec::new(), frame_starts: Vec::new() };
    for _ in 0..=peer.rng.below(6) {
        peer.send_message();
    }
    if peer.rng.below(3) == 0 {
        peer.send(0x88, b"\x03\xe8so long");
    }
    if peer.rng.below(2) == 0 {
        peer.slip();
    }
    peer.sent
}

impl Peer<'_> {
    fn send_message(&mut self) {
        let is_text = self.rng.below(2) == 0;
        let payload = self.payload(is_text);
        let mut opcode = if is_text { 1 } else { 2 };
        let mut rest = payload.as_slice();
        while self.rng.below(3) == 0 {
            let (piece, after) = rest.split_at(self.rng.below(rest.len() + 1));
            self.send(opcode, piece);
            if self.rng.below(3) == 0 {
                self.send(0x89, &piece[..piece.len().min(125)]);
            }
            (opcode, rest) = (0, after);
        }
        self.send(0x80 | opcode, rest);
    }

    fn payload(&mut self, is_text: bool) -> Vec<u8> {
        let bytes_max = [3, 130, 700, 4200][self.rng.below(4)];
        let mut payload = Vec::new();
        while payload.len() < bytes_max && self.rng.below(bytes_max) > 0 {
            if is_text {
                let character = CHARACTERS[self.rng.below(CHARACTERS.len())];
                payload.extend_from_slice(character.to_string().as_bytes());
            } else {
                payload.extend(self.rng.next().to_le_bytes());
            }
        }
        payload
    }

    fn send(&mut self, first: u8, payload: &[u8]) {
        self.frame_starts.push(self.sent.len());
        let key = (self.role == Role::Server).then(|| self.rng.key());
        self.sent.extend(frame(first, payload, key));
    }

    /// Turns one bit: of a header, where it hurts, or of anything.
    fn slip(&mut self) {
        let at = if self.rng.below(4) > 0 {
            self.frame_starts[self.rng.below(self.frame_starts.len())] + self.rng.below(2)
        } else {
            self.rng.below(self.sent.len())
        };
        self.sent[at] ^= 1 << self.rng.below(8);
    }
}
