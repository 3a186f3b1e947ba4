//! Which users are online.
//!
//! Start at [`Control::users`].

use tautline_protocol::{ChannelName, UserId};

use super::{CONTROL_PAGE_MAX, Control};

/// Whether a user is online on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    /// It has a connection.
    Online,
    /// It has none, and had one.
    Offline,
    /// It has none, and this node remembers none: it never had one, the node was started since, or as many users
    /// as the node remembers (`last_seen_max`) went offline since.
    Unknown,
}

/// A user, as control sees it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UserStatus {
    /// The user.
    pub user: String,
    /// Whether it is online.
    pub state: UserState,
    /// Its connections on this node.
    pub connections: usize,
    /// When its last connection ended, in wall milliseconds; only while it is offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<u64>,
}

impl Control {
    /// Which of these users are online, at most [`CONTROL_PAGE_MAX`] of them.
    #[must_use]
    pub fn users(&self, users: &[UserId]) -> Vec<UserStatus> {
        users.iter().take(CONTROL_PAGE_MAX).map(|user| self.user(user)).collect()
    }

    fn user(&self, user: &UserId) -> UserStatus {
        // Each connection of a user is subscribed to the user's inbox.
        let inbox = ChannelName::of_user(user).ok();
        let open = inbox.as_ref().and_then(|inbox| self.0.find_channel(inbox));
        let connections = open.map_or(0, |open| open.subscribers());
        let is_online = connections > 0;
        let last_seen = self.0.last_seen().get(user).filter(|_| !is_online);
        let state = match (is_online, last_seen) {
            (true, _) => UserState::Online,
            (false, Some(_)) => UserState::Offline,
            (false, None) => UserState::Unknown,
        };
        UserStatus { user: user.to_string(), state, connections, last_seen }
    }
}
