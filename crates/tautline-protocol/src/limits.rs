//! Every size, count and wait that has a ceiling, in one place (protocol, section 9).

/// How deeply a packet in msgpack may be nested, its own map counted. No option: both ends must know it.
pub const MSGPACK_DEPTH_MAX: usize = 64;

/// How deeply the payload of a `publish` or a `call` may be nested in either format: in a packet of msgpack the packet's own
/// map and its body's are around it.
pub const DATA_DEPTH_MAX: usize = MSGPACK_DEPTH_MAX - 2;

/// The fewest bytes of a `hello.key`: for guests the key is all that tells them apart. No option: clients make it.
pub const KEY_BYTES_MIN: usize = 16;

/// The highest `resume.attempt`: one more still fits in a JavaScript number, whatever is said. No option: clients make it.
pub const ATTEMPT_MAX: u64 = 1 << 52;

/// The ceilings of a gateway. All are configurable; `Default` is what the protocol names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest message a client may send once it is welcome, in bytes. Default 64 KiB.
    pub message_bytes_max: usize,
    /// Largest message that carries a `hello`, in bytes. Default 256 KiB.
    pub hello_bytes_max: usize,
    /// Largest `welcome`, in bytes; what does not fit is left out. Default 512 KiB.
    pub welcome_bytes_max: usize,
    /// Largest message the server makes of several packets, in bytes. Default 64 KiB.
    pub batch_bytes_max: usize,
    /// Channels a connection may be subscribed to. Default 1,024.
    pub channels_max: usize,
    /// Calls of one session that may run at once; the server does not read past the next one. Default 256.
    pub requests_in_flight_max: usize,
    /// Replies a session may leave unseen. Default 1,024.
    pub replies_unseen_max: usize,
    /// Bytes of replies a session may leave unseen. Default 1 MiB.
    pub replies_unseen_bytes_max: usize,
    /// Bytes of unseen replies over all sessions. Default 256 MiB.
    pub replies_bytes_max: usize,
    /// Bytes of unseen replies that a session may hold whatever others hold, while the last eighth of
    /// `replies_bytes_max` lasts. Default 16 KiB.
    pub replies_floor_bytes: usize,
    /// Publications on one page of history. Default 1,000.
    pub history_page_max: usize,
    /// Bytes on one page of history. Default 256 KiB.
    pub history_page_bytes_max: usize,
    /// Members that a reply to `presence` names. Default 1,000.
    pub presence_members_max: usize,
    /// Bytes of presence changes that somebody is still to be told of, on this node. Default 64 MiB.
    pub presence_bytes_max: usize,
    /// Hellos a connection may send. Default 3.
    pub hellos_max: u32,
    /// New sessions that begin within one millisecond, beside four times as many that go on; more queue up behind connections
    /// that are just being opened. Default 4.
    pub new_sessions_per_ms_max: u32,
    /// How long the `hello` of a new client waits in that queue before it is told to come again. Default 100 ms.
    pub admission_wait_ms: u64,
    /// Wait for the first packet. Default 10 s.
    pub hello_ms: u64,
    /// Wait for a `hello` that follows a challenge, where a login has to be made. Default 30 s.
    pub challenge_ms: u64,
    /// How long a client may say nothing before it pings. Default 25 s.
    pub ping_ms: u64,
    /// How long a client waits for the answer to a ping. Default 8 s.
    pub pong_ms: u64,
    /// How long a session without a connection is kept. Default 120 s.
    pub park_ms: u64,
    /// How long a `key` opens the same session again. Default 60 s.
    pub key_ms: u64,
    /// How far ahead of the server's clock an `attempt` counts: one beyond it wins, and is remembered as this far ahead, so
    /// that it can be outbid a moment later. Default 48 h: the clocks of devices are often a day wrong.
    pub attempt_ahead_ms: u64,
    /// Life of a ticket. Default 24 h.
    pub ticket_ms: u64,
    /// Longest life of an authentication that has no expiry of its own. Default 7 days.
    pub auth_age_ms: u64,
    /// Longest wait for a method. Default 30 s.
    pub call_ms_max: u64,
    /// Bytes of calls that run, each with its data and 1 KiB, on this node. Default 256 MiB.
    pub calls_bytes_max: usize,
    /// Sessions on this node, parked ones included. Default 1,000,000.
    pub sessions_max: usize,
    /// Ended sessions whose tickets are remembered as void, until these expire; beyond it the one that ended first is
    /// forgotten. Default 1,000,000.
    pub revocations_max: usize,
    /// Channels on this node. Default 1,000,000.
    pub channel_count_max: usize,
    /// Bytes of publications that this node keeps in memory. Default 1 GiB.
    pub log_bytes_max: usize,
    /// Acknowledged positions on this node; beyond it new ones are not kept. Default 1,000,000.
    pub acks_max: usize,
    /// Publications of a channel that stay in memory for those who read live. Default 256.
    pub tail_entries_max: usize,
    /// Bytes of a channel's publications that stay in memory for those who read live. Default 64 KiB.
    pub tail_bytes_max: usize,
    /// Pages that are read for those who are behind, or wait to be taken by them, on this node. Default 256.
    pub pages_max: usize,
    /// Pages that one connection waits for at once. Default 8.
    pub pages_connection_max: usize,
    /// Bytes of publications that are on their way into logs on this node. Default 64 MiB.
    pub appends_bytes_max: usize,
}

impl Limits {
    /// A client silent for this long is let go: two pings that did not come, and the answer to them. Milliseconds.
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
