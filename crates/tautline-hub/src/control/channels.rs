//! What control tells of channels: rosters and standing.
//!
//! Start at [`Control::standing`].

use tautline_protocol::{ChannelName, packet::server::Roster};

use super::{CONTROL_PAGE_MAX, Control};

/// The standing of a channel on this node.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ChannelStanding {
    /// The channel.
    pub channel: String,
    /// The last offset that this node knows; `None` where it has not asked the engine.
    pub head: Option<u64>,
    /// Subscribed connections on this node.
    pub subscribers: usize,
}

impl Control {
    /// The rosters of many channels, each with at most so many members; `None` where a channel has none.
    #[must_use]
    pub fn rosters(&self, channels: &[ChannelName]) -> Vec<Option<Roster>> {
        let limits = self.0.limits();
        let bounds = (limits.presence_members_max, limits.history_page_bytes_max);
        let roster = |name: &ChannelName| self.0.find_channel(name)?.roster(bounds.0, bounds.1);
        channels.iter().take(CONTROL_PAGE_MAX).map(roster).collect()
    }

    /// The standing of many channels on this node.
    #[must_use]
    pub fn standing(&self, channels: &[ChannelName]) -> Vec<ChannelStanding> {
        let standing = |name: &ChannelName| {
            let open = self.0.find_channel(name);
            ChannelStanding {
                channel: name.to_string(),
                head: open.as_ref().and_then(|open| open.tail_position()).map(|tail| tail.head),
                subscribers: open.map_or(0, |open| open.subscribers()),
            }
        };
        channels.iter().take(CONTROL_PAGE_MAX).map(standing).collect()
    }
}
