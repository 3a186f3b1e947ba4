//! The buffers that all connections of a thread share, one connection at a time.

use std::cell::Cell;

use bytes::Bytes;
use tautline_websocket::{Deflate, FrameHeader, Opcode};

use super::{compressed::Compressed, unsent::Unsent};

/// How much is read at once, in bytes.
const READ_BYTES: usize = 16 * 1024;
/// From here on what was gathered is written before more is gathered, in bytes.
const GATHER_BYTES: usize = 64 * 1024;
/// A buffer that a large message has stretched is given back above this size, in bytes.
const KEPT_BYTES_MAX: usize = 256 * 1024;
/// A message up to this size is copied where the socket does not take it: a reference would keep all it was cut from.
const COPIED_BYTES_MAX: usize = 512;

thread_local! {
    static SHARED: Cell<Option<Box<Buffers>>> = const { Cell::new(None) };
}

/// What one connection uses while it is being polled, and leaves empty.
pub(crate) struct Buffers {
    pub(crate) read: Box<[u8]>,
    /// Frames ready for the socket.
    pub(crate) out: Vec<u8>,
    /// Large messages in `out`, and where they begin.
    large: Vec<(usize, Bytes)>,
    compressed: Compressed,
}

impl Buffers {
    /// Takes the thread's buffers. A connection that panics does not give them back, and the next one makes new ones.
    pub(crate) fn take() -> Box<Self> {
        SHARED.take().unwrap_or_else(|| {
            Box::new(Self {
                read: vec![0; READ_BYTES].into(),
                out: Vec::new(),
                large: Vec::new(),
                compressed: Compressed::default(),
            })
        })
    }

    pub(crate) fn give_back(mut self: Box<Self>) {
        self.clear();
        if self.out.capacity() > KEPT_BYTES_MAX {
            self.out = Vec::new();
        }
        SHARED.set(Some(self));
    }

    pub(crate) fn is_full(&self) -> bool {
        self.out.len() >= GATHER_BYTES
    }

    /// Appends a message, compressed where that is agreed on and makes it shorter.
    pub(crate) fn push(&mut self, opcode: Opcode, message: Bytes, deflate: Option<Deflate>) {
        let short = deflate.and_then(|deflate| self.compressed.get(deflate, &message));
        let (header, message) = match short {
            Some(short) => (FrameHeader::compressed(opcode, short.len(), None), short),
            None => (FrameHeader::new(opcode, message.len(), None), message),
        };
        self.out.extend_from_slice(header.as_bytes());
        let start = self.out.len();
        self.out.extend_from_slice(&message);
        if message.len() > COPIED_BYTES_MAX {
            self.large.push((start, message));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.out.clear();
        self.large.clear();
    }

    /// Empties the buffers of what was sent, the first `sent` bytes, and says what is left.
    pub(crate) fn keep_unsent(&mut self, sent: usize) -> Unsent {
        let mut unsent = Unsent::default();
        let mut at = sent;
        for (start, message) in self.large.drain(..) {
            let end = start + message.len();
            if end < at + COPIED_BYTES_MAX {
                continue;
            }
            if at < start {
                unsent.push(Bytes::copy_from_slice(&self.out[at..start]));
                at = start;
            }
            unsent.push(message.slice(at - start..));
            at = end;
        }
        if at < self.out.len() {
            unsent.push(Bytes::copy_from_slice(&self.out[at..]));
        }
        self.out.clear();
        unsent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(sizes: &[usize]) -> Box<Buffers> {
        let mut buffers = Buffers::take();
        sizes
            .iter()
            .zip(b'a'..)
            .for_each(|(size, letter)| buffers.push(Opcode::Text, Bytes::from(vec![letter; *size]), None));
        buffers
    }

    #[test]
    fn what_is_left_is_what_was_not_sent_wherever_the_socket_stops() {
        let sizes = [10, 600, 3, 513, 2000, 1];
        let all = gathered(&sizes).out.clone();
        for sent in 0..=all.len() {
            let unsent = gathered(&sizes).keep_unsent(sent).concat();
            assert!(unsent == all[sent..], "sent {sent}");
        }
    }

    #[test]
    fn a_large_message_is_kept_by_reference_and_a_small_one_by_copy() {
        let large = Bytes::from(vec![b'l'; 100_000]);
        let mut buffers = Buffers::take();
        buffers.push(Opcode::Text, Bytes::from_static(b"small"), None);
        buffers.push(Opcode::Text, large.clone(), None);
        let unsent = buffers.keep_unsent(0);
        assert_eq!(unsent.parts().map(Bytes::len).collect::<Vec<_>>(), [7 + 10, 100_000]);
        assert!(unsent.parts().any(|part| part.as_ptr() == large.as_ptr()));
    }

    #[test]
    fn the_tail_of_a_large_message_does_not_keep_all_of_it() {
        let large = Bytes::from(vec![b'l'; 100_000]);
        let mut buffers = Buffers::take();
        buffers.push(Opcode::Text, large.clone(), None);
        let all_bytes = buffers.out.len();
        let unsent = buffers.keep_unsent(all_bytes - 100);
        assert_eq!(unsent.concat(), &large[..100]);
        assert!(large.is_unique());
    }

    #[test]
    fn a_stretched_buffer_is_given_back() {
        gathered(&[KEPT_BYTES_MAX + 1]).give_back();
        assert_eq!(Buffers::take().out.capacity(), 0);
    }
}
