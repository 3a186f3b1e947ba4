//! Frames on their way out.

use std::ops::Range;

use bytes::Bytes;
use tautline_websocket::FrameHeader;

use super::unsent::Unsent;

/// A message up to this size is copied where the socket does not take it: a reference would keep all it was cut from.
const COPIED_BYTES_MAX: usize = 512;

/// Frames ready for a socket, in one piece. Where it does not take them, large messages are kept by reference.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    pub(crate) bytes: Vec<u8>,
    /// Large messages in `bytes`, and where they begin.
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

    /// Appends the frames of another, and says where they are.
    #[cfg(any(target_os = "linux", test))]
    pub(crate) fn append(&mut self, other: &Self) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.large.extend(other.large.iter().map(|(at, message)| (start + at, message.clone())));
        start..self.bytes.len()
    }

    /// What is left where only this part was not sent.
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
    fn what_is_left_is_what_was_not_sent_wherever_the_socket_stops() {
        let frames = framed(&[10, 600, 3, 513, 2000, 1]);
        let all = frames.bytes.len();
        for sent in 0..=all {
            assert!(frames.unsent(sent..all).concat() == frames.bytes[sent..], "sent {sent}");
        }
    }

    #[test]
    fn what_is_left_of_one_is_nothing_of_the_others_it_was_put_together_with() {
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
    fn a_large_message_is_kept_by_reference_and_a_small_one_by_copy() {
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
    fn the_tail_of_a_large_message_does_not_keep_all_of_it() {
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
