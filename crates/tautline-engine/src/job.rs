//! The jobs that a hub hands to an engine, and their results.
//!
//! Start at [`Job`].

use std::sync::Arc;

use tautline_protocol::{ChannelName, RequestId, UserId};

use crate::{
    Answer, BanChange, Content, EngineError, Entry, Retention, RetentionOf,
    budget::Holder,
    meter::{JobKind, Meter},
};

/// A job for an engine.
#[derive(Debug)]
pub enum Job {
    /// Append to a log.
    Append(Append),
    /// Report the state of a log.
    Stat(StatRequest),
    /// Read a page.
    Read(Read),
    /// Save positions; a lost one costs a redelivery and nothing else.
    SavePositions(SavePositions),
    /// Save that a session's tickets are void.
    Revoke(Revoke),
    /// Save that a user or an address is kept out, or no longer.
    SaveBan(SaveBan),
    /// Forget a user.
    ForgetUser(ForgetUser),
    /// About once a second: drop expired publications and logs, a part at a time.
    Tidy {
        /// The time, in wall milliseconds.
        wall_ms: u64,
        /// The retention of each channel.
        retention: RetentionOf,
        /// Logs in use, which must not be forgotten, however long they have been empty.
        in_use: InUse,
    },
}

/// Empties a user's inbox, with the idempotency keys in it, and deletes its acknowledged positions in all logs.
///
/// The inbox keeps its epoch and its head, as one whose publications have expired; [`Job::Tidy`] forgets it. What the
/// user published in other logs stays. A position that is saved later counts.
#[derive(Debug)]
pub struct ForgetUser {
    /// The user.
    pub user: UserId,
    /// Reply handle. A persistent engine answers once a crash can no longer undo it.
    pub answer: Answer<()>,
}

/// Reports whether a channel is in use. Cheap to clone.
#[derive(Clone)]
pub struct InUse(Arc<dyn Fn(&ChannelName) -> bool + Send + Sync>);

impl InUse {
    /// Calls `is_in_use`, from any thread.
    pub fn new(is_in_use: impl Fn(&ChannelName) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_in_use))
    }

    /// No channel is in use.
    #[must_use]
    pub fn nothing() -> Self {
        Self::new(|_| false)
    }

    /// True if the channel is in use.
    #[must_use]
    pub fn contains(&self, channel: &ChannelName) -> bool {
        (self.0)(channel)
    }
}

impl std::fmt::Debug for InUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InUse(…)")
    }
}

/// Saves a revocation.
#[derive(Debug)]
pub struct Revoke {
    /// The revocation.
    pub revocation: Revocation,
    /// Reply handle. A persistent engine answers once a crash can no longer undo the revocation.
    pub answer: Answer<()>,
}

/// Logins that are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Which logins.
    pub subject: RevokedLogins,
    /// When the last of them would expire, in wall milliseconds: the revocation may be forgotten then.
    pub until: u64,
}

impl Revocation {
    /// An `until` that never comes.
    pub const FOREVER: u64 = i64::MAX.unsigned_abs();
}

/// The logins of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedLogins {
    /// The tickets of this session.
    Session(u128),
    /// The logins of a user that were issued before a moment. Of two revocations of a user the one with the
    /// later moment holds.
    User {
        /// A digest of the user's id.
        user: u128,
        /// In wall milliseconds.
        before: u64,
    },
    /// The logins by one token: a digest of its id.
    Token(u128),
}

/// Saves a change of the bans.
#[derive(Debug)]
pub struct SaveBan {
    /// The change.
    pub change: BanChange,
    /// Reply handle. A persistent engine answers once a crash can no longer undo the change.
    pub answer: Answer<()>,
}

/// Appends a publication.
#[derive(Debug)]
pub struct Append {
    /// The channel to append to.
    pub channel: ChannelName,
    /// The content to append.
    pub content: Content,
    /// The origin of the publication. A [`Origin::Key`] that the log still knows returns the first result.
    pub origin: Option<Origin>,
    /// The request may have been executed before: append only if the log proves that it was not.
    pub doubt: Option<Doubt>,
    /// Append only if this is the log's head: [`EngineError::Conflict`] otherwise. A repeated key is recognised
    /// first. A log that was never written to has its head at 0 of the epoch that a stat reports.
    pub expect: Option<Position>,
    /// The publisher's budget holder: a new log, and its bytes in memory, count for it.
    pub holder: Holder,
    /// The channel's retention.
    pub retention: Retention,
    /// The time, in wall milliseconds.
    pub wall_ms: u64,
    /// Reply handle.
    pub answer: Answer<Appended>,
}

impl Append {
    /// Compares the log's head with the expected one.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] where another head was expected.
    pub fn check_expected(&self, epoch: &Arc<str>, head: u64) -> Result<(), EngineError> {
        match &self.expect {
            Some(expected) if expected.offset != head || expected.epoch != *epoch => {
                Err(EngineError::Conflict { head: Position { epoch: Arc::clone(epoch), offset: head } })
            }
            _ => Ok(()),
        }
    }
}

/// The origin of a publication, by which the log recognises a repeated request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A client's request.
    Request {
        /// The client's session.
        session: u128,
        /// The request's id.
        id: RequestId,
    },
    /// A back end's idempotency key, as a digest.
    Key(u128),
}

/// The session of a request in doubt.
///
/// The log proves that a request was never executed in two cases: it is complete from its start and began no
/// later than the session, or it contains an older request of the session that was not in doubt itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The engine's incarnation in which the session began; 0 if unknown. Within one incarnation, a log that
    /// is complete from its start contains all of the session's requests.
    pub session_incarnation: u32,
}

/// The result of an append.
#[derive(Clone, Debug)]
pub enum Appended {
    /// The publication was appended.
    New {
        /// The log's epoch.
        epoch: Arc<str>,
        /// The publication as subscribers receive it.
        entry: Entry,
        /// When the previous publication was appended; 0 before the first. After an unnoticed rollback an
        /// engine has another publication there than the one it reported.
        before_at: u64,
        /// The offset just before the oldest publication that is kept.
        base: u64,
        /// When the publication at `base` was appended, if known.
        base_at: Option<u64>,
    },
    /// The publication was already in the log.
    Repeated {
        /// The log's epoch.
        epoch: Arc<str>,
        /// Its offset.
        offset: u64,
        /// When it was appended.
        at: u64,
    },
}

/// Asks for the state of a log, and of a reader in it.
#[derive(Debug)]
pub struct StatRequest {
    /// The log's channel.
    pub channel: ChannelName,
    /// Also report when the publication at this offset was appended.
    pub offset: Option<u64>,
    /// Also report the user's acknowledged position.
    pub user: Option<UserId>,
    /// Who asks: where jobs wait, holders take turns.
    pub holder: Holder,
    /// The channel's retention.
    pub retention: Retention,
    /// The time, in wall milliseconds.
    pub wall_ms: u64,
    /// Reply handle.
    pub answer: Answer<StatResult>,
}

/// The result of a [`StatRequest`].
#[derive(Clone, Debug)]
pub struct StatResult {
    /// The state of the log.
    pub log: LogState,
    /// When the publication at the requested offset was appended, if it or its successor is kept.
    pub at: Option<u64>,
    /// The user's acknowledged position; `None` if the user never acknowledged anything.
    pub acknowledged: Option<Position>,
    /// The last position delivered to any connection, if it is kept.
    pub delivered: Option<Position>,
}

/// The state of a log. An unwritten log has the head 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogState {
    /// The log's epoch.
    pub epoch: Arc<str>,
    /// The last offset assigned; 0 before the first.
    pub head: u64,
    /// When `head` was appended, in wall milliseconds.
    pub head_at: u64,
    /// The offset just before the oldest publication kept.
    pub base: u64,
    /// When the publication at `base` was appended, if known.
    pub base_at: Option<u64>,
}

/// Reads a page of a log.
#[derive(Debug)]
pub struct Read {
    /// The log's channel.
    pub channel: ChannelName,
    /// The part to read.
    pub span: Span,
    /// Maximum number of publications.
    pub count_max: usize,
    /// Maximum bytes of their packets; at least one publication is read.
    pub bytes_max: usize,
    /// Who asks: where jobs wait, holders take turns.
    pub holder: Holder,
    /// The channel's retention.
    pub retention: Retention,
    /// The time, in wall milliseconds.
    pub wall_ms: u64,
    /// Reply handle.
    pub answer: Answer<Page>,
}

/// A part of a log, bounded by an exclusive offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The oldest publications after it.
    After(u64),
    /// The newest publications before it.
    Before(u64),
}

impl Span {
    /// The bounding offset.
    #[must_use]
    pub const fn offset(self) -> u64 {
        match self {
            Self::After(offset) | Self::Before(offset) => offset,
        }
    }
}

/// The result of a [`Read`].
#[derive(Clone, Debug)]
pub struct Page {
    /// The state of the log.
    pub log: LogState,
    /// When the publication at the span's offset was appended, if it or its successor is kept.
    pub at: Option<u64>,
    /// The publications read, with offsets rising by one.
    pub entries: Vec<Entry>,
}

/// A reader's position in a log. A higher position of the same epoch wins; one of another epoch replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The log's epoch.
    pub epoch: Arc<str>,
    /// The last offset taken.
    pub offset: u64,
}

/// Saves positions.
#[derive(Debug)]
pub struct SavePositions {
    /// The positions to save.
    pub updates: Vec<PositionUpdate>,
    /// Reply handle: until it is called, the hub keeps the positions itself.
    pub answer: Answer<()>,
}

/// A position to save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionUpdate {
    /// The log's channel.
    pub channel: ChannelName,
    /// The user whose app acknowledged it; `None` for delivery to any connection.
    pub user: Option<UserId>,
    /// The position.
    pub position: Position,
}

impl Job {
    /// Refuses the job, of any kind, as not executed.
    pub fn refuse(self, error: &EngineError) {
        match self {
            Self::Append(job) => job.answer.give(Err(error.clone())),
            Self::Stat(job) => job.answer.give(Err(error.clone())),
            Self::Read(job) => job.answer.give(Err(error.clone())),
            Self::SavePositions(job) => job.answer.give(Err(error.clone())),
            Self::Revoke(job) => job.answer.give(Err(error.clone())),
            Self::SaveBan(job) => job.answer.give(Err(error.clone())),
            Self::ForgetUser(job) => job.answer.give(Err(error.clone())),
            Self::Tidy { .. } => {}
        }
    }

    /// The same job, measured until it is answered.
    #[must_use]
    pub fn watched_by(self, meter: &Arc<Meter>) -> Self {
        let watch = |kind| meter.watch(kind);
        match self {
            Self::Append(job) => {
                Self::Append(Append { answer: job.answer.watched(watch(JobKind::Append)), ..job })
            }
            Self::Stat(job) => {
                Self::Stat(StatRequest { answer: job.answer.watched(watch(JobKind::Stat)), ..job })
            }
            Self::Read(job) => Self::Read(Read { answer: job.answer.watched(watch(JobKind::Read)), ..job }),
            Self::SavePositions(job) => {
                let answer = job.answer.watched(watch(JobKind::Save));
                Self::SavePositions(SavePositions { answer, ..job })
            }
            Self::Revoke(job) => {
                Self::Revoke(Revoke { answer: job.answer.watched(watch(JobKind::Save)), ..job })
            }
            Self::SaveBan(job) => {
                Self::SaveBan(SaveBan { answer: job.answer.watched(watch(JobKind::Save)), ..job })
            }
            Self::ForgetUser(job) => {
                Self::ForgetUser(ForgetUser { answer: job.answer.watched(watch(JobKind::Save)), ..job })
            }
            Self::Tidy { .. } => self,
        }
    }
}
