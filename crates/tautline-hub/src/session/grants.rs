//! Permissions that the back end has granted to a session.
//!
//! Start at [`Grants::allows`]. They belong to the session and not to its connection, so that a client that
//! comes back is not asked about again.

use tautline_protocol::ChannelName;

use crate::Permission;

/// Permissions that the back end has granted.
#[derive(Default)]
pub(crate) struct Grants(Vec<Granted>);

struct Granted {
    channel: ChannelName,
    permission: Permission,
    /// In monotonic milliseconds; `u64::MAX` for as long as the client is subscribed.
    until_ms: u64,
}

impl Grants {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// True while the back end's permission holds.
    pub(crate) fn allows(&self, now_ms: u64, channel: &ChannelName, permission: Permission) -> bool {
        self.find(channel, permission).is_some_and(|at| now_ms < self.0[at].until_ms)
    }

    /// Keeps a permission until `until_ms`. Beyond `count_max` the one that was granted first is forgotten:
    /// the back end is asked again.
    pub(crate) fn grant(
        &mut self,
        now_ms: u64,
        (channel, permission): (&ChannelName, Permission),
        until_ms: u64,
        count_max: usize,
    ) {
        self.0.retain(|granted| now_ms < granted.until_ms);
        // An answer to another request does not shorten a permission, such as one for a subscription's life.
        let lasting = self.find(channel, permission).is_some_and(|at| self.0[at].until_ms >= until_ms);
        if now_ms < until_ms && count_max > 0 && !lasting {
            self.withdraw(channel, permission);
            self.0.drain(..(self.0.len() + 1).saturating_sub(count_max));
            self.0.push(Granted { channel: channel.clone(), permission, until_ms });
        }
    }

    /// The subscription has ended: what was granted for its life ends with it.
    pub(crate) fn end_subscription(&mut self, channel: &ChannelName) {
        self.0.retain(|granted| granted.until_ms != u64::MAX || granted.channel != *channel);
    }

    /// Forgets a permission, however long it was to hold.
    pub(crate) fn withdraw(&mut self, channel: &ChannelName, permission: Permission) {
        self.0.retain(|granted| granted.permission != permission || granted.channel != *channel);
    }

    /// Forgets what `keep` rejects.
    pub(super) fn retain(&mut self, keep: impl Fn(&ChannelName, Permission) -> bool) {
        self.0.retain(|granted| keep(&granted.channel, granted.permission));
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, channel: &ChannelName, permission: Permission) -> Option<usize> {
        self.0.iter().position(|granted| granted.permission == permission && granted.channel == *channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> ChannelName {
        ChannelName::parse(name).expect("valid")
    }

    #[test]
    fn grant_holds_until_its_time() {
        let (mut grants, room) = (Grants::default(), channel("room:7"));
        grants.grant(0, (&room, Permission::Publish), 10, 4);
        assert!(grants.allows(9, &room, Permission::Publish));
        assert!(!grants.allows(10, &room, Permission::Publish));
        assert!(!grants.allows(9, &room, Permission::Subscribe));
        assert!(!grants.allows(9, &channel("room:8"), Permission::Publish));
        grants.grant(10, (&room, Permission::Publish), 10, 4);
        assert!(grants.is_empty(), "nothing that has passed is kept");
    }

    #[test]
    fn shorter_grant_leaves_longer_one() {
        let (mut grants, room) = (Grants::default(), channel("room:7"));
        grants.grant(0, (&room, Permission::Subscribe), u64::MAX, 4);
        grants.grant(0, (&room, Permission::Subscribe), 0, 4);
        grants.grant(0, (&room, Permission::Subscribe), 10, 4);
        assert!(grants.allows(11, &room, Permission::Subscribe));
    }

    #[test]
    fn full_list_forgets_the_oldest_grant() {
        let mut grants = Grants::default();
        let names = ["a", "b", "c"].map(channel);
        for name in &names {
            grants.grant(0, (name, Permission::Subscribe), u64::MAX, 2);
        }
        let held = names.each_ref().map(|name| grants.allows(1, name, Permission::Subscribe));
        assert_eq!(held, [false, true, true]);
    }

    #[test]
    fn ended_subscription_keeps_only_timed_grants() {
        let (mut grants, room) = (Grants::default(), channel("room:7"));
        grants.grant(0, (&room, Permission::Subscribe), u64::MAX, 4);
        grants.grant(0, (&room, Permission::Publish), 50, 4);
        grants.end_subscription(&room);
        assert!(!grants.allows(1, &room, Permission::Subscribe));
        assert!(grants.allows(1, &room, Permission::Publish));
    }
}
