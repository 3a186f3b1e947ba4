//! Frames to be written.

use std::ops::Range;

use bytes::Bytes;
use tautline_websocket::FrameHeader;

use super::unsent::Unsent;

/// A message up to this size is copied where the socket does not take it: a reference would keep the whole
/// batch that the message is part of.
const COPIED_BYTES_MAX: usize = 512;

/// Frames ready for a socket, in one piece. Where the socket does not take them, large messages are kept by
/// reference.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    pub(crate) bytes: Vec<u8>,
    /// Large messages in `bytes`, each with its start.
    large: Vec<(usize, Bytes)>,
}

impl Frames {
    pub(crate) fn push(&mut self, header: &FrameHeader, message: Bytes) {
        self.bytes.extend_from_slice(header.as_bytes());
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&message);
        if message.len() > COPIED_BYTES_MAX {
            self.large.push((start, message));
        }
    }

    /// Appends other frames, and returns their range.
    #[cfg(any(target_os = "linux", test))]
    pub(crate) fn append(&mut self, other: &Self) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.large.extend(other.large.iter().map(|(at, message)| (start + at, message.clone())));
        start..self.bytes.len()
    }

    /// The bytes of `part`, which was not sent.
    pub(crate) fn unsent(&self, part: Range<usize>) -> Unsent {
        let mut unsent = Unsent::default();
        let mut at = part.start;
        for (start, message) in &self.large {
            let end = start + message.len();
            if end < at + COPIED_BYTES_MAX {
                continue;
            }
            if end > part.end {
                break;
            }
            if at < *start {
                unsent.push(Bytes::copy_from_slice(&self.bytes[at..*start]));
                at = *start;
            }
            unsent.push(message.slice(at - start..));
            at = end;
        }
        if at < part.end {
            unsent.push(Bytes::copy_from_slice(&self.bytes[at..part.end]));
        }
        unsent
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.large.clear();
    }
}

#[cfg(test)]
mod tests {
    use tautline_websocket::Opcode;

    use super::*;

    fn push(frames: &mut Frames, message: impl Into<Bytes>) {
        let message = message.into();
        frames.push(&FrameHeader::new(Opcode::Text, message.len(), None), message);
    }

    fn framed(sizes: &[usize]) -> Frames {
        let mut frames = Frames::default();
        sizes.iter().zip(b'a'..).for_each(|(size, letter)| push(&mut frames, vec![letter; *size]));
        frames
    }

    #[test]
    fn unsent_is_the_exact_rest_at_each_offset() {
        let frames = framed(&[10, 600, 3, 513, 2000, 1]);
        let all = frames.bytes.len();
        for sent in 0..=all {
            assert!(frames.unsent(sent..all).concat() == frames.bytes[sent..], "sent {sent}");
        }
    }

    #[test]
    fn unsent_of_appended_frames_excludes_their_neighbours() {
        let sizes = [10, 600, 3, 513, 2000, 1];
        let mut together = Frames::default();
        let parts: Vec<_> = sizes.iter().map(|size| together.append(&framed(&[*size, 700, *size]))).collect();
        assert_eq!(parts.last().map(|part| part.end), Some(together.bytes.len()));
        for (part, size) in parts.iter().zip(sizes) {
            let alone = framed(&[size, 700, size]);
            for sent in 0..=part.len() {
                let left = together.unsent(part.start + sent..part.end).concat();
                assert!(left == alone.bytes[sent..], "sent {sent} of {size}");
            }
        }
    }

    #[test]
    fn large_unsent_message_is_referenced_small_one_copied() {
        let large = Bytes::from(vec![b'l'; 100_000]);
        let mut frames = Frames::default();
        push(&mut frames, "small");
        push(&mut frames, large.clone());
        let mut together = Frames::default();
        together.append(&framed(&[3]));
        let part = together.append(&frames);
        for unsent in [frames.unsent(0..frames.bytes.len()), together.unsent(part)] {
            assert_eq!(unsent.parts().map(Bytes::len).collect::<Vec<_>>(), [7 + 10, 100_000]);
            assert!(unsent.parts().any(|part| part.as_ptr() == large.as_ptr()));
        }
    }

    #[test]
    fn short_tail_of_large_message_is_copied() {
        let large = Bytes::from(vec![b'l'; 100_000]);
        let mut frames = Frames::default();
        push(&mut frames, large.clone());
        let all = frames.bytes.len();
        let unsent = frames.unsent(all - 100..all);
        frames.clear();
        assert_eq!(unsent.concat(), &large[..100]);
        assert!(large.is_unique());
    }
}
