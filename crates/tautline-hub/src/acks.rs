//! Buffers positions for the engine: how far users have acknowledged channels, how far inboxes were
//! delivered.
//!
//! Start at [`Acks::advance`]. Positions are coalesced, handed to the engine about once a second, and kept
//! until it has saved them, so that no lookup sees an older one. A crash that loses the last of them causes a
//! redelivery, nothing else.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use tautline_engine::{
    Position, PositionUpdate,
    budget::{Budget, Claim, Holder},
};
use tautline_protocol::{ChannelName, UserId};

use crate::sync::{Mutex, lock};

const SHARDS: usize = 16;

/// Positions that the engine has not saved.
pub(crate) struct Acks {
    shards: [Mutex<HashMap<Key, Newest>>; SHARDS],
    hasher: RandomState,
    /// When it is used up, new positions are dropped until the engine has saved others.
    budget: Arc<Budget>,
}

/// The newest position of a key, with its budget claim.
struct Newest {
    position: Position,
    /// The engine received it and has not answered.
    handed_over: bool,
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

    /// What counts the positions.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Records that a user's app, or any connection at all, has taken everything up to `offset`. An older
    /// position changes nothing.
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
                let known = known.get_mut();
                let before = &known.position;
                if before.epoch != *epoch || before.offset < offset {
                    known.position = Position { epoch: Arc::clone(epoch), offset };
                    known.handed_over = false;
                }
            }
            Entry::Vacant(room) => {
                if let Some(claim) = self.budget.claim(holder, 1, holder.claimant()) {
                    let position = Position { epoch: Arc::clone(epoch), offset };
                    room.insert(Newest { position, handed_over: false, _claim: claim });
                }
            }
        }
    }

    /// Drops what a user has acknowledged and the engine has not saved.
    pub(crate) fn forget(&self, user: &UserId) {
        for shard in &self.shards {
            lock(shard).retain(|(_, acknowledged_by), _| acknowledged_by.as_ref() != Some(user));
        }
    }

    /// The unsaved position, or else the one that the engine reported.
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

    /// Returns the positions to save. Call [`Self::settle`] when the engine has answered.
    pub(crate) fn hand_over(&self) -> Vec<PositionUpdate> {
        let mut updates = Vec::new();
        for shard in &self.shards {
            for ((channel, user), newest) in lock(shard).iter_mut().filter(|(_, newest)| !newest.handed_over)
            {
                newest.handed_over = true;
                let (channel, user) = (channel.clone(), user.clone());
                updates.push(PositionUpdate { channel, user, position: newest.position.clone() });
            }
        }
        updates
    }

    /// The engine saved these updates, or failed to: then they are handed over again.
    pub(crate) fn settle(&self, updates: Vec<PositionUpdate>, is_kept: bool) {
        for PositionUpdate { channel, user, position } in updates {
            let key = (channel, user);
            let mut shard = lock(self.shard(&key));
            // A position that has advanced since is settled by a later answer.
            let Some(newest) = shard.get_mut(&key).filter(|newest| newest.position == position) else {
                continue;
            };
            if is_kept {
                shard.remove(&key);
            } else {
                newest.handed_over = false;
            }
        }
        for shard in &self.shards {
            let mut shard = lock(shard);
            if shard.is_empty() {
                shard.shrink_to_fit();
            }
        }
    }

    fn shard(&self, key: &Key) -> &Mutex<HashMap<Key, Newest>> {
        &self.shards[usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).expect("below SHARDS")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn highest_position_of_newest_epoch_wins_within_budget() {
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
        let updates = acks.hand_over();
        assert_eq!((updates.len(), acks.newest(&channel, Some(&bob), None)), (1, None));
        acks.settle(updates, true);
        assert_eq!((acks.hand_over().len(), acks.budget.used()), (0, 0));
    }

    #[test]
    fn position_is_kept_until_engine_saved_it() {
        let acks = Acks::new(100);
        let ann = UserId::parse("ann").expect("valid");
        let channel = ChannelName::parse("room:7").expect("valid");
        let of_ann = (Some(&ann), Holder::of_hash(7));
        let get = |kept: Option<u64>| {
            let kept = kept.map(|offset| Position { epoch: "e".into(), offset });
            acks.newest(&channel, Some(&ann), kept).map(|position| position.offset)
        };
        acks.advance(&channel, of_ann, &"e".into(), 7);
        let first = acks.hand_over();
        assert_eq!(get(Some(3)), Some(7), "handed over, and not confirmed");
        acks.advance(&channel, of_ann, &"e".into(), 9);
        let second = acks.hand_over();
        acks.settle(first, true);
        assert_eq!(get(Some(7)), Some(9));
        acks.settle(second, true);
        assert_eq!((get(Some(9)), get(None)), (Some(9), None), "the engine's position counts from here on");
    }

    #[test]
    fn refused_position_update_is_handed_over_again() {
        let acks = Acks::new(100);
        let ann = UserId::parse("ann").expect("valid");
        let channel = ChannelName::parse("room:7").expect("valid");
        let of_ann = (Some(&ann), Holder::of_hash(7));
        acks.advance(&channel, of_ann, &"e".into(), 7);
        acks.settle(acks.hand_over(), false);
        let again = acks.hand_over();
        assert_eq!((again.len(), acks.hand_over().len()), (1, 0));
        acks.advance(&channel, of_ann, &"e".into(), 8);
        acks.settle(again, false);
        assert_eq!(acks.hand_over()[0].position.offset, 8, "replaced by a newer one");
    }
}
