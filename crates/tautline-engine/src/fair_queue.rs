//! A queue in which holders take turns: a holder with many items delays another one by one item each.
//!
//! Start at [`FairQueue::push`] and [`FairQueue::pop`]. The items of one holder keep their order. Not bounded:
//! the owner decides with [`FairQueue::len_of`] whether a holder may add more.

use std::collections::{HashMap, VecDeque};

use crate::budget::Holder;

/// Empty lists that are kept for the next holders, so that not every item allocates one.
const SPARE_MAX: usize = 64;
/// The largest capacity of a list that is kept.
const SPARE_ITEMS_MAX: usize = 64;
/// Holders for which [`FairQueue::shrink`] leaves room.
const HOLDERS_KEPT: usize = 1024;

/// Items by holder, in round-robin order.
#[derive(Debug)]
pub struct FairQueue<T> {
    /// Contains no empty list.
    lists: HashMap<Holder, VecDeque<T>>,
    /// Each holder with items, once.
    order: VecDeque<Holder>,
    spare: Vec<VecDeque<T>>,
    len: usize,
}

impl<T> FairQueue<T> {
    /// The number of items of all holders.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True without any item.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of items of one holder.
    #[must_use]
    pub fn len_of(&self, holder: Holder) -> usize {
        self.lists.get(&holder).map_or(0, VecDeque::len)
    }

    /// Adds an item behind the others of its holder.
    pub fn push(&mut self, holder: Holder, item: T) {
        let Self { lists, order, spare, len } = self;
        let list = lists.entry(holder).or_insert_with(|| {
            order.push_back(holder);
            spare.pop().unwrap_or_default()
        });
        list.push_back(item);
        *len += 1;
    }

    /// Takes the oldest item of the next holder.
    pub fn pop(&mut self) -> Option<T> {
        let holder = self.order.pop_front()?;
        let list = self.lists.get_mut(&holder)?;
        let item = list.pop_front()?;
        if !list.is_empty() {
            self.order.push_back(holder);
        } else if let Some(list) = self.lists.remove(&holder)
            && self.spare.len() < SPARE_MAX
            && list.capacity() <= SPARE_ITEMS_MAX
        {
            self.spare.push(list);
        }
        self.len -= 1;
        Some(item)
    }

    /// Frees the memory of a burst. Call it when the queue has become empty.
    pub fn shrink(&mut self) {
        self.order.shrink_to(HOLDERS_KEPT);
        self.lists.shrink_to(HOLDERS_KEPT);
    }
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { lists: HashMap::new(), order: VecDeque::new(), spare: Vec::new(), len: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Holder = Holder::of_hash(1);
    const BOB: Holder = Holder::of_hash(2);

    #[test]
    fn holders_take_turns_and_keep_their_order() {
        let mut queue = FairQueue::default();
        (1..=4).for_each(|item| queue.push(ANN, item));
        (11..=12).for_each(|item| queue.push(BOB, item));
        assert_eq!((queue.len(), queue.len_of(ANN), queue.len_of(BOB)), (6, 4, 2));
        let taken: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(taken, [1, 11, 2, 12, 3, 4]);
        assert!(queue.is_empty() && queue.len_of(ANN) == 0);
    }

    #[test]
    fn emptied_queue_keeps_no_holder() {
        let mut queue = FairQueue::default();
        for hash in 1..=5_000 {
            queue.push(Holder::of_hash(hash), ());
        }
        while queue.pop().is_some() {}
        queue.shrink();
        assert!(queue.lists.is_empty() && queue.lists.capacity() < 5_000 && queue.spare.len() <= SPARE_MAX);
    }
}
