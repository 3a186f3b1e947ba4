//! Pages of logs for readers behind the tail: read once for all readers at the same position, bounded in
//! number.
//!
//! Start at [`Pages::take`]. A page stays until its readers have taken it, or for [`PAGE_MS`]: a reader with
//! a stalled socket would otherwise hold it forever, and asks again later. A page without readers is dropped
//! at once, and one connection waits for a few pages at a time.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
};

use tautline_protocol::ChannelName;

use crate::{
    mailbox::PeerMailbox,
    packets::Packets,
    sync::{Mutex, lock},
};

/// How long a page waits for its readers, and an unreadable page for its next attempt, in milliseconds.
const PAGE_MS: u64 = 2_000;

/// Identifies a page: the publications behind an offset, in one generation of a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PageKey {
    pub(crate) channel: ChannelName,
    /// The channel's number: each channel object counts generations anew.
    pub(crate) number: u64,
    pub(crate) generation: u32,
    pub(crate) after: u64,
}

/// The slot of a reader that left while its page was being read: it is not notified.
const GONE: u32 = u32::MAX;

/// A waiting reader: a connection and the slot of its subscription.
type Waiter = (Arc<PeerMailbox>, u32);

/// All pages of a node.
pub(crate) struct Pages {
    state: Mutex<State>,
    pages_max: usize,
    /// Pages that one connection may wait for at a time.
    connection_max: usize,
}

#[derive(Default)]
struct State {
    slots: HashMap<PageKey, Slot>,
    /// Pages that wait for room.
    queue: VecDeque<PageKey>,
    /// Pages being read or waiting for their readers.
    in_memory: usize,
    /// The waiting connections, by number.
    waits: HashMap<u64, Waits>,
}

struct Slot {
    waiters: Vec<Waiter>,
    page: Stage,
}

/// The pages of one connection.
#[derive(Default)]
struct Waits {
    pages: Vec<(u32, PageKey)>,
    /// Slots to notify when one of these pages is taken.
    later: VecDeque<u32>,
}

enum Stage {
    Queued,
    Reading,
    /// Read at this monotonic time; `None` if reading failed.
    Here(u64, Option<(Packets, u64)>),
}

/// The result of a lookup for a reader behind the tail.
pub(crate) enum PageLookup {
    /// The packets, and the offset after them.
    Page(Packets, u64),
    /// The reader is notified later; read this page now, if any.
    Wait(Option<PageKey>),
}

impl Pages {
    pub(crate) fn new(pages_max: usize, connection_max: usize) -> Self {
        let (pages_max, connection_max) = (pages_max.max(1), connection_max.max(1));
        Self { state: Mutex::default(), pages_max, connection_max }
    }

    /// The most pages in memory.
    pub(crate) const fn max(&self) -> usize {
        self.pages_max
    }

    /// The number of pages in any state.
    pub(crate) fn len(&self) -> usize {
        lock(&self.state).slots.len()
    }

    /// Takes a page, or waits for it.
    pub(crate) fn take(
        &self,
        key: PageKey,
        mailbox: &Arc<PeerMailbox>,
        slot: u32,
    ) -> (PageLookup, Option<PageKey>) {
        let mut state = lock(&self.state);
        // The reader may be waiting at its previous position.
        let left = match state.page_of(mailbox, slot) {
            Some(other) if *other != key => state.cancel_wait(mailbox, slot),
            _ => None,
        };
        let (wanted, next) = state.take(key, (mailbox, slot), self.pages_max, self.connection_max);
        // Each of these frees room only if a page was dropped, and at most one of them did.
        (wanted, next.or(left))
    }

    /// Takes a page requested just now, which may already be here. If it was cancelled instead, its reader
    /// was notified and retries: requesting it again would read a page without readers.
    pub(crate) fn take_asked(
        &self,
        key: &PageKey,
        mailbox: &Arc<PeerMailbox>,
        slot: u32,
    ) -> (PageLookup, Option<PageKey>) {
        let mut state = lock(&self.state);
        state.take_asked(key, (mailbox, slot), self.connection_max).unwrap_or((PageLookup::Wait(None), None))
    }

    /// A reader unsubscribes or moves: removes its wait, and a page without readers. Returns the next page to
    /// read.
    pub(crate) fn cancel_wait(&self, mailbox: &Arc<PeerMailbox>, slot: u32) -> Option<PageKey> {
        lock(&self.state).cancel_wait(mailbox, slot)
    }

    /// Stores a page: its packets, up to this offset, or `None` if reading failed; then its readers retry
    /// after a while. Notifies the waiting readers; if all have left, returns the next page to read.
    pub(crate) fn put(&self, now_ms: u64, key: &PageKey, page: Option<(Packets, u64)>) -> Option<PageKey> {
        let mut state = lock(&self.state);
        let slot = state.slots.get_mut(key)?;
        let notify = page.is_some();
        slot.page = Stage::Here(now_ms, page);
        let gone: Vec<_> = slot.waiters.extract_if(.., |(_, slot)| *slot == GONE).collect();
        if notify {
            slot.waiters.iter().for_each(|(mailbox, slot)| mailbox.notify(*slot));
        }
        let is_left = slot.waiters.is_empty();
        gone.iter().for_each(|waiter| state.release(waiter, key));
        if is_left { state.drop_page(key) } else { None }
    }

    /// Cancels a page whose content is no longer valid: notifies the waiting readers, which retry. Returns
    /// the next page to read.
    pub(crate) fn cancel(&self, key: &PageKey) -> Option<PageKey> {
        lock(&self.state).evict(key)
    }

    /// Drops pages that no reader took, and retries failed ones. Returns the pages to read now.
    pub(crate) fn tidy(&self, now_ms: u64) -> Vec<PageKey> {
        let mut state = lock(&self.state);
        let mut old: Vec<PageKey> = state
            .slots
            .iter()
            .filter(|(_, slot)| matches!(slot.page, Stage::Here(since, _) if now_ms >= since + PAGE_MS))
            .map(|(key, _)| key.clone())
            .collect();
        // Maps have no order; the result must not depend on the hasher.
        old.sort_unstable_by_key(|key| (key.number, key.generation, key.after));
        old.iter().filter_map(|key| state.evict(key)).collect()
    }
}

impl State {
    fn take(
        &mut self,
        key: PageKey,
        (mailbox, slot): (&Arc<PeerMailbox>, u32),
        pages_max: usize,
        connection_max: usize,
    ) -> (PageLookup, Option<PageKey>) {
        if let Some(taken) = self.take_asked(&key, (mailbox, slot), connection_max) {
            return taken;
        }
        if !self.wait((mailbox, slot), &key, connection_max) {
            return (PageLookup::Wait(None), None);
        }
        let waiters = vec![(Arc::clone(mailbox), slot)];
        let has_room = self.in_memory < pages_max;
        let page = if has_room { Stage::Reading } else { Stage::Queued };
        self.slots.insert(key.clone(), Slot { waiters, page });
        if has_room {
            self.in_memory += 1;
            return (PageLookup::Wait(Some(key)), None);
        }
        self.queue.push_back(key);
        (PageLookup::Wait(None), None)
    }

    /// Takes a requested page, or waits for it. `None` if it was not requested.
    fn take_asked(
        &mut self,
        key: &PageKey,
        (mailbox, slot): (&Arc<PeerMailbox>, u32),
        connection_max: usize,
    ) -> Option<(PageLookup, Option<PageKey>)> {
        let found = self.slots.get_mut(key)?;
        if let Stage::Here(_, Some((packets, to))) = &found.page {
            let page = PageLookup::Page(packets.clone(), *to);
            return Some((page, self.remove_waiter(mailbox, slot, key)));
        }
        if self.page_of(mailbox, slot) != Some(key)
            && self.wait((mailbox, slot), key, connection_max)
            && let Some(found) = self.slots.get_mut(key)
        {
            found.waiters.push((Arc::clone(mailbox), slot));
        }
        Some((PageLookup::Wait(None), None))
    }

    /// Counts one more page for a connection. False: it waits for its maximum, and is notified later.
    fn wait(
        &mut self,
        (mailbox, slot): (&Arc<PeerMailbox>, u32),
        key: &PageKey,
        connection_max: usize,
    ) -> bool {
        let waits = self.waits.entry(mailbox.connection).or_default();
        let has_room = waits.pages.len() < connection_max;
        if has_room {
            waits.pages.push((slot, key.clone()));
        } else if !waits.later.contains(&slot) {
            waits.later.push_back(slot);
        }
        has_room
    }

    /// The page that a reader waits for.
    fn page_of(&self, mailbox: &PeerMailbox, slot: u32) -> Option<&PageKey> {
        let waits = self.waits.get(&mailbox.connection)?;
        waits.pages.iter().find(|(waiting, _)| *waiting == slot).map(|(_, key)| key)
    }

    /// A reader gives up the page that it waits for.
    fn cancel_wait(&mut self, mailbox: &Arc<PeerMailbox>, slot: u32) -> Option<PageKey> {
        if let Some(waits) = self.waits.get_mut(&mailbox.connection) {
            waits.later.retain(|later| *later != slot);
        }
        let key = self.page_of(mailbox, slot)?.clone();
        let found = self.slots.get_mut(&key)?;
        if matches!(found.page, Stage::Reading) && found.waiters.len() == 1 {
            // The read cannot be cancelled, so the page counts until it completes.
            found.waiters[0].1 = GONE;
            let waits = self.waits.get_mut(&mailbox.connection)?;
            waits.pages.iter_mut().filter(|(at, _)| *at == slot).for_each(|(at, _)| *at = GONE);
            return None;
        }
        self.remove_waiter(mailbox, slot, &key)
    }

    /// Removes a reader from a page; a page without readers is dropped.
    fn remove_waiter(&mut self, mailbox: &Arc<PeerMailbox>, slot: u32, key: &PageKey) -> Option<PageKey> {
        let found = self.slots.get_mut(key)?;
        let mine = |(other, at): &Waiter| Arc::ptr_eq(other, mailbox) && *at == slot;
        found.waiters.retain(|waiter| !mine(waiter));
        let is_left = found.waiters.is_empty();
        self.release(&(Arc::clone(mailbox), slot), key);
        if is_left { self.drop_page(key) } else { None }
    }

    /// Counts one page less for a connection, and notifies its next deferred slot.
    fn release(&mut self, (mailbox, slot): &Waiter, key: &PageKey) {
        let Entry::Occupied(mut found) = self.waits.entry(mailbox.connection) else { return };
        let waits = found.get_mut();
        let Some(at) = waits.pages.iter().position(|(at, page)| at == slot && page == key) else { return };
        waits.pages.swap_remove(at);
        if let Some(next) = waits.later.pop_front() {
            mailbox.notify(next);
        }
        if waits.pages.is_empty() {
            found.remove();
        }
    }

    /// Notifies the waiting readers of a page, which retry, and gives its room to the next.
    fn evict(&mut self, key: &PageKey) -> Option<PageKey> {
        let waiters = std::mem::take(&mut self.slots.get_mut(key)?.waiters);
        for waiter in &waiters {
            self.release(waiter, key);
            if waiter.1 != GONE {
                waiter.0.notify(waiter.1);
            }
        }
        self.drop_page(key)
    }

    /// Drops a page and gives its room to the next that waits for it.
    fn drop_page(&mut self, key: &PageKey) -> Option<PageKey> {
        if matches!(self.slots.remove(key)?.page, Stage::Queued) {
            self.queue.retain(|queued| queued != key);
            return None;
        }
        self.in_memory -= 1;
        if let Some(next) = self.queue.pop_front() {
            let slot = self.slots.get_mut(&next).expect("a dropped page leaves the queue");
            slot.page = Stage::Reading;
            self.in_memory += 1;
            return Some(next);
        }
        if self.slots.is_empty() {
            *self = Self::default();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use bytes::Bytes;

    use super::*;

    fn key(after: u64) -> PageKey {
        PageKey { channel: ChannelName::parse("room:7").expect("valid"), number: 0, generation: 0, after }
    }

    fn mailbox() -> Arc<PeerMailbox> {
        bell_of(1)
    }

    fn bell_of(connection: u64) -> Arc<PeerMailbox> {
        PeerMailbox::new(connection, Waker::noop().clone())
    }

    fn page(to: u64) -> Option<(Packets, u64)> {
        Some((Packets::new(Bytes::from_static(b"{}")), to))
    }

    fn taken(wanted: &(PageLookup, Option<PageKey>)) -> Option<u64> {
        match wanted.0 {
            PageLookup::Page(_, to) => Some(to),
            PageLookup::Wait(_) => None,
        }
    }

    #[test]
    fn readers_at_same_position_share_one_page() {
        let (pages, ann, bob) = (Pages::new(4, 4), mailbox(), bell_of(2));
        assert!(
            matches!(pages.take(key(1), &ann, 0), (PageLookup::Wait(Some(_)), None)),
            "the page has to be read"
        );
        assert!(matches!(pages.take(key(1), &bob, 5), (PageLookup::Wait(None), None)), "once");
        pages.put(0, &key(1), page(9));
        assert_eq!((ann.pop_ready(), bob.pop_ready()), (Some(0), Some(5)));
        assert_eq!(taken(&pages.take(key(1), &ann, 0)), Some(9));
        assert_eq!(taken(&pages.take(key(1), &bob, 5)), Some(9));
        assert_eq!(lock(&pages.state).in_memory, 0);
    }

    #[test]
    fn pages_are_bounded_and_queued_until_room() {
        let (pages, ann) = (Pages::new(1, 4), mailbox());
        pages.take(key(1), &ann, 0);
        assert!(matches!(pages.take(key(2), &ann, 1), (PageLookup::Wait(None), None)));
        pages.put(0, &key(1), page(9));
        let (_, next) = pages.take(key(1), &ann, 0);
        assert_eq!(next, Some(key(2)));
    }

    #[test]
    fn untaken_page_expires_and_its_reader_is_notified() {
        let (pages, ann) = (Pages::new(1, 4), mailbox());
        pages.take(key(1), &ann, 0);
        pages.put(0, &key(1), page(9));
        assert_eq!(ann.pop_ready(), Some(0));
        pages.take(key(2), &ann, 3);
        assert!(pages.tidy(PAGE_MS - 1).is_empty());
        assert_eq!(pages.tidy(PAGE_MS), [key(2)]);
        assert_eq!(ann.pop_ready(), Some(0), "to ask again");
    }

    #[test]
    fn cancelled_page_is_not_requested_again() {
        let (pages, ann) = (Pages::new(1, 4), mailbox());
        pages.take(key(1), &ann, 0);
        pages.cancel(&key(1));
        assert_eq!(ann.pop_ready(), Some(0), "to retry");
        assert!(matches!(pages.take_asked(&key(1), &ann, 0), (PageLookup::Wait(None), None)));
        assert_eq!(lock(&pages.state).in_memory, 0, "nothing is being read");
    }

    #[test]
    fn unreadable_page_is_retried_later() {
        let (pages, ann) = (Pages::new(1, 4), mailbox());
        pages.take(key(1), &ann, 0);
        pages.put(0, &key(1), None);
        assert_eq!(ann.pop_ready(), None);
        pages.tidy(PAGE_MS);
        assert_eq!(ann.pop_ready(), Some(0));
        assert!(matches!(pages.take(key(1), &ann, 0), (PageLookup::Wait(Some(_)), None)));
    }

    #[test]
    fn page_is_dropped_when_last_reader_leaves() {
        let (pages, ann, bob) = (Pages::new(1, 4), mailbox(), bell_of(2));
        pages.take(key(1), &ann, 0);
        pages.take(key(1), &bob, 5);
        pages.put(0, &key(1), page(9));
        pages.take(key(2), &ann, 1);
        assert_eq!(pages.cancel_wait(&ann, 0), None, "bob still wants it");
        assert_eq!(pages.cancel_wait(&bob, 5), Some(key(2)));
        assert_eq!(lock(&pages.state).in_memory, 1);
    }

    #[test]
    fn page_without_readers_counts_until_read_completes() {
        let (pages, ann, bob) = (Pages::new(2, 1), mailbox(), bell_of(2));
        pages.take(key(1), &ann, 0);
        assert_eq!(pages.cancel_wait(&ann, 0), None);
        assert!(
            matches!(pages.take(key(2), &ann, 0), (PageLookup::Wait(None), None)),
            "ann has reached its share"
        );
        assert!(matches!(pages.take(key(3), &bob, 0), (PageLookup::Wait(Some(_)), None)));
        assert_eq!(pages.put(0, &key(1), page(9)), None);
        assert_eq!(ann.pop_ready(), Some(0), "to retry, once");
        assert_eq!(ann.pop_ready(), None);
        assert!(matches!(pages.take(key(2), &ann, 0), (PageLookup::Wait(Some(_)), None)));
    }

    #[test]
    fn queued_page_without_readers_is_never_read() {
        let (pages, ann) = (Pages::new(1, 4), mailbox());
        pages.take(key(1), &ann, 0);
        pages.take(key(2), &ann, 1);
        pages.take(key(3), &ann, 2);
        assert_eq!(pages.cancel_wait(&ann, 1), None);
        assert_eq!(pages.cancel(&key(1)), Some(key(3)));
    }

    #[test]
    fn moving_reader_leaves_its_previous_page() {
        let (pages, ann) = (Pages::new(1, 4), mailbox());
        pages.take(key(1), &ann, 0);
        pages.put(0, &key(1), page(9));
        let (wanted, next) = pages.take(key(2), &ann, 0);
        assert!(matches!(wanted, PageLookup::Wait(Some(_))) && next.is_none(), "its room is free at once");
        assert_eq!(lock(&pages.state).slots.len(), 1);
    }

    #[test]
    fn connection_waits_for_few_pages_at_once() {
        let (pages, ann) = (Pages::new(9, 2), mailbox());
        for slot in 0..4 {
            pages.take(key(slot.into()), &ann, slot);
        }
        assert_eq!(lock(&pages.state).in_memory, 2);
        pages.put(0, &key(0), page(9));
        assert_eq!(ann.pop_ready(), Some(0));
        pages.take(key(0), &ann, 0);
        assert_eq!(ann.pop_ready(), Some(2), "the next of its slots");
        (0..4).for_each(|slot| drop(pages.cancel_wait(&ann, slot)));
        (0..4).for_each(|after| drop(pages.put(0, &key(after), page(9))));
        let state = lock(&pages.state);
        assert!(state.slots.is_empty() && state.waits.is_empty() && state.in_memory == 0);
    }
}
