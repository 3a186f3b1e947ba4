//! What few sessions have: rosters that they are in, answers of the back end; and what is known of where they are.
//!
//! Start at [`RareState`]. Sessions without any of it pay only for a pointer.

use std::{net::IpAddr, sync::Arc};

use super::grants::Grants;
use crate::channel::Channel;

/// Boxed while there is any.
#[derive(Default)]
pub(super) struct RareState(Option<Box<Present>>);

#[derive(Default)]
struct Present {
    memberships: Option<Box<Memberships>>,
    /// When its connection began or ended, in monotonic seconds; 0: it has the connection that opened it.
    since_s: u32,
    /// The client's, where it is not shared with others.
    address: Option<IpAddr>,
}

// Each session of a client with an address of its own keeps one.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Present>() <= 32);

#[derive(Default)]
struct Memberships {
    /// Channels whose roster contains the session.
    rosters: Vec<Arc<Channel>>,
    grants: Grants,
}

/// Nothing is granted.
static NO_GRANTS: Grants = Grants::new();

impl RareState {
    pub(super) fn add_roster(&mut self, channel: &Arc<Channel>) {
        if !self.rosters().any(|other| Arc::ptr_eq(other, channel)) {
            self.change_memberships(|memberships| memberships.rosters.push(Arc::clone(channel)));
        }
    }

    pub(super) fn retain_rosters(&mut self, keep: impl FnMut(&Arc<Channel>) -> bool) {
        if self.memberships().is_some() {
            self.change_memberships(|memberships| memberships.rosters.retain(keep));
        }
    }

    pub(super) fn rosters(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.memberships().into_iter().flat_map(|memberships| &memberships.rosters)
    }

    pub(super) fn grants(&self) -> &Grants {
        self.memberships().map_or(&NO_GRANTS, |memberships| &memberships.grants)
    }

    pub(super) fn change_grants(&mut self, change: impl FnOnce(&mut Grants)) {
        self.change_memberships(|memberships| change(&mut memberships.grants));
    }

    /// The client's address.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.0.as_ref().and_then(|present| present.address)
    }

    pub(super) fn set_address(&mut self, address: Option<IpAddr>) {
        self.change(|present| present.address = address);
    }

    /// When the connection began or ended, in monotonic milliseconds; `None` for the one that opened the session.
    pub(super) fn since_ms(&self) -> Option<u64> {
        let since_s = self.0.as_ref().map_or(0, |present| present.since_s);
        (since_s > 0).then_some(u64::from(since_s) * 1000)
    }

    pub(super) fn set_since_ms(&mut self, mono_ms: Option<u64>) {
        let since_s = mono_ms.map_or(0, |ms| u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX).max(1));
        self.change(|present| present.since_s = since_s);
    }

    fn memberships(&self) -> Option<&Memberships> {
        self.0.as_ref()?.memberships.as_deref()
    }

    fn change_memberships(&mut self, change: impl FnOnce(&mut Memberships)) {
        self.change(|present| {
            let memberships = present.memberships.get_or_insert_default();
            change(memberships);
            let is_empty =
                |memberships: &Memberships| memberships.rosters.is_empty() && memberships.grants.is_empty();
            present.memberships.take_if(|memberships| is_empty(memberships));
        });
    }

    fn change(&mut self, change: impl FnOnce(&mut Present)) {
        change(self.0.get_or_insert_default());
        self.0.take_if(|present| {
            let Present { memberships, since_s, address } = &**present;
            memberships.is_none() && *since_s == 0 && address.is_none()
        });
    }
}
