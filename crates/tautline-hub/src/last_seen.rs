//! When users went offline, as far as there is room.
//!
//! Start at [`LastSeen::record`]. The user that went first is forgotten first.

use std::collections::{BTreeMap, HashMap};

use tautline_protocol::ChannelName;

use crate::sync::{Mutex, lock};

/// When the last connection of users ended, by their inboxes.
pub(crate) struct LastSeen {
    state: Mutex<State>,
    count_max: usize,
}

#[derive(Default)]
struct State {
    by_inbox: HashMap<ChannelName, Seen>,
    /// In the order of going.
    order: BTreeMap<u64, ChannelName>,
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

    /// The last connection that read this inbox has ended.
    pub(crate) fn record(&self, inbox: &ChannelName, wall_ms: u64) {
        let mut state = lock(&self.state);
        state.gone += 1;
        let number = state.gone;
        if let Some(before) = state.by_inbox.insert(inbox.clone(), Seen { number, wall_ms }) {
            state.order.remove(&before.number);
        }
        state.order.insert(number, inbox.clone());
        if state.by_inbox.len() > self.count_max
            && let Some((_, oldest)) = state.order.pop_first()
        {
            state.by_inbox.remove(&oldest);
        }
    }

    /// When the user of this inbox went, if that is remembered.
    pub(crate) fn get(&self, inbox: &ChannelName) -> Option<u64> {
        lock(&self.state).by_inbox.get(inbox).map(|seen| seen.wall_ms)
    }

    /// Forgets a user.
    pub(crate) fn forget(&self, inbox: &ChannelName) {
        let mut state = lock(&self.state);
        if let Some(seen) = state.by_inbox.remove(inbox) {
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
        let [ann, bob, eve] =
            ["user:ann", "user:bob", "user:eve"].map(|name| ChannelName::parse(name).expect("valid"));
        seen.record(&ann, 1);
        seen.record(&bob, 2);
        seen.record(&ann, 3);
        seen.record(&eve, 4);
        assert_eq!([&ann, &bob, &eve].map(|inbox| seen.get(inbox)), [Some(3), None, Some(4)]);
        seen.forget(&ann);
        seen.record(&bob, 5);
        assert_eq!([&ann, &bob, &eve].map(|inbox| seen.get(inbox)), [None, Some(5), Some(4)]);
        assert_eq!(lock(&seen.state).order.len(), 2);
    }

    #[test]
    fn nothing_is_remembered_without_room() {
        let seen = LastSeen::new(0);
        let ann = ChannelName::parse("user:ann").expect("valid");
        seen.record(&ann, 1);
        assert_eq!(seen.get(&ann), None);
        assert!(lock(&seen.state).order.is_empty());
    }
}
