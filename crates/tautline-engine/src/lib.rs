//! What a log store promises to a Tautline hub, and what the hub asks of it (ADR 0008).
//!
//! Start at [`Engine::submit`]. A job says what to do and where its outcome goes; the outcome comes back exactly once, at
//! once or later, from any thread. An engine may be slow, remote and broken; it may also have gone back to an older state
//! than it told of before, which the hub notices by offsets and times and tells readers as a gap.

mod answer;
pub mod budget;
mod entry;
mod error;
mod job;
mod memory;
mod retention;
#[cfg(feature = "suite")]
pub mod suite;
mod sync;

pub use self::{
    answer::Answer,
    entry::{Content, Entry},
    error::EngineError,
    job::{
        Append, Appended, Doubt, InUse, Job, LogState, Origin, Page, Position, PositionUpdate, Read,
        Revocation, Revoke, SavePositions, Span, StatRequest, StatResult,
    },
    memory::{MemoryEngine, MemoryLogs},
    retention::{Retention, RetentionOf},
};

/// Where logs are kept.
///
/// What it promises:
/// - Appends to one channel take effect in the order in which they were submitted, and are answered in that order.
///   Offsets rise by one within an epoch, times (`at`) never fall.
/// - An append that was answered is kept: nobody is told of a publication that a crash could take back. An engine that
///   promises less begins a new epoch after each crash, for every log that it cannot vouch for.
/// - What was answered before a [`StatRequest`] or [`Read`] was submitted is seen by it.
/// - A log that was forgotten, because it was empty for long enough and nobody used it, begins anew in another epoch: an old
///   cursor is never taken for one of the new log.
/// - Answers are given without a lock that [`Engine::submit`] needs: an answer may submit the next job.
pub trait Engine: Send + Sync + 'static {
    /// Takes a job and never waits.
    fn submit(&self, job: Job);

    /// Which life of all its logs together this is: another number as soon as any of them may have lost something. Never 0.
    fn incarnation(&self) -> u32;

    /// The sessions whose tickets are void, as they were kept when the engine was opened, those that are forgotten first in
    /// front. None for an engine that does not outlive its process.
    fn revocations(&self) -> Vec<Revocation> {
        Vec::new()
    }

    /// Bytes that the logs hold, where an engine counts them; 0 else.
    fn bytes(&self) -> usize {
        0
    }

    /// True while appends are likely to be taken. False where the last one was refused for want of room or by a disk that
    /// fails, until there is a sign that the next one will not be; and for good where the engine has died.
    fn takes_appends(&self) -> bool {
        true
    }
}
