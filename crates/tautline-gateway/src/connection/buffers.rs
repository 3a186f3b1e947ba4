//! The buffers that all connections of a thread share, one connection at a time.

use std::cell::Cell;

use bytes::Bytes;
use tautline_websocket::{Deflate, FrameHeader, Opcode};

use super::compression_cache::CompressionCache;
use crate::transport::frames::Frames;

/// The size of one read, in bytes.
const READ_BYTES: usize = 16 * 1024;
/// A write of this size is sent before more output is collected, in bytes.
const WRITE_BYTES: usize = 64 * 1024;
/// A buffer that a large message has grown beyond this size is freed after use, in bytes.
const KEPT_BYTES_MAX: usize = 256 * 1024;

thread_local! {
    static OF_THREAD: Cell<Option<Box<Buffers>>> = const { Cell::new(None) };
}

/// One connection uses them while it is polled, and leaves them empty.
pub(crate) struct Buffers {
    pub(crate) read: Box<[u8]>,
    pub(crate) out: Frames,
    compression_cache: CompressionCache,
}

impl Buffers {
    /// Takes the thread's buffers. A connection that panics does not give them back, and the next one makes
    /// new ones.
    pub(crate) fn take() -> Box<Self> {
        OF_THREAD.take().unwrap_or_else(|| {
            Box::new(Self {
                read: vec![0; READ_BYTES].into(),
                out: Frames::default(),
                compression_cache: CompressionCache::default(),
            })
        })
    }

    pub(crate) fn give_back(mut self: Box<Self>) {
        self.out.clear();
        if self.out.bytes.capacity() > KEPT_BYTES_MAX {
            self.out = Frames::default();
        }
        OF_THREAD.set(Some(self));
    }

    pub(crate) fn is_full(&self) -> bool {
        self.out.bytes.len() >= WRITE_BYTES
    }

    /// Appends a message, compressed where that is negotiated and makes it shorter.
    pub(crate) fn push(&mut self, opcode: Opcode, message: Bytes, deflate: Option<Deflate>) {
        let short = deflate.and_then(|deflate| self.compression_cache.get(deflate, &message));
        let (header, message) = match short {
            Some(short) => (FrameHeader::compressed(opcode, short.len(), None), short),
            None => (FrameHeader::new(opcode, message.len(), None), message),
        };
        self.out.push(&header, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_grown_by_large_message_is_freed() {
        let mut buffers = Buffers::take();
        buffers.push(Opcode::Text, Bytes::from(vec![b'a'; KEPT_BYTES_MAX + 1]), None);
        buffers.give_back();
        assert_eq!(Buffers::take().out.bytes.capacity(), 0);
    }
}
