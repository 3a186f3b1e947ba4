//! The limits of a node.

use serde::Deserialize;
use tautline_engine::EngineLimits;
use tautline_protocol::{Limits, units};

use crate::rates::Rates;

/// What the clients of a node may take of it together.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct HubLimits {
    /// Bytes of unseen replies over all sessions. Default 256 MiB.
    #[serde(with = "units::Bytes")]
    pub replies_bytes_max: usize,
    /// Bytes of unseen replies that a session may always hold, while the last eighth of `replies_bytes_max`
    /// lasts. Default 16 KiB.
    #[serde(with = "units::Bytes")]
    pub replies_floor_bytes: usize,
    /// Bytes of presence changes on this node that some subscriber has not received. Default 64 MiB.
    #[serde(with = "units::Bytes")]
    pub presence_bytes_max: usize,
    /// Members of rosters on this node, one for each channel and session, parked sessions included. Default
    /// 4,000,000.
    #[serde(with = "units::Count")]
    pub presence_seats_max: usize,
    /// New sessions admitted within one millisecond, beside four times as many resumed ones; more are queued
    /// behind connections that are being opened. Default 4.
    #[serde(with = "units::Count")]
    pub new_sessions_per_ms_max: u32,
    /// How long the `hello` of a new client waits in the admission queue before it is told to retry. Default
    /// 100 ms.
    #[serde(with = "units::Millis")]
    pub admission_wait_ms: u64,
    /// Bytes of running calls on this node, each with its data and 1 KiB. Default 256 MiB.
    #[serde(with = "units::Bytes")]
    pub calls_bytes_max: usize,
    /// Sessions on this node, parked ones included. Default 1,000,000.
    #[serde(with = "units::Count")]
    pub sessions_max: usize,
    /// Users that went offline, of which this node remembers when. Default 100,000.
    #[serde(with = "units::Count")]
    pub last_seen_max: usize,
    /// Publications of a channel kept in memory for live readers. Default 256.
    #[serde(with = "units::Count")]
    pub tail_entries_max: usize,
    /// Bytes of a channel's publications kept in memory for live readers. Default 64 KiB.
    #[serde(with = "units::Bytes")]
    pub tail_bytes_max: usize,
    /// Pages on this node being read for readers behind the tail, or waiting for them. Default 256.
    #[serde(with = "units::Count")]
    pub pages_max: usize,
    /// Pages that one connection may wait for at a time. Default 8.
    #[serde(with = "units::Count")]
    pub pages_connection_max: usize,
    /// Bytes of publications on this node that the engine has not completed. Default 64 MiB.
    #[serde(with = "units::Bytes")]
    pub appends_bytes_max: usize,
    /// Bytes of the events of one webhook that the engine has not stored; more are counted as lost. Default 64 MiB.
    #[serde(with = "units::Bytes")]
    pub events_bytes_max: usize,
    /// How long the answer to a publication waits for the event that tells of it (`message.published`) to be stored;
    /// then it comes without. Default 5 s.
    #[serde(with = "units::Millis")]
    pub events_answer_ms: u64,
    /// How long a user has no connection before it counts as offline in events. Default 15 s.
    #[serde(with = "units::Millis")]
    pub user_offline_ms: u64,
    /// How long an inbox has unread publications, and its user no connection, before an event says so. Default 5 min.
    #[serde(with = "units::Millis")]
    pub inbox_unread_ms: u64,
    /// Inboxes that are watched for it; new ones beyond it are not. Default 1,000,000.
    #[serde(with = "units::Count")]
    pub inbox_unread_max: usize,
}

impl Default for HubLimits {
    fn default() -> Self {
        const KIB: usize = 1024;
        Self {
            replies_bytes_max: 256 * KIB * KIB,
            replies_floor_bytes: 16 * KIB,
            presence_bytes_max: 64 * KIB * KIB,
            presence_seats_max: 4_000_000,
            new_sessions_per_ms_max: 4,
            admission_wait_ms: 100,
            calls_bytes_max: 256 * KIB * KIB,
            sessions_max: 1_000_000,
            last_seen_max: 100_000,
            tail_entries_max: 256,
            tail_bytes_max: 64 * KIB,
            pages_max: 256,
            pages_connection_max: 8,
            appends_bytes_max: 64 * KIB * KIB,
            events_bytes_max: 64 * KIB * KIB,
            events_answer_ms: 5_000,
            user_offline_ms: 15_000,
            inbox_unread_ms: 300_000,
            inbox_unread_max: 1_000_000,
        }
    }
}

/// All limits of a node, each in the struct of the crate that spends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeLimits {
    /// Of a message, a connection or a session.
    pub protocol: Limits,
    /// Of all clients together.
    pub hub: HubLimits,
    /// Of the logs.
    pub engine: EngineLimits,
    /// How much a client may do in a while.
    pub rates: Rates,
}

impl From<Limits> for NodeLimits {
    fn from(protocol: Limits) -> Self {
        Self { protocol, ..Self::default() }
    }
}

impl From<HubLimits> for NodeLimits {
    fn from(hub: HubLimits) -> Self {
        Self { hub, ..Self::default() }
    }
}

impl From<EngineLimits> for NodeLimits {
    fn from(engine: EngineLimits) -> Self {
        Self { engine, ..Self::default() }
    }
}
