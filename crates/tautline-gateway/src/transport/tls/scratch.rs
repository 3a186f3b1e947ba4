//! The buffers that all TLS streams of a thread share, one stream at a time.

use std::cell::Cell;

/// The longest record on the wire: 5 bytes of header, 16 KiB of plaintext and what encryption may add (RFC
/// 8446 §5.2, RFC 5246 §6.2.3).
pub(super) const RECORD_BYTES_MAX: usize = 5 + 16 * 1024 + 2048;
/// Records that are not complete yet: one, and in front of it the parts of a handshake message.
pub(super) const INCOMPLETE_BYTES_MAX: usize = 2 * RECORD_BYTES_MAX;

thread_local! {
    static OF_THREAD: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// A stream uses them while it is polled.
pub(super) struct Scratch {
    /// Incomplete records, and behind them what is read.
    pub(super) incoming: Box<[u8]>,
    /// Records that are about to be written.
    pub(super) outgoing: Box<[u8]>,
}

impl Scratch {
    /// Calls `work` with the thread's buffers. Where it panics the next stream makes new ones.
    pub(super) fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        let mut scratch = OF_THREAD.take().unwrap_or_else(|| {
            Box::new(Self {
                incoming: vec![0; INCOMPLETE_BYTES_MAX + RECORD_BYTES_MAX].into(),
                outgoing: vec![0; 2 * RECORD_BYTES_MAX].into(),
            })
        });
        let result = work(&mut scratch);
        OF_THREAD.set(Some(scratch));
        result
    }
}
