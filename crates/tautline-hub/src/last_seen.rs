//! When users went offline, as far as there is room.
//!
//! Start at [`LastSeen::record`]. The user that went first is forgotten first.

use std::collections::{BTreeMap, HashMap};

use tautline_protocol::UserId;

use crate::sync::{Mutex, lock};

/// When connections of users ended last.
pub(crate) struct LastSeen {
    state: Mutex<State>,
    count_max: usize,
}

#[derive(Default)]
struct State {
    by_user: HashMap<UserId, Seen>,
    /// In the order of going.
    order: BTreeMap<u64, UserId>,
    gone: u64,
}

struct Seen {
    number: u64,
    wall_ms: u64,
}

impl LastSeen {
    pub(crate) fn new(count_max: usize) -> Self {
        Self { state: Mutex::default(), count_max }
    }

    /// A connection of this user has ended.
    pub(crate) fn record(&self, user: &UserId, wall_ms: u64) {
        let mut state = lock(&self.state);
        state.gone += 1;
        let number = state.gone;
        if let Some(before) = state.by_user.insert(user.clone(), Seen { number, wall_ms }) {
            state.order.remove(&before.number);
        }
        state.order.insert(number, user.clone());
        if state.by_user.len() > self.count_max
            && let Some((_, oldest)) = state.order.pop_first()
        {
            state.by_user.remove(&oldest);
        }
    }

    /// When this user went, if that is remembered.
    pub(crate) fn get(&self, user: &UserId) -> Option<u64> {
        lock(&self.state).by_user.get(user).map(|seen| seen.wall_ms)
    }

    /// Forgets a user.
    pub(crate) fn forget(&self, user: &UserId) {
        let mut state = lock(&self.state);
        if let Some(seen) = state.by_user.remove(user) {
            state.order.remove(&seen.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_that_went_first_is_forgotten_first() {
        let seen = LastSeen::new(2);
        let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| UserId::parse(name).expect("valid"));
        seen.record(&ann, 1);
        seen.record(&bob, 2);
        seen.record(&ann, 3);
        seen.record(&eve, 4);
        assert_eq!([&ann, &bob, &eve].map(|user| seen.get(user)), [Some(3), None, Some(4)]);
        seen.forget(&ann);
        seen.record(&bob, 5);
        assert_eq!([&ann, &bob, &eve].map(|user| seen.get(user)), [None, Some(5), Some(4)]);
        assert_eq!(lock(&seen.state).order.len(), 2);
    }

    #[test]
    fn nothing_is_remembered_without_room() {
        let seen = LastSeen::new(0);
        let ann = UserId::parse("ann").expect("valid");
        seen.record(&ann, 1);
        assert_eq!(seen.get(&ann), None);
        assert!(lock(&seen.state).order.is_empty());
    }
}
