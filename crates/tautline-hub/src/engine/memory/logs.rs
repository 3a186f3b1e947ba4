//! Many logs in memory, without a lock: what the memory engine shards, and what a simulated engine is made of.

use std::{collections::HashMap, sync::Arc};

use tautline_protocol::{ChannelName, Limits, UserId};

use super::log::MemoryLog;
use crate::{
    Retention, Rules,
    engine::{Append, Appended, EngineError, Look, Looked, Mark, Origin, Page, Position, Read, Standing},
};

/// Logs and positions. A clone is an older state that one can go back to.
#[derive(Clone)]
pub struct MemoryLogs {
    life: u32,
    epoch: Arc<str>,
    logs: HashMap<ChannelName, MemoryLog>,
    positions: HashMap<(ChannelName, Option<UserId>), Position>,
    bytes: usize,
    /// Logs, empty ones included. A log that began anew at 1 could not tell an old cursor what is missing, so where an
    /// empty log was is remembered for `remember_ms`, and beyond this many no new ones begin.
    logs_max: usize,
    remember_ms: u64,
    positions_max: usize,
}

impl MemoryLogs {
    /// No logs yet, and room for one of `parts` equal parts of what a node may keep.
    #[must_use]
    pub fn new(life: u32, limits: &Limits, parts: usize) -> Self {
        Self {
            life,
            epoch: format!("{life:x}").into(),
            logs: HashMap::new(),
            positions: HashMap::new(),
            bytes: 0,
            logs_max: limits.channel_count_max.div_ceil(parts),
            remember_ms: limits.ticket_ms,
            positions_max: limits.acks_max.div_ceil(parts),
        }
    }

    /// All logs go on under another life, and so in another epoch: some may have lost something.
    pub fn begin_life(&mut self, life: u32) {
        self.life = life;
        self.epoch = format!("{life:x}").into();
    }

    /// Which life this is.
    #[must_use]
    pub const fn life(&self) -> u32 {
        self.life
    }

    /// Bytes of all publications.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends, unless it was done before or nobody can tell.
    ///
    /// # Errors
    /// `InDoubt` where the log cannot tell whether the request was executed, `Full` where no new log may begin.
    pub fn append(&mut self, job: &Append) -> Result<Appended, EngineError> {
        let whole = job.doubt.is_some_and(|doubt| doubt.session_life == self.life);
        match (self.logs.get(&job.channel), job.origin) {
            (Some(log), Some(origin)) if job.doubt.is_some() || matches!(origin, Origin::Key(_)) => {
                if let Some((offset, at)) = log.of_origin(origin) {
                    return Ok(Appended::Repeated { epoch: Arc::clone(&self.epoch), offset, at });
                }
            }
            _ => {}
        }
        if let (Some(_), Some(Origin::Request { session, id })) = (job.doubt, job.origin) {
            let log = self.logs.get(&job.channel);
            let never = log.is_some_and(|log| log.has_older(session, id))
                || whole && log.is_none_or(|log| log.base() == 0);
            if !never {
                let words = "the log does not reach back far enough to tell whether this was published";
                return Err(EngineError::InDoubt(words.to_owned()));
            }
        }
        if self.logs.len() >= self.logs_max && !self.logs.contains_key(&job.channel) {
            return Err(EngineError::Full("this node has as many logs as it may have".to_owned()));
        }
        let log = self.logs.entry(job.channel.clone()).or_default();
        let (before, before_at) = (log.bytes(), log.head_at());
        let entry = log.append(
            &job.channel,
            &job.content,
            (job.origin, job.doubt.is_some()),
            job.wall_ms,
            &job.retention,
        );
        let (base, base_at) = (log.base(), log.base_at());
        self.bytes = self.bytes + log.bytes() - before;
        Ok(Appended::New { epoch: Arc::clone(&self.epoch), entry, before_at, base, base_at })
    }

    /// Tells where a log stands.
    pub fn look(&mut self, job: &Look) -> Looked {
        let standing = self.standing(&job.channel, job.wall_ms, &job.retention);
        let position =
            |user: Option<&UserId>| self.positions.get(&(job.channel.clone(), user.cloned())).cloned();
        Looked {
            standing,
            at: job.offset.and_then(|offset| self.at(&job.channel, offset)),
            acknowledged: job.user.as_ref().and_then(|user| position(Some(user))),
            delivered: position(None),
        }
    }

    /// Reads a page.
    pub fn read(&mut self, job: &Read) -> Page {
        let standing = self.standing(&job.channel, job.wall_ms, &job.retention);
        let log = self.logs.get(&job.channel);
        Page {
            standing,
            at: self.at(&job.channel, job.span.offset()),
            entries: log.map(|log| log.read(job.span, job.count_max, job.bytes_max)).unwrap_or_default(),
        }
    }

    /// Keeps a position, while there is room for it.
    pub fn keep(&mut self, mark: &Mark) {
        let key = (mark.channel.clone(), mark.user.clone());
        if self.positions.len() >= self.positions_max && !self.positions.contains_key(&key) {
            return;
        }
        let kept = self.positions.entry(key).or_insert_with(|| mark.position.clone());
        if kept.epoch != mark.position.epoch || kept.offset < mark.position.offset {
            *kept = mark.position.clone();
        }
    }

    /// Drops what rules no longer cover, and forgets logs that were empty for long enough.
    pub fn tidy(&mut self, wall_ms: u64, rules: &Rules) {
        let mut bytes = 0;
        for (channel, log) in &mut self.logs {
            log.retain(wall_ms, &rules.of(channel).retention);
            bytes += log.bytes();
        }
        self.bytes = bytes;
        let remember_ms = self.remember_ms;
        let forgotten = |log: &MemoryLog| log.is_empty() && log.head_at() + remember_ms < wall_ms;
        self.logs.retain(|_, log| !forgotten(log));
        self.positions.retain(|(channel, _), _| self.logs.contains_key(channel));
        if self.logs.len() * 4 < self.logs.capacity() {
            self.logs.shrink_to_fit();
        }
    }

    fn standing(&mut self, channel: &ChannelName, wall_ms: u64, retention: &Retention) -> Standing {
        let epoch = Arc::clone(&self.epoch);
        let Some(log) = self.logs.get_mut(channel) else {
            return Standing { epoch, head: 0, head_at: 0, base: 0, base_at: None };
        };
        let before = log.bytes();
        log.retain(wall_ms, retention);
        self.bytes = self.bytes + log.bytes() - before;
        let (head, head_at) = (log.head(), log.head_at());
        Standing { epoch, head, head_at, base: log.base(), base_at: log.base_at() }
    }

    fn at(&self, channel: &ChannelName, offset: u64) -> Option<u64> {
        self.logs.get(channel).and_then(|log| log.at(offset))
    }
}

impl std::fmt::Debug for MemoryLogs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryLogs")
            .field("logs", &self.logs.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
