//! Encoded publications, shared by many readers, in each reader's format.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tautline_protocol::{Format, msgpack};

/// Packets in json, and in msgpack once a reader needs it. Cheap to clone: clones share both encodings.
#[derive(Clone, Debug)]
pub(crate) struct Packets {
    json: Bytes,
    msgpack: Arc<OnceLock<Bytes>>,
}

impl Packets {
    pub(crate) fn new(json: Bytes) -> Self {
        Self { json, msgpack: Arc::default() }
    }

    /// The bytes to send. Do not call under a lock: the first call converts them.
    pub(crate) fn encode(&self, format: Format) -> &Bytes {
        match format {
            Format::Json => &self.json,
            Format::Msgpack => self.msgpack.get_or_init(|| msgpack::from_json(&self.json).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_converted_to_msgpack_once() {
        let packets = Packets::new(Bytes::from_static(b"{\"pub\":{}}\n"));
        let (ann, bob) = (packets.clone(), packets);
        assert_eq!(ann.encode(Format::Msgpack), &b"\x81\xa3pub\x80"[..]);
        let both = [ann, bob].map(|packets| packets.encode(Format::Msgpack).as_ptr());
        assert_eq!(both[0], both[1], "the same bytes, not a copy");
    }
}
