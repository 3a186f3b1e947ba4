//! Compressed messages, for connections that send the same bytes next.
//!
//! Subscribers at the same position of a channel get the same shared bytes, one after the other: each thread
//! compresses them for the first of its connections, and the others send the same compressed bytes.

use bytes::Bytes;
use tautline_websocket::Deflate;

/// How many messages a thread remembers: as many channels may alternate.
const ENTRIES_MAX: usize = 8;

/// A thread's newest messages with their compressed form.
#[derive(Default)]
pub(super) struct CompressionCache {
    entries: Vec<Entry>,
    /// The entry to be replaced next.
    oldest: usize,
}

struct Entry {
    deflate: Deflate,
    /// Held, so that no other message can have its address.
    message: Bytes,
    /// None: the compressed form would not be shorter.
    short: Option<Bytes>,
}

impl CompressionCache {
    /// The message compressed, if that makes it shorter.
    pub(super) fn get(&mut self, deflate: Deflate, message: &Bytes) -> Option<Bytes> {
        let found = self.entries.iter().find(|entry| entry.is_for(deflate, message));
        if let Some(entry) = found {
            return entry.short.clone();
        }
        // A message without another holder, such as a reply, is sent to no other connection.
        let is_shared = !message.is_unique();
        let short =
            Some(deflate.compress(message)).filter(|short| short.len() < message.len()).map(Bytes::from);
        if is_shared {
            self.remember(Entry { deflate, message: message.clone(), short: short.clone() });
        }
        short
    }

    fn remember(&mut self, entry: Entry) {
        if self.entries.len() < ENTRIES_MAX {
            self.entries.push(entry);
            return;
        }
        self.entries[self.oldest] = entry;
        self.oldest = (self.oldest + 1) % ENTRIES_MAX;
    }
}

impl Entry {
    fn is_for(&self, deflate: Deflate, message: &Bytes) -> bool {
        self.deflate == deflate
            && self.message.as_ptr() == message.as_ptr()
            && self.message.len() == message.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFLATE: Deflate = Deflate::LARGEST_WINDOW;

    fn get(compressed: &mut CompressionCache, message: &Bytes) -> Option<Bytes> {
        compressed.get(DEFLATE, message)
    }

    #[test]
    fn same_shared_bytes_are_compressed_once() {
        let mut compressed = CompressionCache::default();
        let message = Bytes::from(vec![b'a'; 1000]);
        let others = message.clone();
        let first = get(&mut compressed, &message).expect("it is shorter");
        let second = get(&mut compressed, &others).expect("it is shorter");
        assert_eq!(first.as_ptr(), second.as_ptr());
        let equal = Bytes::from(vec![b'a'; 1000]);
        assert_ne!(get(&mut compressed, &equal).map(|bytes| bytes.as_ptr()), Some(first.as_ptr()));
        assert_eq!(compressed.get(DEFLATE, &message.slice(..500)).map(|bytes| bytes.len() < 500), Some(true));
    }

    #[test]
    fn each_window_size_has_its_own_entry() {
        let mut compressed = CompressionCache::default();
        let message = Bytes::from((0..2000_u32).flat_map(u32::to_be_bytes).collect::<Vec<_>>().repeat(2));
        let _shared = message.clone();
        let (small, _) = Deflate::accept(["permessage-deflate; server_max_window_bits=9"]).expect("there is");
        assert_ne!(compressed.get(small, &message), get(&mut compressed, &message));
    }

    #[test]
    fn message_of_one_peer_is_not_cached() {
        let mut compressed = CompressionCache::default();
        assert!(get(&mut compressed, &Bytes::from(vec![b'a'; 1000])).is_some());
        assert!(compressed.entries.is_empty());
    }

    #[test]
    fn message_that_would_grow_is_sent_uncompressed() {
        let mut compressed = CompressionCache::default();
        let message = Bytes::from_static(b"q8#Zk");
        assert_eq!(get(&mut compressed, &message), None);
        assert_eq!(get(&mut compressed, &message), None, "not compressed again");
        assert_eq!(compressed.entries.len(), 1);
    }

    #[test]
    fn full_cache_replaces_its_oldest_entry() {
        let mut compressed = CompressionCache::default();
        let messages: Vec<_> = (0..20).map(|_| Bytes::from(vec![b'a'; 600])).collect();
        let shared = messages.clone();
        messages.iter().for_each(|message| drop(get(&mut compressed, message)));
        assert_eq!(compressed.entries.len(), ENTRIES_MAX);
        let is_kept = |message| compressed.entries.iter().any(|entry| entry.is_for(DEFLATE, message));
        assert_eq!(shared.iter().filter(|message| is_kept(message)).count(), ENTRIES_MAX);
        assert!(is_kept(&shared[19]) && !is_kept(&shared[11]));
    }
}
