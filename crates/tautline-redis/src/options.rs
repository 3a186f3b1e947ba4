//! What can be chosen about the engine, and its ceilings.

use std::time::Duration;

use tautline_protocol::Limits;

use crate::RedisUrl;

/// When an append is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledge {
    /// When the primary has executed it. The default. A failover may take it back: see [`Acknowledge::Replica`].
    #[default]
    Primary,
    /// When one replica has it as well (`WAIT 1`); in doubt where none says so in time.
    ///
    /// This makes the window in which a failover loses publications smaller, and does not close it: Redis may
    /// promote another replica. A loss that a gateway or a reader has seen is told as a gap, one that nobody
    /// has seen cannot be.
    Replica,
}

/// How a node learns what others have appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wake {
    /// By messages (PUBLISH), which may be lost, and by looking at served channels: within two seconds at
    /// those that have changed in the last minute, within fifteen at others.
    #[default]
    Hints,
    /// By looking alone, five times a second at channels that have changed in the last minute: for servers and
    /// proxies without PUBLISH.
    Looks,
}

/// Where Redis is, and how it is used.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// Where it is.
    pub url: RedisUrl,
    /// When an append is answered. Default: by the primary.
    pub acknowledge: Acknowledge,
    /// How this node learns what others have appended. Default: by hints.
    pub wake: Wake,
    /// What the names of all keys begin with, so that several gateways share a Redis. Default `tl`.
    pub prefix: String,
    /// How long a connection may take. Default 2 s.
    pub connect_wait: Duration,
    /// How long a reply may take before the connection is given up. Default 2 s.
    pub reply_wait: Duration,
    /// How long a job is repeated where Redis is away or changes its primary; then it is refused, or in doubt.
    /// Default 8 s.
    pub job_wait: Duration,
    /// How long a node waits for what another one hands over of a session that has moved. Then requests whose
    /// replies the client has not seen are in doubt. Default 300 ms.
    pub hand_over_wait: Duration,
    /// How long the place of an empty log is remembered: the lifetime of a ticket. Default 24 h.
    pub remember_ms: u64,
    /// Ended sessions that are remembered. Default 1,000,000.
    pub revocations_max: usize,
}

impl RedisOptions {
    /// A Redis at this address, with the defaults.
    #[must_use]
    pub fn new(url: RedisUrl) -> Self {
        Self {
            url,
            acknowledge: Acknowledge::Primary,
            wake: Wake::Hints,
            prefix: "tl".to_owned(),
            connect_wait: Duration::from_secs(2),
            reply_wait: Duration::from_secs(2),
            job_wait: Duration::from_secs(8),
            hand_over_wait: Duration::from_millis(300),
            remember_ms: Limits::default().ticket_ms,
            revocations_max: tautline_engine::EngineLimits::default().revocations_max,
        }
    }
}

/// Appends that wait or are under way; beyond it they are refused.
pub(crate) const APPENDS_MAX: usize = 65_536;
/// Bytes of appends that wait or are under way. `HubLimits::appends_bytes_max` is the hub's, and below it.
pub(crate) const APPENDS_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Stats and reads that wait; beyond it they are refused. A resume of 5,000 clients with 20 channels each fits.
pub(crate) const READS_MAX: usize = 131_072;
/// Stats and reads under way at once.
pub(crate) const READS_AT_ONCE: usize = 128;
/// Other jobs that wait.
pub(crate) const CHORES_MAX: usize = 4_096;
/// Entries that a page asks for first, and at most in one step.
pub(crate) const PAGE_FIRST: u64 = 64;
pub(crate) const PAGE_STEP_MAX: u64 = 512;
/// Partitions that one [`tautline_engine::Job::Tidy`] looks into, and channels of each, about.
pub(crate) const TIDY_PARTITIONS: usize = 4;
pub(crate) const TIDY_CHANNELS: usize = 128;
/// For how long a user's acknowledged positions are kept after the last one, in milliseconds: 90 days.
pub(crate) const POSITIONS_MS: u64 = 90 * 24 * 3_600_000;
/// How long one try to have a replica acknowledge takes.
pub(crate) const REPLICA_WAIT: Duration = Duration::from_millis(500);
/// How long closing waits for jobs that are under way.
pub(crate) const CLOSE_WAIT: Duration = Duration::from_secs(10);
/// Channels whose hints wait to be sent; those beyond it are found by looks.
pub(crate) const HINTS_MAX: usize = 8_192;
/// How often it is looked which channels are due for a look.
pub(crate) const LOOK_TICK: Duration = Duration::from_millis(200);
/// Between two looks at an active channel where there are hints.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(1_600);
/// Revocations and bans that one reply brings, about.
pub(crate) const SCAN_PAGE: u64 = 10_000;
/// Channels in one look, and in one pipeline of it.
pub(crate) const LOOK_MAX: usize = 4_096;
pub(crate) const LOOK_PIPELINE: usize = 256;
/// How long a look, or a step of tidying, waits for one partition before the next one's turn.
pub(crate) const LOOK_WAIT: Duration = Duration::from_secs(1);
/// How often the way of hints is probed.
pub(crate) const PROBE_EVERY: Duration = Duration::from_secs(2);
/// How long nothing may come over it before it is made anew: two probes, and a bit.
pub(crate) const SILENT_MAX: Duration = Duration::from_millis(4_500);
/// How long nothing may come over it before this node is not ready.
pub(crate) const OVERDUE: Duration = Duration::from_secs(10);
/// Messages to other nodes that wait to be sent; beyond it they are refused.
pub(crate) const TELLS_MAX: usize = 8_192;
/// Messages that one pipeline sends.
pub(crate) const TELLS_AT_ONCE: usize = 64;
/// Messages to all nodes that Redis keeps, about. A node that has missed more reads all revocations and bans again.
pub(crate) const CONTROL_MAX: u64 = 65_536;
/// Messages to one node that Redis keeps, about. A node that has missed more has its clients come back.
pub(crate) const INBOX_MAX: u64 = 4_096;
/// For how long messages are kept after the last one, in milliseconds; and for how long it is known how many there
/// were.
pub(crate) const MESSAGES_MS: u64 = 3_600_000;
pub(crate) const COUNTERS_MS: u64 = POSITIONS_MS;
/// Messages that one reply brings.
pub(crate) const MESSAGES_PAGE: u64 = 256;
/// How often messages are read where nothing says that there are any: with hints, and without.
pub(crate) const MESSAGES_EVERY: Duration = Duration::from_secs(1);
pub(crate) const MESSAGES_EVERY_WITHOUT_HINTS: Duration = Duration::from_millis(50);
/// For how long a node counts as running after it has last said so, in milliseconds; and how often it does.
pub(crate) const LEASE_MS: u64 = 6_000;
pub(crate) const LEASE_EVERY: Duration = Duration::from_secs(1);
/// Claims of sessions that are under way at once; beyond it they are refused.
pub(crate) const CLAIMS_MAX: usize = 16_384;
/// How long a new key of tickets opens on all nodes before it seals, in milliseconds: longer than any node takes to
/// look for it.
pub(crate) const KEY_SPREAD_MS: u64 = 150_000;
