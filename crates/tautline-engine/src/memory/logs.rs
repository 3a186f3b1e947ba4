//! Many logs in memory, without a lock: a shard of the memory engine, and the basis of simulated engines.
//!
//! Start at [`MemoryLogs::append`].

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use tautline_protocol::{ChannelName, UserId};

use super::log::MemoryLog;
use crate::{
    Append, Appended, EngineError, EngineLimits, InUse, LogState, Origin, Page, Position, PositionUpdate,
    Read, Retention, RetentionOf, StatRequest, StatResult,
    budget::{Budget, Holder},
};

/// State shared by all logs of one engine: the budgets of logs, bytes and positions.
#[derive(Clone)]
pub(super) struct LogShares {
    /// Logs, empty ones included. A log that restarts at 1 could not tell an old cursor what is missing, so
    /// the head of an empty log is remembered for [`tautline_protocol::Limits::ticket_ms`].
    logs: Arc<Budget>,
    pub(super) bytes: Arc<Budget>,
    positions: Arc<Budget>,
    /// Hashes the holders of positions.
    hasher: RandomState,
}

impl LogShares {
    pub(super) fn new(limits: &EngineLimits) -> Self {
        Self {
            logs: Budget::new(limits.channel_count_max),
            bytes: Budget::new(limits.log_bytes_max),
            positions: Budget::new(limits.acks_max),
            hasher: RandomState::new(),
        }
    }

    /// The budget holder of a position: its user, or the node for delivered positions of inboxes.
    fn reader(&self, user: Option<&UserId>) -> Holder {
        let hash = |user| Holder::of_hash((self.hasher.hash_one(user) >> 32) as u32);
        user.map_or(Holder::BACK_END, hash)
    }

    fn copy(&self) -> Self {
        let Self { logs, bytes, positions, hasher } = self;
        Self { logs: logs.copy(), bytes: bytes.copy(), positions: positions.copy(), hasher: hasher.clone() }
    }
}

/// Logs and positions. A clone is an older state for a rollback.
pub struct MemoryLogs {
    incarnation: u32,
    /// The epoch of new logs.
    epoch: Arc<str>,
    /// The number of earlier epochs in this incarnation, and the start time of this one.
    epochs: u32,
    epoch_at: u64,
    logs: HashMap<ChannelName, MemoryLog>,
    positions: HashMap<(ChannelName, Option<UserId>), Position>,
    shares: LogShares,
    remember_ms: u64,
}

impl Clone for MemoryLogs {
    fn clone(&self) -> Self {
        Self {
            incarnation: self.incarnation,
            epoch: Arc::clone(&self.epoch),
            epochs: self.epochs,
            epoch_at: self.epoch_at,
            logs: self.logs.clone(),
            positions: self.positions.clone(),
            shares: self.shares.copy(),
            remember_ms: self.remember_ms,
        }
    }
}

impl MemoryLogs {
    /// Empty, with the limits of a node and the lifetime of its tickets.
    #[must_use]
    pub fn new(incarnation: u32, limits: &EngineLimits, remember_ms: u64) -> Self {
        Self::sharing(incarnation, remember_ms, LogShares::new(limits))
    }

    /// One shard of an engine's logs.
    pub(super) fn sharing(incarnation: u32, remember_ms: u64, shares: LogShares) -> Self {
        Self {
            incarnation,
            epoch: epoch_of(incarnation, 0),
            epochs: 0,
            epoch_at: 0,
            logs: HashMap::new(),
            positions: HashMap::new(),
            shares,
            remember_ms,
        }
    }

    /// All logs continue in another incarnation, and so in another epoch: some may have lost data.
    pub fn begin_incarnation(&mut self, incarnation: u32) {
        self.incarnation = incarnation;
        (self.epoch, self.epochs) = (epoch_of(incarnation, 0), 0);
        self.logs.values_mut().for_each(|log| log.epoch = Arc::clone(&self.epoch));
    }

    /// The incarnation.
    #[must_use]
    pub const fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// Appends, unless the publication exists or is in doubt.
    ///
    /// # Errors
    /// `InDoubt` if the log cannot tell whether the request was executed, `Conflict` if its head is not the expected
    /// one, `Full` or `Limit` if there is no room.
    pub fn append(&mut self, job: &Append) -> Result<Appended, EngineError> {
        let whole = job.doubt.is_some_and(|doubt| doubt.session_incarnation == self.incarnation);
        match (self.logs.get(&job.channel), job.origin) {
            (Some(log), Some(origin)) if job.doubt.is_some() || matches!(origin, Origin::Key(_)) => {
                if let Some((offset, at)) = log.of_origin(origin) {
                    return Ok(Appended::Repeated { epoch: Arc::clone(&log.epoch), offset, at });
                }
            }
            _ => {}
        }
        if let (Some(_), Some(Origin::Request { session, id })) = (job.doubt, job.origin) {
            let log = self.logs.get(&job.channel);
            let never = log.is_some_and(|log| log.has_older(session, id))
                || whole && log.is_none_or(|log| log.base() == 0);
            if !never {
                let words = "the log does not reach back far enough to prove whether this was published";
                return Err(EngineError::InDoubt(words.to_owned()));
            }
        }
        match self.logs.get(&job.channel) {
            Some(log) => job.check_expected(&log.epoch, log.head())?,
            None => job.check_expected(&self.epoch, 0)?,
        }
        let LogShares { logs, bytes, .. } = &self.shares;
        let (holder, claimant) = (job.holder, job.holder.claimant());
        if !bytes.has_room(holder, job.content.data.len(), claimant) {
            return Err(EngineError::no_room(bytes, holder, "bytes of publications"));
        }
        let log = match self.logs.entry(job.channel.clone()) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(_) if !logs.take(holder, 1, claimant) => {
                return Err(EngineError::no_room(logs, holder, "channels"));
            }
            Entry::Vacant(room) => room.insert(MemoryLog::new(Arc::clone(&self.epoch), holder)),
        };
        let before_at = log.head_at();
        let entry = log.append(job, bytes);
        let (base, base_at) = (log.base(), log.base_at());
        Ok(Appended::New { epoch: Arc::clone(&log.epoch), entry, before_at, base, base_at })
    }

    /// Reports the state of a log.
    pub fn stat(&mut self, job: &StatRequest) -> StatResult {
        let log_state = self.log_state(&job.channel, job.wall_ms, &job.retention);
        let position =
            |user: Option<&UserId>| self.positions.get(&(job.channel.clone(), user.cloned())).cloned();
        StatResult {
            log: log_state,
            at: job.offset.and_then(|offset| self.at(&job.channel, offset)),
            acknowledged: job.user.as_ref().and_then(|user| position(Some(user))),
            delivered: position(None),
        }
    }

    /// Reads a page.
    pub fn read(&mut self, job: &Read) -> Page {
        let log_state = self.log_state(&job.channel, job.wall_ms, &job.retention);
        let log = self.logs.get(&job.channel);
        Page {
            log: log_state,
            at: self.at(&job.channel, job.span.offset()),
            entries: log.map(|log| log.read(job.span, job.count_max, job.bytes_max)).unwrap_or_default(),
        }
    }

    /// Saves a position, if there is room for it.
    pub fn keep(&mut self, mark: &PositionUpdate) {
        let key = (mark.channel.clone(), mark.user.clone());
        let reader = self.shares.reader(mark.user.as_ref());
        let kept = match self.positions.entry(key) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(_) if !self.shares.positions.take(reader, 1, reader.claimant()) => return,
            Entry::Vacant(room) => room.insert(mark.position.clone()),
        };
        if kept.epoch != mark.position.epoch || kept.offset < mark.position.offset {
            *kept = mark.position.clone();
        }
    }

    /// Empties the user's inbox, and deletes its positions.
    pub fn forget_user(&mut self, user: &UserId) {
        let Self { logs, positions, shares, .. } = self;
        if let Some(inbox) = ChannelName::of_user(user).ok().and_then(|inbox| logs.get_mut(&inbox)) {
            inbox.retain(0, &Retention::NOTHING, &shares.bytes);
        }
        let gone = positions.extract_if(|(_, reader), _| reader.as_ref() == Some(user)).count();
        shares.positions.give(shares.reader(Some(user)), gone);
    }

    /// Drops entries beyond the retention, and forgets unused logs that were empty for long enough.
    pub fn tidy(&mut self, wall_ms: u64, retention: &RetentionOf, in_use: &InUse) {
        let Self { incarnation, epoch, epochs, epoch_at, logs, positions, shares, remember_ms } = self;
        for (channel, log) in &mut *logs {
            log.retain(wall_ms, &retention.get(channel), &shares.bytes);
        }
        let may_go = |channel: &ChannelName, log: &MemoryLog| {
            log.is_empty()
                && log.head_at().saturating_add(*remember_ms) < wall_ms
                && !in_use.contains(channel)
        };
        // A forgotten log must begin again in another epoch. All logs at offset 0 share that epoch, so it
        // changes rarely.
        if epoch_at.saturating_add(*remember_ms) < wall_ms
            && logs.iter().any(|(channel, log)| log.epoch == *epoch && may_go(channel, log))
        {
            *epochs += 1;
            (*epoch, *epoch_at) = (epoch_of(*incarnation, *epochs), wall_ms);
        }
        for (_, log) in logs.extract_if(|channel, log| log.epoch != *epoch && may_go(channel, log)) {
            shares.logs.give(log.holder(), 1);
        }
        for ((_, user), _) in positions.extract_if(|(channel, _), _| !logs.contains_key(channel)) {
            shares.positions.give(shares.reader(user.as_ref()), 1);
        }
        if self.logs.len() * 4 < self.logs.capacity() {
            self.logs.shrink_to_fit();
        }
    }

    fn log_state(&mut self, channel: &ChannelName, wall_ms: u64, retention: &Retention) -> LogState {
        let Some(log) = self.logs.get_mut(channel) else {
            let epoch = Arc::clone(&self.epoch);
            return LogState { epoch, head: 0, head_at: 0, base: 0, base_at: None };
        };
        log.retain(wall_ms, retention, &self.shares.bytes);
        let (head, head_at) = (log.head(), log.head_at());
        LogState { epoch: Arc::clone(&log.epoch), head, head_at, base: log.base(), base_at: log.base_at() }
    }

    fn at(&self, channel: &ChannelName, offset: u64) -> Option<u64> {
        self.logs.get(channel).and_then(|log| log.at(offset))
    }
}

/// The epoch of new logs after `epochs` earlier ones in this incarnation.
fn epoch_of(incarnation: u32, epochs: u32) -> Arc<str> {
    match epochs {
        0 => format!("{incarnation:x}").into(),
        _ => format!("{incarnation:x}.{epochs:x}").into(),
    }
}

impl std::fmt::Debug for MemoryLogs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryLogs")
            .field("logs", &self.logs.len())
            .field("bytes", &self.shares.bytes)
            .finish_non_exhaustive()
    }
}
