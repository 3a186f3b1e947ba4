//! The limits of a log store.

use serde::Deserialize;
use tautline_protocol::units;

/// What the logs of a node may take. The hub obeys the same limits for what it keeps of them in memory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct EngineLimits {
    /// Ended sessions whose tickets are remembered as void, until these expire. Who has its share is remembered no more of them;
    /// for others the one that ended first is forgotten. Default 1,000,000.
    #[serde(with = "units::Count")]
    pub revocations_max: usize,
    /// Users and addresses that are kept out at a time; another one is refused. Default 100,000.
    #[serde(with = "units::Count")]
    pub bans_max: usize,
    /// Channels on this node. Default 1,000,000.
    #[serde(with = "units::Count")]
    pub channel_count_max: usize,
    /// Bytes of publications that this node keeps in memory. Default 1 GiB.
    #[serde(with = "units::Bytes")]
    pub log_bytes_max: usize,
    /// Acknowledged positions on this node; beyond that, new ones are dropped. Default 1,000,000.
    #[serde(with = "units::Count")]
    pub acks_max: usize,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            revocations_max: 1_000_000,
            bans_max: 100_000,
            channel_count_max: 1_000_000,
            log_bytes_max: 1024 * 1024 * 1024,
            acks_max: 1_000_000,
        }
    }
}
