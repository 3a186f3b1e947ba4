//! Pages of logs for readers that are behind the tail: read once for all who stand at the same place, bounded in number.
//!
//! A page stays until those who asked for it have taken it, or for a moment: a reader whose socket is stalled would hold
//! it for ever, and asks again when it needs it.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use tautline_protocol::ChannelName;

use crate::{
    bell::Bell,
    packets::Packets,
    sync::{Mutex, lock},
};

/// How long a page waits to be taken, and a place whose page could not be read for the next try, in milliseconds.
const PAGE_MS: u64 = 2_000;

/// Which page: what follows an offset, in one turn of a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PageKey {
    pub(crate) channel: ChannelName,
    /// The channel's number: turns are counted anew in each that bears the name.
    pub(crate) number: u64,
    pub(crate) turn: u32,
    pub(crate) after: u64,
}

/// Who waits: a connection and the slot of its subscription.
type Waiter = (Arc<Bell>, u32);

/// All pages of a node.
pub(crate) struct Pages {
    state: Mutex<State>,
    pages_max: usize,
}

#[derive(Default)]
struct State {
    slots: HashMap<PageKey, Slot>,
    /// Those that wait for room.
    queue: VecDeque<PageKey>,
    /// Pages that are being read or wait to be taken.
    live: usize,
}

struct Slot {
    waiters: Vec<Waiter>,
    page: Stage,
}

enum Stage {
    Queued,
    Reading,
    /// Here since this monotonic time; nothing, where it could not be read.
    Here(u64, Option<(Packets, u64)>),
}

/// What a reader that is behind gets.
pub(crate) enum Wanted {
    /// The packets, and where the reader then stands.
    Page(Packets, u64),
    /// It will be rung; this page is to be read now, if any.
    Wait(Option<PageKey>),
}

impl Pages {
    pub(crate) fn new(pages_max: usize) -> Self {
        Self { state: Mutex::default(), pages_max: pages_max.max(1) }
    }

    /// Takes a page, or waits for it.
    pub(crate) fn take(&self, key: PageKey, bell: &Arc<Bell>, slot: u32) -> (Wanted, Option<PageKey>) {
        let mut state = lock(&self.state);
        if let Some(taken) = state.take_asked(&key, bell, slot) {
            return taken;
        }
        let waiters = vec![(Arc::clone(bell), slot)];
        let has_room = state.live < self.pages_max;
        let page = if has_room { Stage::Reading } else { Stage::Queued };
        state.slots.insert(key.clone(), Slot { waiters, page });
        if has_room {
            state.live += 1;
            return (Wanted::Wait(Some(key)), None);
        }
        state.queue.push_back(key);
        (Wanted::Wait(None), None)
    }

    /// Takes a page that was asked for just now and may be here already. Where it was cancelled instead, its reader was rung
    /// and looks anew: asking once more would begin a page that nobody reads.
    pub(crate) fn take_asked(&self, key: &PageKey, bell: &Arc<Bell>, slot: u32) -> (Wanted, Option<PageKey>) {
        lock(&self.state).take_asked(key, bell, slot).unwrap_or((Wanted::Wait(None), None))
    }

    /// A page was read: these packets, up to this offset. Nothing, where it could not be read: its readers come again after
    /// a while. Rings who waits for it.
    pub(crate) fn put(&self, now_ms: u64, key: &PageKey, page: Option<(Packets, u64)>) {
        let mut state = lock(&self.state);
        let Some(slot) = state.slots.get_mut(key) else { return };
        let ring = page.is_some();
        slot.page = Stage::Here(now_ms, page);
        if ring {
            slot.waiters.iter().for_each(|(bell, slot)| bell.ring(*slot));
        }
    }

    /// What was to be read is not to be found there any more: rings who waits, so that they look anew. Returns what there is
    /// room for now.
    pub(crate) fn cancel(&self, key: &PageKey) -> Option<PageKey> {
        let mut state = lock(&self.state);
        let slot = state.slots.get_mut(key)?;
        slot.waiters.drain(..).for_each(|(bell, slot)| bell.ring(slot));
        state.drop_page(key)
    }

    /// Drops pages that nobody took, and lets those whose page could not be read try again. Returns what is to be read now.
    pub(crate) fn tidy(&self, now_ms: u64) -> Vec<PageKey> {
        let mut state = lock(&self.state);
        let mut old: Vec<PageKey> = state
            .slots
            .iter()
            .filter(|(_, slot)| matches!(slot.page, Stage::Here(since, _) if now_ms >= since + PAGE_MS))
            .map(|(key, _)| key.clone())
            .collect();
        // Maps have no order of their own; what follows must not depend on the hasher.
        old.sort_unstable_by_key(|key| (key.number, key.turn, key.after));
        let mut next = Vec::new();
        for key in old {
            if let Some(slot) = state.slots.get_mut(&key) {
                slot.waiters.drain(..).for_each(|(bell, slot)| bell.ring(slot));
            }
            next.extend(state.drop_page(&key));
        }
        next
    }
}

impl State {
    /// Takes a page that somebody has asked for, or waits for it. Nothing, where nobody has.
    fn take_asked(
        &mut self,
        key: &PageKey,
        bell: &Arc<Bell>,
        slot: u32,
    ) -> Option<(Wanted, Option<PageKey>)> {
        let found = self.slots.get_mut(key)?;
        let mine = |(other, at): &Waiter| Arc::ptr_eq(other, bell) && *at == slot;
        if let Stage::Here(_, Some((packets, to))) = &found.page {
            let page = Wanted::Page(packets.clone(), *to);
            found.waiters.retain(|waiter| !mine(waiter));
            let next = if found.waiters.is_empty() { self.drop_page(key) } else { None };
            return Some((page, next));
        }
        if !found.waiters.iter().any(mine) {
            found.waiters.push((Arc::clone(bell), slot));
        }
        Some((Wanted::Wait(None), None))
    }

    /// Gives a page's room to the next that waits for it.
    fn drop_page(&mut self, key: &PageKey) -> Option<PageKey> {
        self.slots.remove(key);
        self.live -= 1;
        while let Some(next) = self.queue.pop_front() {
            if let Some(slot) = self.slots.get_mut(&next) {
                slot.page = Stage::Reading;
                self.live += 1;
                return Some(next);
            }
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
        PageKey { channel: ChannelName::parse("room:7").expect("valid"), number: 0, turn: 0, after }
    }

    fn bell() -> Arc<Bell> {
        Bell::new(1, Waker::noop().clone())
    }

    fn page(to: u64) -> Option<(Packets, u64)> {
        Some((Packets::new(Bytes::from_static(b"{}")), to))
    }

    fn taken(wanted: &(Wanted, Option<PageKey>)) -> Option<u64> {
        match wanted.0 {
            Wanted::Page(_, to) => Some(to),
            Wanted::Wait(_) => None,
        }
    }

    #[test]
    fn those_who_stand_together_share_a_page_that_goes_when_all_have_it() {
        let (pages, ann, bob) = (Pages::new(4), bell(), bell());
        assert!(matches!(pages.take(key(1), &ann, 0), (Wanted::Wait(Some(_)), None)), "it is to be read");
        assert!(matches!(pages.take(key(1), &bob, 5), (Wanted::Wait(None), None)), "once");
        pages.put(0, &key(1), page(9));
        assert_eq!((ann.next_news(), bob.next_news()), (Some(0), Some(5)));
        assert_eq!(taken(&pages.take(key(1), &ann, 0)), Some(9));
        assert_eq!(taken(&pages.take(key(1), &bob, 5)), Some(9));
        assert_eq!(lock(&pages.state).live, 0);
    }

    #[test]
    fn pages_are_bounded_and_the_next_is_read_when_there_is_room() {
        let (pages, ann) = (Pages::new(1), bell());
        pages.take(key(1), &ann, 0);
        assert!(matches!(pages.take(key(2), &ann, 1), (Wanted::Wait(None), None)));
        pages.put(0, &key(1), page(9));
        let (_, next) = pages.take(key(1), &ann, 0);
        assert_eq!(next, Some(key(2)));
    }

    #[test]
    fn a_page_that_nobody_takes_goes_and_its_reader_is_rung() {
        let (pages, ann) = (Pages::new(1), bell());
        pages.take(key(1), &ann, 0);
        pages.put(0, &key(1), page(9));
        assert_eq!(ann.next_news(), Some(0));
        pages.take(key(2), &ann, 3);
        assert!(pages.tidy(PAGE_MS - 1).is_empty());
        assert_eq!(pages.tidy(PAGE_MS), [key(2)]);
        assert_eq!(ann.next_news(), Some(0), "to ask again");
    }

    #[test]
    fn a_page_that_was_cancelled_is_not_asked_for_in_passing() {
        let (pages, ann) = (Pages::new(1), bell());
        pages.take(key(1), &ann, 0);
        pages.cancel(&key(1));
        assert_eq!(ann.next_news(), Some(0), "to look anew");
        assert!(matches!(pages.take_asked(&key(1), &ann, 0), (Wanted::Wait(None), None)));
        assert_eq!(lock(&pages.state).live, 0, "nothing is being read");
    }

    #[test]
    fn a_page_that_can_not_be_read_is_tried_again_after_a_while() {
        let (pages, ann) = (Pages::new(1), bell());
        pages.take(key(1), &ann, 0);
        pages.put(0, &key(1), None);
        assert_eq!(ann.next_news(), None);
        pages.tidy(PAGE_MS);
        assert_eq!(ann.next_news(), Some(0));
        assert!(matches!(pages.take(key(1), &ann, 0), (Wanted::Wait(Some(_)), None)));
    }
}
