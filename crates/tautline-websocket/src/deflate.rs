//! permessage-deflate, RFC 7692: one message at a time, so that nothing is kept between two of them.
//!
//! What compresses and what inflates belong to the thread, as they take some 300 KiB together: lines only know that they may.

use std::{cell::RefCell, num::NonZeroU8};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::{WebSocketError, extensions};

/// What every flushed block ends with, and what does not travel (section 7.2.1).
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];
/// The largest window there is, 32 KiB, as a power of two.
pub(crate) const WINDOW_BITS_MAX: u8 = 15;
/// The smallest that zlib's compressors have without a header; the RFC has one more.
pub(crate) const WINDOW_BITS_MIN: u8 = 9;
/// On long messages more than twice as fast as the usual 6, for a few bytes in a hundred (docs/adr/0013).
const LEVEL: Compression = Compression::new(3);
/// Inflated messages begin with room for this much times what came.
const RATIO_USUAL: usize = 4;

thread_local! {
    /// One for each window that was asked for, seven at most; nearly always the largest alone.
    static COMPRESSORS: RefCell<Vec<(Deflate, Compress)>> = const { RefCell::new(Vec::new()) };
    static INFLATER: RefCell<Option<Decompress>> = const { RefCell::new(None) };
}

/// What the two ends have agreed on: each message is compressed by itself, with a window of this size from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deflate {
    window_bits: NonZeroU8,
}

impl Deflate {
    /// With the largest window: what peers ask for that ask for nothing particular.
    pub const LARGEST_WINDOW: Self =
        Self { window_bits: NonZeroU8::new(WINDOW_BITS_MAX).expect("15 is not 0") };

    /// Chooses among what a client offers in its `Sec-WebSocket-Extensions` headers: what was agreed on, and the header to
    /// answer with. None: nothing that we can do; a header that cannot be read offers nothing.
    pub fn accept<'h>(headers: impl IntoIterator<Item = &'h str>) -> Option<(Self, String)> {
        headers.into_iter().find_map(extensions::accept)
    }

    /// With a window of two to the power of `bits` bytes, which is `None` where we have none such.
    pub(crate) fn with_window(bits: u8) -> Option<Self> {
        let window_bits = NonZeroU8::new(bits)?;
        (WINDOW_BITS_MIN..=WINDOW_BITS_MAX).contains(&bits).then_some(Self { window_bits })
    }

    /// The payload of a frame with [`crate::FrameHeader::compressed`]. It may be longer than the message was.
    pub fn compress(self, message: &[u8]) -> Vec<u8> {
        COMPRESSORS.with_borrow_mut(|compressors| {
            let index = compressors.iter().position(|(deflate, _)| *deflate == self).unwrap_or_else(|| {
                let compress = Compress::new_with_window_bits(LEVEL, false, self.window_bits.get());
                compressors.push((self, compress));
                compressors.len() - 1
            });
            compress(&mut compressors[index].1, message)
        })
    }
}

fn compress(compressor: &mut Compress, mut message: &[u8]) -> Vec<u8> {
    compressor.reset();
    let mut out = Vec::with_capacity(message.len() / 2 + 64);
    loop {
        let before = compressor.total_in();
        let status = compressor.compress_vec(message, &mut out, FlushCompress::Sync);
        assert!(status.is_ok(), "a compressor takes whatever it is given");
        let taken = usize::try_from(compressor.total_in() - before).expect("part of what is in memory");
        message = &message[taken..];
        // All of it is out only where room was left.
        if message.is_empty() && out.len() < out.capacity() {
            break;
        }
        out.reserve(out.len());
    }
    let end = out.strip_suffix(&FLUSHED).map(<[u8]>::len).expect("a sync flush ends as the RFC says");
    out.truncate(end);
    out
}

/// The longest payload that may inflate to `message_bytes_max`: what cannot be compressed becomes a little longer.
pub(crate) fn compressed_bytes_max(message_bytes_max: usize) -> usize {
    message_bytes_max.saturating_add(message_bytes_max / 64 + 64)
}

/// The message that `payload` was made of, `bytes_max` at most.
pub(crate) fn inflate(payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, WebSocketError> {
    INFLATER.with_borrow_mut(|inflater| {
        let inflater = inflater.get_or_insert_with(|| Decompress::new(false));
        inflater.reset(false);
        let mut out = Vec::new();
        make_room(&mut out, payload.len().saturating_mul(RATIO_USUAL), bytes_max);
        for part in [payload, &FLUSHED] {
            inflate_part(inflater, part, &mut out, bytes_max)?;
        }
        Ok(out)
    })
}

fn inflate_part(
    inflater: &mut Decompress,
    mut part: &[u8],
    out: &mut Vec<u8>,
    bytes_max: usize,
) -> Result<(), WebSocketError> {
    loop {
        let (in_before, out_before) = (inflater.total_in(), out.len());
        let status = inflater.decompress_vec(part, out, FlushDecompress::Sync);
        let status = status.map_err(|_| WebSocketError::InvalidDeflate)?;
        let taken = usize::try_from(inflater.total_in() - in_before).expect("part of what is in memory");
        part = &part[taken..];
        if out.len() > bytes_max {
            return Err(WebSocketError::MessageTooBig { bytes: out.len() as u64, bytes_max });
        }
        if status == Status::StreamEnd {
            // A block may say that it is the last one; others follow it all the same (section 7.2.3.4).
            inflater.reset(false);
        }
        let has_room = out.len() < out.capacity();
        if part.is_empty() && has_room {
            return Ok(());
        }
        if !has_room {
            let bytes = out.len();
            make_room(out, bytes, bytes_max);
        } else if taken == 0 && out.len() == out_before && status != Status::StreamEnd {
            return Err(WebSocketError::InvalidDeflate);
        }
    }
}

/// Room for `bytes` more. A byte past the limit is enough to see that there is more than allowed, and no more is made.
fn make_room(out: &mut Vec<u8>, bytes: usize, bytes_max: usize) {
    let room = bytes.max(64).min(bytes_max.saturating_add(1) - out.len());
    out.reserve_exact(room);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows() -> impl Iterator<Item = Deflate> {
        (0..=u8::MAX).filter_map(Deflate::with_window)
    }

    fn messages() -> Vec<Vec<u8>> {
        let mut noise = 1_u32;
        let mut next = || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.to_be_bytes()[0]
        };
        vec![
            Vec::new(),
            b"Hello".to_vec(),
            b"Hello".repeat(20_000),
            (0..70_000).map(|_| next()).collect(),
            (0..70_000).map(|_| next() % 4).collect(),
        ]
    }

    #[test]
    fn a_message_comes_back_from_every_window() {
        for deflate in windows() {
            for message in messages() {
                let compressed = deflate.compress(&message);
                assert!(compressed.len() <= compressed_bytes_max(message.len()), "{}", compressed.len());
                assert_eq!(inflate(&compressed, message.len()), Ok(message), "{deflate:?}");
            }
        }
        assert_eq!(windows().count(), 7);
    }

    #[test]
    fn nothing_of_a_message_is_left_for_the_next() {
        let message = b"the same words as before, and none of them may point back".as_slice();
        let first = Deflate::LARGEST_WINDOW.compress(message);
        assert_eq!(Deflate::LARGEST_WINDOW.compress(message), first);
        let (hello, again) = (b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"\xf2\x00\x11\x00\x00");
        let in_one_message = [hello.as_slice(), &FLUSHED, again].concat();
        assert_eq!(inflate(&in_one_message, 100), Ok(b"HelloHello".to_vec()));
        assert_eq!(inflate(again, 100), Err(WebSocketError::InvalidDeflate), "in a message of its own");
    }

    #[test]
    fn the_examples_of_the_rfc_inflate_to_hello() {
        let examples: [&[u8]; 4] = [
            b"\xf2\x48\xcd\xc9\xc9\x07\x00",
            b"\x00\x05\x00\xfa\xffHello\x00",
            // A block that says that it is the last one, and two blocks.
            b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
            b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        ];
        for example in examples {
            assert_eq!(inflate(example, 5), Ok(b"Hello".to_vec()), "{example:02x?}");
        }
    }

    #[test]
    fn a_bomb_is_let_off_up_to_the_limit_and_no_further() {
        let bomb = Deflate::LARGEST_WINDOW.compress(&vec![0; 50 << 20]);
        assert!(bomb.len() < 256 << 10, "{} bytes", bomb.len());
        for bytes_max in [0, 1, 1000, 65_536] {
            let too_big = Err(WebSocketError::MessageTooBig { bytes: bytes_max as u64 + 1, bytes_max });
            assert_eq!(inflate(&bomb, bytes_max), too_big);
        }
    }

    #[test]
    fn what_is_no_deflate_is_refused() {
        for rubbish in [b"\xff\xff".as_slice(), b"\x07", b"\x00\x05\x00\x00\x00Hello"] {
            assert_eq!(inflate(rubbish, 100), Err(WebSocketError::InvalidDeflate), "{rubbish:02x?}");
        }
    }
}
