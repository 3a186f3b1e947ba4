//! What can be chosen about a store, and its ceilings.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicUsize},
};

use tautline_engine::EngineLimits;
use tautline_protocol::Limits;

/// When an append is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it was synced to the disk. Nothing that was answered, or shown to a subscriber, is lost by a crash of the process,
    /// of the machine, or by a power cut. The default.
    #[default]
    Strict,
    /// When it was handed to the operating system, which writes it some seconds later.
    ///
    /// **What it risks**: a power cut or a crash of the machine loses the last seconds of publications that were acknowledged
    /// and shown. (A crash of the process alone loses none of them, but nobody can tell the two apart afterwards.) So after
    /// any unclean stop, every channel that was written to begins a new epoch: its subscribers are told of a gap, requests in
    /// flight are in doubt. What is kept stays readable. No loss goes unnoticed.
    Relaxed,
}

/// Where a store is, and what it may cost.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// The directory, of this store alone. It is made where it is missing, and open to its owner only.
    pub dir: PathBuf,
    /// When an append is answered. Default: strict.
    pub durability: Durability,
    /// Channels that have a log; beyond it no new one begins. Default 1,000,000.
    pub channels_max: usize,
    /// Positions that are kept; beyond it new ones are not. Default 1,000,000.
    pub positions_max: usize,
    /// Ended sessions that are remembered; beyond it the one that ended first is forgotten. Default 1,000,000.
    pub revocations_max: usize,
    /// How long the place of an empty log is remembered. A log that began anew at 1 could not tell an old cursor what is
    /// missing, so this is the lifetime of a ticket. It begins anew in another epoch. Default 24 h.
    pub remember_ms: u64,
    /// How large the file with the logs may grow, in bytes; the write-ahead log beside it comes on top. Default: as the disk.
    pub file_bytes_max: Option<u64>,
    /// For tests: so many commits from now on succeed and say that they did not.
    #[doc(hidden)]
    pub doubtful_commits: Arc<AtomicUsize>,
    /// For tests: the next commit panics.
    #[doc(hidden)]
    pub panicking_commits: Arc<AtomicUsize>,
}

impl DiskOptions {
    /// A strict store in `dir`, with the ceilings that [`EngineLimits`] names.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let options = Self {
            dir: dir.into(),
            durability: Durability::Strict,
            channels_max: 0,
            positions_max: 0,
            revocations_max: 0,
            remember_ms: 0,
            file_bytes_max: None,
            doubtful_commits: Arc::default(),
            panicking_commits: Arc::default(),
        };
        options.limits(&EngineLimits::default(), Limits::default().ticket_ms)
    }

    /// Takes the ceilings from a node's limits, and the lifetime of its tickets.
    #[must_use]
    pub fn limits(self, limits: &EngineLimits, ticket_ms: u64) -> Self {
        Self {
            channels_max: limits.channel_count_max,
            positions_max: limits.acks_max,
            revocations_max: limits.revocations_max,
            remember_ms: ticket_ms,
            ..self
        }
    }
}

/// Jobs for the writer that may wait; beyond it appends are refused.
pub(crate) const WRITES_QUEUED_MAX: usize = 65_536;
/// Bytes of jobs for the writer that may wait. `HubLimits::appends_bytes_max` is the hub's, and below it.
pub(crate) const WRITES_QUEUED_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Looks and reads that may wait; beyond it they are refused. A resume of 5,000 clients with 20 channels each fits.
pub(crate) const READS_QUEUED_MAX: usize = 131_072;
/// Jobs in one transaction.
pub(crate) const BATCH_JOBS_MAX: usize = 2_048;
/// Bytes of jobs in one transaction. More makes the sync longer, and so everybody's wait.
pub(crate) const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Threads that answer stats and reads.
pub(crate) const READERS: usize = 2;
/// Looks and reads that share one snapshot.
pub(crate) const READS_AT_ONCE: usize = 32;
/// Channels that the writer caches.
pub(crate) const CACHED_CHANNELS_MAX: usize = 16_384;
/// Of each, so many of the oldest publications' sizes and times.
pub(crate) const OLDEST_MAX: usize = 32;
/// Publications of a channel that are worth a delete, or being indexed. A request in doubt is searched among up to so many, one by one.
pub(crate) const BACKGROUND_MIN: u64 = 256;
/// Publications that one transaction deletes or indexes, at most; four times its appends where that is more, so that both keep
/// up.
pub(crate) const CHORES_A_COMMIT: u64 = 1_024;
/// Channels that wait for deletes and indexing; those beyond it wait for their next append, or for a
/// [`tautline_engine::Job::Tidy`].
pub(crate) const BACKGROUND_QUEUED_MAX: usize = 4_096;
/// Channels that one [`tautline_engine::Job::Tidy`] checks.
pub(crate) const TIDY_CHANNELS: usize = 512;
/// Ended sessions that one [`tautline_engine::Job::Tidy`] forgets.
pub(crate) const TIDY_REVOCATIONS: usize = 4_096;
/// Transactions of background work that follow one [`tautline_engine::Job::Tidy`] while nothing else waits.
pub(crate) const TIDY_COMMITS_MAX: usize = 64;
/// Pages in the write-ahead log from which it is copied back, beside the writer: 16 MiB.
pub(crate) const WAL_PAGES_SOFT: usize = 4_096;
/// Pages in the write-ahead log at which the writer stops to have it copied back: 64 MiB.
pub(crate) const WAL_PAGES_HARD: usize = 16_384;
/// Pages in the write-ahead log at which it is said that it grows, and why: 128 MiB.
pub(crate) const WAL_PAGES_TOLD: usize = 2 * WAL_PAGES_HARD;
/// Bytes that the file of the write-ahead log is cut back to when it begins anew.
pub(crate) const WAL_BYTES_KEPT: i64 = 64 * 1024 * 1024;
/// Memory for pages of the writer's connection, in KiB.
pub(crate) const WRITER_CACHE_KIB: i64 = 32 * 1024;
/// Memory for pages of each reader's connection, in KiB.
pub(crate) const READER_CACHE_KIB: i64 = 8 * 1024;
/// How long the writer waits for a lock that a foreign tool holds on the file, in milliseconds; and while the store is being
/// closed, which a supervisor waits for.
pub(crate) const BUSY_MS: u64 = 5_000;
pub(crate) const BUSY_CLOSING_MS: u64 = 500;
