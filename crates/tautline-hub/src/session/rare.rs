//! What few sessions have: rosters that they are in, answers of the back end.
//!
//! Start at [`RareState`]. Most sessions have neither and pay only for a pointer.

use std::sync::Arc;

use super::grants::Grants;
use crate::channel::Channel;

/// Boxed while there is any.
#[derive(Default)]
pub(super) struct RareState(Option<Box<Present>>);

#[derive(Default)]
struct Present {
    /// Channels whose roster contains the session.
    rosters: Vec<Arc<Channel>>,
    grants: Grants,
}

/// Nothing is granted.
static NO_GRANTS: Grants = Grants::new();

impl RareState {
    pub(super) fn add_roster(&mut self, channel: &Arc<Channel>) {
        if !self.rosters().any(|other| Arc::ptr_eq(other, channel)) {
            self.0.get_or_insert_default().rosters.push(Arc::clone(channel));
        }
    }

    pub(super) fn retain_rosters(&mut self, keep: impl FnMut(&Arc<Channel>) -> bool) {
        if let Some(present) = &mut self.0 {
            present.rosters.retain(keep);
        }
        self.drop_if_empty();
    }

    pub(super) fn rosters(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.0.iter().flat_map(|present| &present.rosters)
    }

    pub(super) fn grants(&self) -> &Grants {
        self.0.as_ref().map_or(&NO_GRANTS, |present| &present.grants)
    }

    pub(super) fn change_grants(&mut self, change: impl FnOnce(&mut Grants)) {
        change(&mut self.0.get_or_insert_default().grants);
        self.drop_if_empty();
    }

    fn drop_if_empty(&mut self) {
        self.0.take_if(|present| present.rosters.is_empty() && present.grants.is_empty());
    }
}
