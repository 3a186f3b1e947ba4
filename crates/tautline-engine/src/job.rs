//! The jobs that a hub hands to an engine, and their results.

use std::sync::Arc;

use tautline_protocol::{ChannelName, RequestId, UserId};

use crate::{Answer, Content, EngineError, Entry, Retention, RetentionOf, budget::Holder};

/// What an engine is asked to do.
#[derive(Debug)]
pub enum Job {
    /// Append to a log.
    Append(Append),
    /// Tell where a log stands.
    Stat(StatRequest),
    /// Read a page.
    Read(Read),
    /// Keep positions. A position that is lost costs a redelivery and nothing else.
    SavePositions(SavePositions),
    /// Keep that a session's tickets are void.
    Revoke(Revoke),
    /// About once a second: drop what rules no longer cover, a part at a time.
    Tidy {
        /// The time, in wall milliseconds.
        wall_ms: u64,
        /// What each channel keeps.
        retention: RetentionOf,
        /// Logs that are not to be forgotten, however long they have been empty.
        in_use: InUse,
    },
}

/// Tells whether anybody uses a channel now. Cheap to clone.
#[derive(Clone)]
pub struct InUse(Arc<dyn Fn(&ChannelName) -> bool + Send + Sync>);

impl InUse {
    /// Asks `is_in_use`, from any thread.
    pub fn new(is_in_use: impl Fn(&ChannelName) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_in_use))
    }

    /// Nobody uses any.
    #[must_use]
    pub fn nothing() -> Self {
        Self::new(|_| false)
    }

    /// True where somebody does.
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

/// A session that was ended is to be remembered.
#[derive(Debug)]
pub struct Revoke {
    /// Which, and for how long.
    pub revocation: Revocation,
    /// Where the outcome goes: given when a crash can no longer take it back, where the engine outlives its process.
    pub answer: Answer<()>,
}

/// A session whose tickets are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The session.
    pub session: u128,
    /// When the last of its tickets expires by itself, in wall milliseconds: it may be forgotten then.
    pub until: u64,
}

/// A publication to be appended.
#[derive(Debug)]
pub struct Append {
    /// Where to.
    pub channel: ChannelName,
    /// What.
    pub content: Content,
    /// Who asked for it. A [`Origin::Key`] that the log still knows is answered as it was the first time.
    pub origin: Option<Origin>,
    /// The request may have been executed before: append only what the log proves that it never was.
    pub doubt: Option<Doubt>,
    /// Who publishes: a log that begins, and its bytes in memory, are booked on it.
    pub holder: Holder,
    /// What the channel keeps.
    pub retention: Retention,
    /// The time, in wall milliseconds.
    pub wall_ms: u64,
    /// Where the outcome goes.
    pub answer: Answer<Appended>,
}

/// Who asked for a publication, so that a repeated request is recognised by the log itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A client.
    Request {
        /// Its session.
        session: u128,
        /// The request's id.
        id: RequestId,
    },
    /// A back end that named a key: the digest of it.
    Key(u128),
}

/// What is known of the session whose request is in doubt.
///
/// The log proves that a request never was where it reaches back to its start and began no later than the session, or where an
/// older request of the session is in it that was not in doubt itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The engine's life in which the session began; 0 where that is not known. In the same life, a log that reaches back
    /// to its start has seen all of the session's requests.
    pub session_incarnation: u32,
}

/// What became of an append.
#[derive(Clone, Debug)]
pub enum Appended {
    /// It is in the log.
    New {
        /// Of which life.
        epoch: Arc<str>,
        /// The publication, as subscribers get it.
        entry: Entry,
        /// When the one before it was appended; 0 before the first. An engine that went back, and was not heard since, has
        /// another one there than it told of.
        before_at: u64,
        /// The offset just before the oldest publication that is kept.
        base: u64,
        /// When that one was appended, where it is known.
        base_at: Option<u64>,
    },
    /// It was in the log before.
    Repeated {
        /// Of which life.
        epoch: Arc<str>,
        /// Where it stands.
        offset: u64,
        /// When it was appended.
        at: u64,
    },
}

/// Where does a log stand, and a reader in it?
#[derive(Debug)]
pub struct StatRequest {
    /// Which log.
    pub channel: ChannelName,
    /// Tell also when the publication at this offset was appended.
    pub offset: Option<u64>,
    /// Tell also how far this user has taken the channel.
    pub user: Option<UserId>,
    /// What the channel keeps.
    pub retention: Retention,
    /// The time, in wall milliseconds.
    pub wall_ms: u64,
    /// Where the outcome goes.
    pub answer: Answer<StatResult>,
}

/// What a [`StatRequest`] saw.
#[derive(Clone, Debug)]
pub struct StatResult {
    /// Where the log stands.
    pub log: LogState,
    /// When the publication that was asked about was appended, where it or the one behind it is kept.
    pub at: Option<u64>,
    /// How far the user has taken the channel; none where nothing was ever acknowledged.
    pub acknowledged: Option<Position>,
    /// How far it was handed to any connection, where that is kept.
    pub delivered: Option<Position>,
}

/// Where a log stands. A log that nobody wrote to stands at 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogState {
    /// Its life.
    pub epoch: Arc<str>,
    /// The last offset given out; 0 before the first.
    pub head: u64,
    /// When that was, in wall milliseconds.
    pub head_at: u64,
    /// The offset just before the oldest publication kept.
    pub base: u64,
    /// When that one was appended, where it is known.
    pub base_at: Option<u64>,
}

/// A page of a log.
#[derive(Debug)]
pub struct Read {
    /// Which log.
    pub channel: ChannelName,
    /// Which part.
    pub span: Span,
    /// Publications, at most.
    pub count_max: usize,
    /// Bytes of their packets, at most; one publication is always read.
    pub bytes_max: usize,
    /// What the channel keeps.
    pub retention: Retention,
    /// The time, in wall milliseconds.
    pub wall_ms: u64,
    /// Where the outcome goes.
    pub answer: Answer<Page>,
}

/// A part of a log, named by an offset that does not belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The oldest behind it.
    After(u64),
    /// The newest before it.
    Before(u64),
}

impl Span {
    /// The offset that it is named by.
    #[must_use]
    pub const fn offset(self) -> u64 {
        match self {
            Self::After(offset) | Self::Before(offset) => offset,
        }
    }
}

/// What a [`Read`] found.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where the log stands.
    pub log: LogState,
    /// When the publication at the span's offset was appended, where it or the one behind it is kept.
    pub at: Option<u64>,
    /// What was read, offsets rising by one.
    pub entries: Vec<Entry>,
}

/// How far somebody has taken a log. A higher one of the same epoch wins, one of another epoch takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The log's life.
    pub epoch: Arc<str>,
    /// The last offset taken.
    pub offset: u64,
}

/// Positions to be kept.
#[derive(Debug)]
pub struct SavePositions {
    /// Which ones.
    pub updates: Vec<PositionUpdate>,
    /// Where the outcome goes: until then the hub keeps them itself.
    pub answer: Answer<()>,
}

/// A position to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionUpdate {
    /// Which log.
    pub channel: ChannelName,
    /// The user whose app has handled it; none: it was handed to any connection.
    pub user: Option<UserId>,
    /// How far.
    pub position: Position,
}

impl Job {
    /// Refuses the job, whatever it is: nothing was done.
    pub fn refuse(self, error: &EngineError) {
        match self {
            Self::Append(job) => job.answer.give(Err(error.clone())),
            Self::Stat(job) => job.answer.give(Err(error.clone())),
            Self::Read(job) => job.answer.give(Err(error.clone())),
            Self::SavePositions(job) => job.answer.give(Err(error.clone())),
            Self::Revoke(job) => job.answer.give(Err(error.clone())),
            Self::Tidy { .. } => {}
        }
    }
}
