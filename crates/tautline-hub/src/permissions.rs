//! Who may do what in a channel.
//!
//! Start at [`Client::decide`]. The rule of a channel says for each permission which clients have it; what is
//! known about a client comes from its login. There is no other source, and no permission by default.

use tautline_protocol::{ChannelName, Pattern};

use crate::{Access, ChannelRule, Identity, Permission, Place, session::id::SessionId};

/// Whether a client has a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It has.
    Allow,
    /// It has not.
    Deny,
    /// The app's back end decides.
    Ask,
}

/// A client as permissions see it.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    identity: &'a Identity,
    /// Names a guest in a channel; `None` before the session is known.
    session: Option<SessionId>,
}

impl<'a> Client<'a> {
    /// A client that has no session yet.
    #[must_use]
    pub const fn new(identity: &'a Identity) -> Self {
        Self { identity, session: None }
    }

    pub(crate) const fn in_session(identity: &'a Identity, session: SessionId) -> Self {
        Self { identity, session: Some(session) }
    }

    /// Whether this client has a permission in a channel with this rule.
    #[must_use]
    pub fn decide(&self, rule: &ChannelRule, channel: &ChannelName, permission: Permission) -> Decision {
        if channel.is_user() {
            let is_own = self.owns_inbox(channel) && permission != Permission::Publish;
            return if is_own { Decision::Allow } else { Decision::Deny };
        }
        let (access, permission) = rule.access(permission);
        let holds = match access {
            Access::None => false,
            Access::Backend => return Decision::Ask,
            Access::Token => self.is_granted(channel, permission),
            Access::User => self.is_named_user(rule, channel),
            Access::Guest => self.is_named_guest(rule, channel),
            Access::Any => true,
        };
        if holds { Decision::Allow } else { Decision::Deny }
    }

    fn owns_inbox(&self, channel: &ChannelName) -> bool {
        let owner = channel.as_str().strip_prefix(ChannelName::USER_PREFIX);
        self.identity.user.as_ref().is_some_and(|user| owner == Some(user.as_str()))
    }

    /// True when the token names the channel for this permission.
    fn is_granted(&self, channel: &ChannelName, permission: Permission) -> bool {
        let opens = |pattern: &Pattern| pattern.matches(channel.as_str());
        let Identity { channels, details, .. } = self.identity;
        channels.iter().any(opens)
            || details.as_ref().is_some_and(|details| {
                let is_for_this =
                    |(granted, pattern): &(Permission, Pattern)| *granted == permission && opens(pattern);
                details.grants.iter().any(is_for_this)
                    || (permission == Permission::Subscribe && details.subs.contains(channel))
            })
    }

    fn is_named_user(&self, rule: &ChannelRule, channel: &ChannelName) -> bool {
        let Some(user) = &self.identity.user else { return false };
        !rule.pattern.has(Place::User)
            || rule.pattern.names(Place::User, channel.as_str(), |segment| segment == user.as_str())
    }

    fn is_named_guest(&self, rule: &ChannelRule, channel: &ChannelName) -> bool {
        let is_guest = self.identity.user.is_none();
        let is_own = |segment: &str| self.session.is_some() && self.session == SessionId::parse(segment);
        is_guest && rule.pattern.names(Place::Guest, channel.as_str(), is_own)
    }
}
