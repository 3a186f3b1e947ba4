//! All limits on sizes, counts and waits, in one place (protocol, section 9).

/// Maximum nesting of a msgpack packet, including its own map. Not configurable: both ends must know it.
pub const MSGPACK_DEPTH_MAX: usize = 64;

/// Maximum nesting of the payload of a `publish` or `call` in either format: in a msgpack packet, the maps of
/// the packet and its body surround it.
pub const DATA_DEPTH_MAX: usize = MSGPACK_DEPTH_MAX - 2;

/// Minimum bytes of a `hello.key`: guests are distinguished by their key alone. Not configurable: clients
/// generate it.
pub const KEY_BYTES_MIN: usize = 16;

/// The highest `resume.attempt`: its successor still fits in a JavaScript number. Not configurable: clients
/// generate it.
pub const ATTEMPT_MAX: u64 = 1 << 52;

/// The limits of a gateway. All are configurable; `Default` is the protocol's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest message of a client after its welcome, in bytes. Default 64 KiB.
    pub message_bytes_max: usize,
    /// Largest message that carries a `hello`, in bytes. Default 256 KiB.
    pub hello_bytes_max: usize,
    /// Largest `welcome`, in bytes; channels that do not fit are left out. Default 512 KiB.
    pub welcome_bytes_max: usize,
    /// Largest message that the server batches from several packets, in bytes. Default 64 KiB.
    pub batch_bytes_max: usize,
    /// Channels a connection may be subscribed to. Default 1,024.
    pub channels_max: usize,
    /// Running calls per session; the server does not read past the next one. Default 256.
    pub requests_in_flight_max: usize,
    /// Unseen replies per session. Default 1,024.
    pub replies_unseen_max: usize,
    /// Bytes of unseen replies per session. Default 1 MiB.
    pub replies_unseen_bytes_max: usize,
    /// Bytes of unseen replies over all sessions. Default 256 MiB.
    pub replies_bytes_max: usize,
    /// Bytes of unseen replies that a session may always hold, while the last eighth of `replies_bytes_max`
    /// lasts. Default 16 KiB.
    pub replies_floor_bytes: usize,
    /// Publications on one page of history. Default 1,000.
    pub history_page_max: usize,
    /// Bytes on one page of history. Default 256 KiB.
    pub history_page_bytes_max: usize,
    /// Members that a reply to `presence` names. Default 1,000.
    pub presence_members_max: usize,
    /// Bytes of presence changes on this node that some subscriber has not received. Default 64 MiB.
    pub presence_bytes_max: usize,
    /// Hellos per connection. Default 3.
    pub hellos_max: u32,
    /// New sessions admitted within one millisecond, beside four times as many resumed ones; more are queued
    /// behind connections that are being opened. Default 4.
    pub new_sessions_per_ms_max: u32,
    /// How long the `hello` of a new client waits in the admission queue before it is told to retry. Default
    /// 100 ms.
    pub admission_wait_ms: u64,
    /// Longest wait for the first packet. Default 10 s.
    pub hello_ms: u64,
    /// Longest wait for a `hello` after a challenge, which requires a login. Default 30 s.
    pub challenge_ms: u64,
    /// How long a client may be silent before it pings. Default 25 s.
    pub ping_ms: u64,
    /// How long a client waits for the pong. Default 8 s.
    pub pong_ms: u64,
    /// How long a session without a connection is kept. Default 120 s.
    pub park_ms: u64,
    /// How long a repeated `key` opens the same session. Default 60 s.
    pub key_ms: u64,
    /// How far ahead of the server's clock an `attempt` counts: a higher one wins, and is stored as this far
    /// ahead, so that the owner can outbid it a moment later. Default 48 h: the clocks of devices are often a
    /// day wrong.
    pub attempt_ahead_ms: u64,
    /// Lifetime of a ticket. Default 24 h.
    pub ticket_ms: u64,
    /// Longest lifetime of an authentication without an expiry of its own. Default 7 days.
    pub auth_age_ms: u64,
    /// Longest wait for a method. Default 30 s.
    pub call_ms_max: u64,
    /// Bytes of running calls on this node, each with its data and 1 KiB. Default 256 MiB.
    pub calls_bytes_max: usize,
    /// Sessions on this node, parked ones included. Default 1,000,000.
    pub sessions_max: usize,
    /// Ended sessions whose tickets are remembered as void, until these expire. Who has its share is remembered no more of them;
    /// for others the one that ended first is forgotten. Default 1,000,000.
    pub revocations_max: usize,
    /// Channels on this node. Default 1,000,000.
    pub channel_count_max: usize,
    /// Bytes of publications that this node keeps in memory. Default 1 GiB.
    pub log_bytes_max: usize,
    /// Acknowledged positions on this node; beyond that, new ones are dropped. Default 1,000,000.
    pub acks_max: usize,
    /// Publications of a channel kept in memory for live readers. Default 256.
    pub tail_entries_max: usize,
    /// Bytes of a channel's publications kept in memory for live readers. Default 64 KiB.
    pub tail_bytes_max: usize,
    /// Pages on this node being read for readers behind the tail, or waiting for them. Default 256.
    pub pages_max: usize,
    /// Pages that one connection may wait for at a time. Default 8.
    pub pages_connection_max: usize,
    /// Bytes of publications on this node that the engine has not completed. Default 64 MiB.
    pub appends_bytes_max: usize,
}

impl Limits {
    /// The silence after which a client is closed, in milliseconds: two missing pings and the wait for a
    /// pong.
    #[must_use]
    pub const fn silence_ms(&self) -> u64 {
        2 * self.ping_ms + self.pong_ms
    }
}

impl Default for Limits {
    fn default() -> Self {
        const KIB: usize = 1024;
        const SECOND: u64 = 1000;
        Self {
            message_bytes_max: 64 * KIB,
            hello_bytes_max: 256 * KIB,
            welcome_bytes_max: 512 * KIB,
            batch_bytes_max: 64 * KIB,
            channels_max: 1024,
            requests_in_flight_max: 256,
            replies_unseen_max: 1024,
            replies_unseen_bytes_max: 1024 * KIB,
            replies_bytes_max: 256 * KIB * KIB,
            replies_floor_bytes: 16 * KIB,
            history_page_max: 1000,
            history_page_bytes_max: 256 * KIB,
            presence_members_max: 1000,
            presence_bytes_max: 64 * KIB * KIB,
            hellos_max: 3,
            new_sessions_per_ms_max: 4,
            admission_wait_ms: 100,
            hello_ms: 10 * SECOND,
            challenge_ms: 30 * SECOND,
            ping_ms: 25 * SECOND,
            pong_ms: 8 * SECOND,
            park_ms: 120 * SECOND,
            key_ms: 60 * SECOND,
            attempt_ahead_ms: 48 * 3600 * SECOND,
            ticket_ms: 24 * 3600 * SECOND,
            auth_age_ms: 7 * 24 * 3600 * SECOND,
            call_ms_max: 30 * SECOND,
            calls_bytes_max: 256 * KIB * KIB,
            sessions_max: 1_000_000,
            revocations_max: 1_000_000,
            channel_count_max: 1_000_000,
            log_bytes_max: 1024 * KIB * KIB,
            acks_max: 1_000_000,
            tail_entries_max: 256,
            tail_bytes_max: 64 * KIB,
            pages_max: 256,
            pages_connection_max: 8,
            appends_bytes_max: 64 * KIB * KIB,
        }
    }
}
