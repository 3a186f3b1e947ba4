//! Publications on their way to many readers, in the form that each reader reads.
//!
//! They are encoded as json when they are appended, and as msgpack when the first reader wants that: once for all of them,
//! and outside of the channel's lock.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tautline_protocol::{Format, msgpack};

/// The msgpack form of some packets, once it is made.
pub(crate) type Cell = Arc<OnceLock<Bytes>>;

/// Packets in json, with a place for their msgpack form.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    json: Bytes,
    msgpack: Cell,
}

impl Pair {
    pub(crate) fn new(json: Bytes, msgpack: Cell) -> Self {
        Self { json, msgpack }
    }

    /// The bytes to send.
    pub(crate) fn encode(&self, format: Format) -> &Bytes {
        match format {
            Format::Json => &self.json,
            Format::Msgpack => self.msgpack.get_or_init(|| msgpack::from_json(&self.json).into()),
        }
    }
}

/// What one reader takes at once.
pub(crate) enum Packets {
    Json(Bytes),
    /// Joined when they are sent.
    Msgpack(Vec<Pair>),
}

impl Packets {
    /// The bytes to send. Not to be called under a lock: somebody may have to convert them first.
    pub(crate) fn encode(self) -> Bytes {
        match self {
            Self::Json(packets) => packets,
            Self::Msgpack(pairs) => match &pairs[..] {
                [only] => only.encode(Format::Msgpack).clone(),
                several => several.iter().flat_map(|pair| pair.encode(Format::Msgpack)).copied().collect(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_converted_once_for_all_who_read_msgpack() {
        let pair = Pair::new(Bytes::from_static(b"{\"pub\":{}}\n"), Cell::default());
        let read = || Packets::Msgpack(vec![pair.clone()]).encode();
        let (ann, bob) = (read(), read());
        assert_eq!(ann, b"\x81\xa3pub\x80"[..]);
        assert_eq!(ann.as_ptr(), bob.as_ptr(), "the same bytes, not a copy");
    }
}
