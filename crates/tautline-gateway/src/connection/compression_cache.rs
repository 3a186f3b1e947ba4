//! Messages that were compressed, for those who are sent the same bytes next.
//!
//! Subscribers of a channel that stand together are handed the same shared bytes, one after the other: each thread compresses
//! them when the first of its connections is sent them, and the others get the same compressed bytes.

use bytes::Bytes;
use tautline_websocket::Deflate;

/// How many messages a thread remembers: as many channels may take turns.
const ENTRIES_MAX: usize = 8;

/// A thread's newest messages and what became of them.
#[derive(Default)]
pub(super) struct CompressionCache {
    entries: Vec<Entry>,
    /// The entry that goes when room is needed.
    oldest: usize,
}

struct Entry {
    deflate: Deflate,
    /// Held, so that no other message can have its address.
    message: Bytes,
    /// None: it would not be shorter.
    short: Option<Bytes>,
}

impl CompressionCache {
    /// The message compressed, if that makes it shorter.
    pub(super) fn get(&mut self, deflate: Deflate, message: &Bytes) -> Option<Bytes> {
        let found = self.entries.iter().find(|entry| entry.is_for(deflate, message));
        if let Some(entry) = found {
            return entry.short.clone();
        }
        // What nobody else holds, a reply say, nobody else will be sent.
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
    fn those_who_are_sent_the_same_bytes_share_what_was_compressed() {
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
    fn windows_are_told_apart() {
        let mut compressed = CompressionCache::default();
        let message = Bytes::from((0..2000_u32).flat_map(u32::to_be_bytes).collect::<Vec<_>>().repeat(2));
        let _shared = message.clone();
        let (small, _) = Deflate::accept(["permessage-deflate; server_max_window_bits=9"]).expect("there is");
        assert_ne!(compressed.get(small, &message), get(&mut compressed, &message));
    }

    #[test]
    fn what_is_one_peer_s_alone_is_not_remembered() {
        let mut compressed = CompressionCache::default();
        assert!(get(&mut compressed, &Bytes::from(vec![b'a'; 1000])).is_some());
        assert!(compressed.entries.is_empty());
    }

    #[test]
    fn what_would_become_longer_goes_as_it_is() {
        let mut compressed = CompressionCache::default();
        let message = Bytes::from_static(b"q8#Zk");
        assert_eq!(get(&mut compressed, &message), None);
        assert_eq!(get(&mut compressed, &message), None, "and nobody tries again");
        assert_eq!(compressed.entries.len(), 1);
    }

    #[test]
    fn the_newest_are_remembered_and_no_more() {
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
