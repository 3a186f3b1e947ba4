//! Positions on their way to the engine: how far users have taken channels, and how far inboxes were handed out.
//!
//! Coalesced here, and handed over about once a second: losing the last of them costs a redelivery and nothing else.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use tautline_protocol::{ChannelName, UserId};

use crate::{
    budget::{Budget, Claim, Holder},
    engine::{Mark, Position},
    sync::{Mutex, lock},
};

const SHARDS: usize = 16;

/// What was not handed over yet.
pub(crate) struct Acks {
    shards: [Mutex<HashMap<Key, Newest>>; SHARDS],
    hasher: RandomState,
    /// Beyond it new positions are not taken until the engine got the others.
    budget: Arc<Budget>,
}

/// How far, and on whom it is booked.
struct Newest {
    position: Position,
    _claim: Claim,
}

type Key = (ChannelName, Option<UserId>);

impl Acks {
    pub(crate) fn new(count_max: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            budget: Budget::new(count_max),
        }
    }

    /// Somebody has taken everything up to `offset`: a user's app, or any connection at all. An older position changes
    /// nothing.
    pub(crate) fn advance(
        &self,
        channel: &ChannelName,
        (user, holder): (Option<&UserId>, Holder),
        epoch: &Arc<str>,
        offset: u64,
    ) {
        let key = (channel.clone(), user.cloned());
        let mut shard = lock(self.shard(&key));
        match shard.entry(key) {
            Entry::Occupied(mut known) => {
                let known = &mut known.get_mut().position;
                let older = if known.epoch == *epoch { known.offset } else { 0 };
                *known = Position { epoch: Arc::clone(epoch), offset: older.max(offset) };
            }
            Entry::Vacant(room) => {
                if let Some(claim) = self.budget.claim(holder, 1, holder.claimant()) {
                    let position = Position { epoch: Arc::clone(epoch), offset };
                    room.insert(Newest { position, _claim: claim });
                }
            }
        }
    }

    /// What is on its way, or else what the engine knew.
    pub(crate) fn newest(
        &self,
        channel: &ChannelName,
        user: Option<&UserId>,
        kept: Option<Position>,
    ) -> Option<Position> {
        let key = (channel.clone(), user.cloned());
        match (lock(self.shard(&key)).get(&key).map(|newest| &newest.position), kept) {
            (Some(new), Some(kept)) if new.epoch == kept.epoch && new.offset < kept.offset => Some(kept),
            (Some(new), _) => Some(new.clone()),
            (None, kept) => kept,
        }
    }

    /// Takes everything that is on its way.
    pub(crate) fn take(&self) -> Vec<Mark> {
        let mark =
            |((channel, user), newest): (Key, Newest)| Mark { channel, user, position: newest.position };
        self.shards.iter().flat_map(|shard| std::mem::take(&mut *lock(shard)).into_iter().map(mark)).collect()
    }

    fn shard(&self, key: &Key) -> &Mutex<HashMap<Key, Newest>> {
        &self.shards[usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).expect("below SHARDS")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_position_of_the_newest_epoch_wins_and_there_is_a_ceiling() {
        let acks = Acks::new(1);
        let (ann, bob) = (UserId::parse("ann").expect("valid"), UserId::parse("bob").expect("valid"));
        let channel = ChannelName::parse("room:7").expect("valid");
        let position = |epoch: &str, offset| Position { epoch: epoch.into(), offset };
        let kept = |offset| Some(position("e", offset));
        let get = |kept| acks.newest(&channel, Some(&ann), kept);
        assert_eq!(get(None), None);
        let (of_ann, greedy) = ((Some(&ann), Holder::of_hash(7)), Holder::of_hash(8));
        acks.advance(&channel, of_ann, &"e".into(), 7);
        acks.advance(&channel, of_ann, &"e".into(), 3);
        assert_eq!(get(None), kept(7));
        assert_eq!((get(kept(9)), get(kept(5))), (kept(9), kept(7)));
        acks.advance(&channel, of_ann, &"f".into(), 1);
        assert_eq!(get(kept(9)), Some(position("f", 1)));
        let full = (0..100).map(|n| UserId::parse(&format!("u{n}")).expect("valid"));
        full.for_each(|user| acks.advance(&channel, (Some(&user), greedy), &"e".into(), 7));
        assert_eq!((acks.take().len(), acks.budget.used()), (1, 0));
        assert_eq!(acks.newest(&channel, Some(&bob), None), None, "handed over");
    }
}
