//! The figures of a node.
//!
//! Start at [`HubStats`].

/// Current gauges and counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubStats {
    /// Connections, including those without a `welcome`.
    pub connections: usize,
    /// Sessions, parked ones included.
    pub sessions: usize,
    /// Users that have a connection.
    pub users_online: usize,
    /// Channels that have a subscriber or publications.
    pub channels: usize,
    /// Subscriptions of all connections.
    pub subscriptions: usize,
    /// Bytes of publications in memory.
    pub log_bytes: usize,
    /// Bytes of replies that clients have not yet seen.
    pub reply_bytes: usize,
    /// Bytes of presence changes that some subscriber has not received.
    pub presence_bytes: usize,
    /// Members of rosters, those of parked sessions included.
    pub presence_seats: usize,
    /// Bytes of publications that the engine has not completed.
    pub append_bytes: usize,
    /// Log pages being read, queued, or waiting for their readers.
    pub pages: usize,
    /// Hellos in the admission queue.
    pub hellos_waiting: usize,
    /// Publications since the process started.
    pub publications: u64,
    /// Messages, requests and hellos refused since the process started because they came too fast.
    pub rate_limited: u64,
    /// Clients whose rates are being counted.
    pub rate_keys: usize,
}
