//! What control tells of sessions.
//!
//! Start at [`Control::find`].

use std::{collections::BTreeMap, net::IpAddr};

use tautline_protocol::{Now, UserId};

use super::{CONTROL_PAGE_MAX, Control, Target};
use crate::{Hub, client_network, session::LiveSession, session::id::SessionId};

/// Selects sessions: by all parts that are given.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SessionFilter {
    /// The user.
    pub user: Option<UserId>,
    /// Labels of the login, each with its value.
    pub labels: BTreeMap<String, String>,
    /// The client's address, or in IPv6 any of its network.
    pub address: Option<IpAddr>,
    /// The host that the client runs in, as its hello says.
    pub platform: Option<String>,
    /// The client's SDK, as its hello says: `name/version`, or `name` for all versions.
    pub sdk: Option<String>,
    /// The node.
    pub node: Option<String>,
    /// Whether it has a connection.
    pub is_connected: Option<bool>,
}

/// A session, as control sees it. Times are in wall milliseconds, rounded to a second.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SessionInfo {
    /// Its id.
    pub session: String,
    /// Its user; `None` for a guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The labels of its login.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The client's address, or in IPv6 its network; `None` where many clients share it, as behind a proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The host that the client runs in, as its hello said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The client's SDK with its version, as its hello said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sdk: Option<String>,
    /// The node that has it.
    pub node: String,
    /// When this node opened it.
    pub opened_at: u64,
    /// Whether it has a connection at present.
    pub is_connected: bool,
    /// When its connection began; `None` where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected_at: Option<u64>,
    /// When its last connection ended; `None` where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub away_at: Option<u64>,
    /// Channels that the connection is subscribed to.
    pub channels: u16,
}

/// A page of sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<SessionInfo>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<String>,
}

impl Control {
    /// The sessions of a target, parked ones included: at most `count_max` and [`CONTROL_PAGE_MAX`], from behind
    /// `after`, which is the `next` of the page before.
    #[must_use]
    pub fn find(&self, now: Now, target: &Target, after: Option<&str>, count_max: usize) -> SessionPage {
        let count_max = count_max.clamp(1, CONTROL_PAGE_MAX);
        let mut page = SessionPage::default();
        for session in self.0.sessions().behind(after.and_then(SessionId::parse)) {
            let Some(live) = session.live().filter(|live| live.is_meant(&self.0, target)) else { continue };
            if page.sessions.len() == count_max {
                page.next = page.sessions.last().map(|last| last.session.clone());
                break;
            }
            page.sessions.push(live.info(&self.0, now));
        }
        page
    }

    /// One session; `None` if it is not on this node.
    #[must_use]
    pub fn show(&self, now: Now, session: &str) -> Option<SessionInfo> {
        let found = self.0.sessions().get(SessionId::parse(session)?)?;
        found.live().map(|live| live.info(&self.0, now))
    }
}

impl LiveSession<'_> {
    pub(super) fn is_meant(&self, hub: &Hub, target: &Target) -> bool {
        match target {
            Target::User(user) => self.is_of(user),
            Target::Session(id) => SessionId::parse(id) == Some(self.id()),
            Target::Label { name, value } => self.has_label(name, value),
            Target::Matching(filter) => self.matches(hub, filter),
        }
    }

    fn matches(&self, hub: &Hub, filter: &SessionFilter) -> bool {
        let SessionFilter { user, labels, address, platform, sdk, node, is_connected } = filter;
        user.as_ref().is_none_or(|user| self.is_of(user))
            && labels.iter().all(|(name, value)| self.has_label(name, value))
            && address.is_none_or(|address| self.address() == Some(client_network(address)))
            && node.as_ref().is_none_or(|node| node == hub.node())
            && is_connected.is_none_or(|is_connected| is_connected == self.is_connected())
            && (platform.is_none() && sdk.is_none()
                || self.client(hub).is_some_and(|software| {
                    let is_sdk = |sdk: &String| {
                        let name = software.sdk.split('/').next();
                        software.sdk == *sdk || name == Some(sdk.as_str())
                    };
                    platform.as_ref().is_none_or(|platform| software.platform == *platform)
                        && sdk.as_ref().is_none_or(is_sdk)
                }))
    }

    fn is_of(&self, user: &UserId) -> bool {
        self.login().identity.user.as_ref() == Some(user)
    }

    fn has_label(&self, name: &str, value: &str) -> bool {
        let details = self.login().identity.details.as_ref();
        details.is_some_and(|details| details.labels.get(name).is_some_and(|label| **label == *value))
    }

    fn info(&self, hub: &Hub, now: Now) -> SessionInfo {
        let (opened_at, since) = (wall_ms(now, self.opened_ms()), wall_ms(now, self.since_ms()));
        let identity = &self.login().identity;
        let labels = identity.details.iter().flat_map(|details| &details.labels);
        let software = self.client(hub);
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        SessionInfo {
            session: self.id().to_string(),
            user: identity.user.as_ref().map(ToString::to_string),
            labels: labels.map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            address: self.address(),
            platform: software.as_ref().and_then(|software| part(&software.platform)),
            sdk: software.as_ref().and_then(|software| part(&software.sdk)),
            node: hub.node().to_owned(),
            opened_at,
            is_connected: self.is_connected(),
            connected_at: self.is_connected().then_some(since),
            away_at: (!self.is_connected()).then_some(since),
            channels: self.channels(),
        }
    }
}

/// The wall time of a moment, which may have been rounded up beyond now: it is the same at each look.
fn wall_ms(now: Now, mono_ms: u64) -> u64 {
    (now.wall_ms + mono_ms).saturating_sub(now.mono_ms)
}
