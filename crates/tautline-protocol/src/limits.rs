//! The limits of one message, connection or session, which its peer can observe (protocol, section 9).
//!
//! What all clients of a node share is limited by the crate that spends it.

use serde::Deserialize;

use crate::{RequestId, units};

/// Maximum nesting of a msgpack packet, including its own map. Not configurable: both ends must know it.
pub const MSGPACK_DEPTH_MAX: usize = 64;

/// Maximum nesting of the payload of a `publish` or `call` in either format: in a msgpack packet, the maps of
/// the packet and its body surround it.
pub const DATA_DEPTH_MAX: usize = MSGPACK_DEPTH_MAX - 2;

/// Minimum bytes of a `hello.key`: guests are distinguished by their key alone. Not configurable: clients
/// generate it.
pub const KEY_BYTES_MIN: usize = 16;

/// The highest `id` of a request, and the highest `seen`: JavaScript numbers are exact up to here. Not
/// configurable: clients generate them.
pub const REQUEST_ID_MAX: RequestId = (1 << 53) - 1;

/// The highest `resume.attempt`: its successor still fits in a JavaScript number. Not configurable: clients
/// generate it.
pub const ATTEMPT_MAX: u64 = 1 << 52;

/// The limits of a gateway on each peer. All are configurable; `Default` is the protocol's value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest message of a client after its welcome, in bytes. Default 64 KiB.
    #[serde(with = "units::Bytes")]
    pub message_bytes_max: usize,
    /// Largest message that carries a `hello`, in bytes. Default 256 KiB.
    #[serde(with = "units::Bytes")]
    pub hello_bytes_max: usize,
    /// Largest `welcome`, in bytes; channels that do not fit are left out. Default 512 KiB.
    #[serde(with = "units::Bytes")]
    pub welcome_bytes_max: usize,
    /// Largest message that the server batches from several packets, in bytes. Default 64 KiB.
    #[serde(with = "units::Bytes")]
    pub batch_bytes_max: usize,
    /// Channels a connection may be subscribed to. Default 1,024.
    #[serde(with = "units::Count")]
    pub channels_max: usize,
    /// Running calls per session; the server does not read past the next one. Default 256.
    #[serde(with = "units::Count")]
    pub requests_in_flight_max: usize,
    /// Requests per connection that wait for the app's back end to permit them, or behind such a request; the
    /// server does not read past the next one. Default 16.
    #[serde(with = "units::Count")]
    pub questions_connection_max: usize,
    /// Permissions per session that the app's back end has granted and that still hold; beyond that it is asked
    /// again. Default 256.
    #[serde(with = "units::Count")]
    pub grants_session_max: usize,
    /// Unseen replies per session. Default 1,024.
    #[serde(with = "units::Count")]
    pub replies_unseen_max: usize,
    /// Bytes of unseen replies per session. Default 1 MiB.
    #[serde(with = "units::Bytes")]
    pub replies_unseen_bytes_max: usize,
    /// Publications on one page of history. Default 1,000.
    #[serde(with = "units::Count")]
    pub history_page_max: usize,
    /// Bytes on one page of history. Default 256 KiB.
    #[serde(with = "units::Bytes")]
    pub history_page_bytes_max: usize,
    /// Members that a reply to `presence` names. Default 1,000.
    #[serde(with = "units::Count")]
    pub presence_members_max: usize,
    /// Hellos per connection. Default 3.
    #[serde(with = "units::Count")]
    pub hellos_max: u32,
    /// Longest wait for the first packet. Default 10 s.
    #[serde(with = "units::Millis")]
    pub hello_ms: u64,
    /// Longest wait for a `hello` after a challenge, which requires a login. Default 30 s.
    #[serde(with = "units::Millis")]
    pub challenge_ms: u64,
    /// How long a client may be silent before it pings. Default 25 s.
    #[serde(with = "units::Millis")]
    pub ping_ms: u64,
    /// How long a client waits for the pong. Default 8 s.
    #[serde(with = "units::Millis")]
    pub pong_ms: u64,
    /// How long a session without a connection is kept. Default 120 s.
    #[serde(with = "units::Millis")]
    pub park_ms: u64,
    /// How long a repeated `key` opens the same session. Default 60 s.
    #[serde(with = "units::Millis")]
    pub key_ms: u64,
    /// How far ahead of the server's clock an `attempt` counts: a higher one wins, and is stored as this far
    /// ahead, so that the owner can outbid it a moment later. Default 48 h: the clocks of devices are often a
    /// day wrong.
    #[serde(with = "units::Millis")]
    pub attempt_ahead_ms: u64,
    /// Lifetime of a ticket. Default 24 h.
    #[serde(with = "units::Millis")]
    pub ticket_ms: u64,
    /// Longest lifetime of an authentication without an expiry of its own. Default 7 days.
    #[serde(with = "units::Millis")]
    pub auth_age_ms: u64,
    /// Longest wait for a method. Default 30 s.
    #[serde(with = "units::Millis")]
    pub call_ms_max: u64,
}

impl Limits {
    /// The silence after which a client is closed, in milliseconds: two missing pings and the wait for a
    /// pong.
    #[must_use]
    pub const fn silence_ms(&self) -> u64 {
        self.ping_ms.saturating_mul(2).saturating_add(self.pong_ms)
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
            questions_connection_max: 16,
            grants_session_max: 256,
            replies_unseen_max: 1024,
            replies_unseen_bytes_max: 1024 * KIB,
            history_page_max: 1000,
            history_page_bytes_max: 256 * KIB,
            presence_members_max: 1000,
            hellos_max: 3,
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
        }
    }
}
