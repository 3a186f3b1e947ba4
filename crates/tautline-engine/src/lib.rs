//! The interface between a Tautline hub and a log store (ADR 0008).
//!
//! Start at [`Engine::submit`]. A job carries its input and a reply handle; its outcome is returned exactly
//! once, at once or later, from any thread. An engine may be slow, remote and faulty. It may also have been
//! rolled back to an older state than it reported; the hub detects this by offsets and times and sends
//! readers a gap.

mod answer;
mod ban;
pub mod budget;
mod entry;
mod error;
pub mod fair_queue;
mod figures;
mod job;
pub mod latency;
mod limits;
mod memory;
pub mod meter;
mod nodes;
mod retention;
#[cfg(feature = "suite")]
pub mod suite;
mod sync;

pub use self::{
    answer::Answer,
    ban::{Ban, BanChange, BanSubject, InvalidBanSubject},
    entry::{Content, Entry},
    error::EngineError,
    figures::EngineFigures,
    job::{
        Append, Appended, Doubt, ForgetUser, InUse, Job, LogState, Origin, Page, Position, PositionUpdate,
        Read, Revocation, Revoke, RevokedLogins, SaveBan, SavePositions, Span, StatRequest, StatResult,
    },
    limits::EngineLimits,
    memory::{MemoryEngine, MemoryLogs},
    nodes::{ClaimSession, NodeEvent, NodeId, Nodes, SessionClaim},
    retention::{Retention, RetentionOf},
};

/// A log store.
///
/// Promises:
/// - Appends of one holder to one channel take effect in the order in which they were submitted. Appends to
///   one channel are answered in the order in which they took effect. Offsets rise by one within an epoch;
///   times (`at`) never decrease.
/// - An answered append is durable: no reader receives a publication that a crash could undo. An engine that
///   promises less begins a new epoch after each crash, for every log that may have lost data.
/// - A [`StatRequest`] or [`Read`] sees everything that was answered before it was submitted.
/// - A log is forgotten only after it was empty for long enough and unused. It begins again in another epoch,
///   so an old cursor never matches the new log.
/// - Callbacks run without a lock that [`Engine::submit`] needs: a callback may submit the next job.
pub trait Engine: Send + Sync + 'static {
    /// Accepts a job; never blocks.
    fn submit(&self, job: Job);

    /// The incarnation of all logs together: changes whenever any of them may have lost data. Never 0.
    fn incarnation(&self) -> u32;

    /// The revocations that were saved when the engine was opened, in order of expiry. Empty for an engine that
    /// does not outlive its process.
    fn revocations(&self) -> Vec<Revocation> {
        Vec::new()
    }

    /// The bans that were saved when the engine was opened. Empty for an engine that does not outlive its process.
    fn bans(&self) -> Vec<Ban> {
        Vec::new()
    }

    /// The other nodes on this engine; `None` for an engine of one process.
    fn nodes(&self) -> Option<&dyn Nodes> {
        None
    }

    /// The last moment at which an earlier process is known to have run, in wall milliseconds; 0 if unknown,
    /// or if the engine does not outlive its process.
    fn last_run_ms(&self) -> u64 {
        0
    }

    /// Bytes that the logs hold, if the engine counts them; otherwise 0.
    fn bytes(&self) -> usize {
        0
    }

    /// Figures that only some engines have; nothing for one without a network.
    fn figures(&self) -> EngineFigures {
        EngineFigures::default()
    }

    /// True while the engine is expected to accept appends. False after one was refused for lack of room or
    /// by a failing disk, until there is a sign of recovery; false permanently once the engine has died.
    fn takes_appends(&self) -> bool {
        true
    }
}
