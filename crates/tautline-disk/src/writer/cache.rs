//! The cached rows of channels: the writer decides from them without a query.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use rusqlite::{Connection, OptionalExtension as _, Row};
use tautline_engine::Retention;
use tautline_protocol::ChannelName;

use crate::{
    convert::{get, get_option, int, size},
    fault::Fault,
    options::{BACKGROUND_MIN, CACHED_CHANNELS_MAX, OLDEST_MAX},
};

/// One channel's row, and the oldest of its publications.
pub(super) struct ChannelState {
    pub(super) id: i64,
    pub(super) epoch: Arc<str>,
    pub(super) head: u64,
    pub(super) head_at: u64,
    /// The offset before the oldest that is kept.
    pub(super) base: u64,
    pub(super) base_at: Option<u64>,
    /// Up to here, publications are deleted.
    pub(super) gone: u64,
    /// Up to here, requests stand in the index of requests.
    pub(super) indexed: u64,
    /// Of packets that are kept.
    pub(super) bytes: u64,
    pub(super) relaxed: bool,
    /// The first publications behind `base`, without a hole. Not all of them.
    oldest: VecDeque<Oldest>,
    /// It is in the queue for background work.
    pub(super) queued: bool,
    /// The row has to be written.
    dirty: bool,
    /// When it was used last, counted in uses.
    used: u64,
}

/// A publication that will expire next.
#[derive(Clone, Copy)]
struct Oldest {
    offset: u64,
    at: u64,
    bytes: u64,
}

impl ChannelState {
    /// A log that begins.
    pub(super) fn new(id: i64, epoch: Arc<str>) -> Self {
        Self {
            id,
            epoch,
            head: 0,
            head_at: 0,
            base: 0,
            base_at: None,
            gone: 0,
            indexed: 0,
            bytes: 0,
            relaxed: false,
            oldest: VecDeque::new(),
            queued: false,
            dirty: false,
            used: 0,
        }
    }

    fn of_row(row: &Row<'_>, epoch: &Arc<str>) -> rusqlite::Result<Self> {
        let own = row.get_ref(1)?.as_str()?;
        let own = if own == &**epoch { Arc::clone(epoch) } else { own.into() };
        Ok(Self {
            head: get(row, 2)?,
            head_at: get(row, 3)?,
            base: get(row, 4)?,
            base_at: get_option(row, 5)?,
            gone: get(row, 6)?,
            indexed: get(row, 7)?,
            bytes: get(row, 8)?,
            relaxed: row.get(9)?,
            ..Self::new(row.get(0)?, own)
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.base == self.head
    }

    /// A publication was appended.
    pub(super) fn push(&mut self, at: u64, bytes: u64) {
        let known_to = self.oldest.back().map_or(self.base, |last| last.offset);
        if known_to == self.head && self.oldest.len() < OLDEST_MAX {
            self.oldest.push_back(Oldest { offset: self.head + 1, at, bytes });
        }
        self.head += 1;
        self.head_at = at;
        self.bytes += bytes;
    }

    /// Moves the base over what is not to be kept. True: it moved.
    pub(super) fn retain(
        &mut self,
        connection: &Connection,
        wall_ms: u64,
        retention: &Retention,
    ) -> Result<bool, Fault> {
        let (count_max, bytes_max) = (big(retention.count), big(retention.bytes));
        let before = self.base;
        while !self.is_empty() {
            let Some(oldest) = self.oldest(connection)? else {
                // Foreign tools have deleted them.
                (self.base, self.base_at) = (self.head, Some(self.head_at));
                break;
            };
            let kept = self.head - self.base <= count_max
                && self.bytes <= bytes_max
                && wall_ms.saturating_sub(oldest.at) <= retention.age_ms;
            if kept {
                break;
            }
            self.oldest.pop_front();
            (self.base, self.base_at) = (oldest.offset, Some(oldest.at));
            self.bytes = self.bytes.saturating_sub(oldest.bytes);
        }
        if self.is_empty() {
            self.bytes = 0;
            self.oldest = VecDeque::new();
        }
        Ok(self.base != before)
    }

    fn oldest(&mut self, connection: &Connection) -> Result<Option<Oldest>, Fault> {
        if self.oldest.is_empty() {
            let sql = "SELECT offset, at, bytes FROM publications WHERE channel = ?1 AND offset > ?2 ORDER BY offset LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query((self.id, int(self.base), size(OLDEST_MAX)))?;
            while let Some(row) = rows.next()? {
                // One with a foreign value goes with those before it, like one that was deleted.
                if let (Ok(offset), Ok(at), Ok(bytes)) = (get(row, 0), get(row, 1), get(row, 2)) {
                    self.oldest.push_back(Oldest { offset, at, bytes });
                }
            }
        }
        Ok(self.oldest.front().copied())
    }

    /// Requests after this offset are not in the index yet, and are searched one by one.
    pub(super) fn indexed(&self) -> u64 {
        // Expired publications need not be found.
        self.indexed.max(self.base)
    }

    /// True when enough has expired or arrived for a round of deleting or indexing.
    pub(super) fn needs_background_work(&self) -> bool {
        self.base - self.gone >= BACKGROUND_MIN || self.head - self.indexed() >= BACKGROUND_MIN
    }

    pub(super) fn write(&self, connection: &Connection) -> Result<(), Fault> {
        let sql =
            "UPDATE channels SET head = ?2, head_at = ?3, base = ?4, base_at = ?5, gone = ?6, indexed = ?7,
                   bytes = ?8, relaxed = ?9
                   WHERE id = ?1";
        connection.prepare_cached(sql)?.execute((
            self.id,
            int(self.head),
            int(self.head_at),
            int(self.base),
            self.base_at.map(int),
            int(self.gone),
            int(self.indexed),
            int(self.bytes),
            self.relaxed,
        ))?;
        Ok(())
    }
}

/// The channels that were used last.
#[derive(Default)]
pub(super) struct Cache {
    states: HashMap<ChannelName, ChannelState>,
    /// Those whose rows have to be written.
    dirty: Vec<ChannelName>,
    uses: u64,
}

impl Cache {
    /// What is known of a channel, without reading the file.
    pub(super) fn peek(&self, name: &ChannelName) -> Option<&ChannelState> {
        self.states.get(name)
    }

    /// Reads the channel's state from the file where it has to be. False: nobody wrote to it.
    pub(super) fn fetch(
        &mut self,
        connection: &Connection,
        epoch: &Arc<str>,
        name: &ChannelName,
    ) -> Result<bool, Fault> {
        if self.states.contains_key(name) {
            return Ok(true);
        }
        let sql = "SELECT id, epoch, head, head_at, base, base_at, gone, indexed, bytes, relaxed
                   FROM channels WHERE name = ?1";
        let row = |row: &Row<'_>| ChannelState::of_row(row, epoch);
        let Some(state) = connection.prepare_cached(sql)?.query_row([name.as_str()], row).optional()? else {
            return Ok(false);
        };
        check(&state)?;
        self.states.insert(name.clone(), state);
        Ok(true)
    }

    pub(super) fn insert(&mut self, name: &ChannelName, state: ChannelState) {
        self.states.insert(name.clone(), state);
    }

    pub(super) fn remove(&mut self, name: &ChannelName) {
        self.states.remove(name);
    }

    /// The state of a channel that was fetched or inserted in this transaction.
    pub(super) fn get(&mut self, name: &ChannelName) -> &mut ChannelState {
        self.uses += 1;
        let state = self.states.get_mut(name).expect("it was fetched in this transaction");
        state.used = self.uses;
        state
    }

    /// Has the channel's row written before the commit.
    pub(super) fn touch(&mut self, name: &ChannelName) {
        if let Some(state) = self.states.get_mut(name)
            && !state.dirty
        {
            state.dirty = true;
            self.dirty.push(name.clone());
        }
    }

    /// Writes the rows that changed, once each.
    pub(super) fn flush(&mut self, connection: &Connection) -> Result<(), Fault> {
        for name in self.dirty.drain(..) {
            // Forgotten in the same transaction, where it is not there.
            if let Some(state) = self.states.get_mut(&name) {
                state.dirty = false;
                state.write(connection)?;
            }
        }
        Ok(())
    }

    /// Forgets those that were not used for the longest, where there are too many.
    pub(super) fn trim(&mut self) {
        if self.states.len() > CACHED_CHANNELS_MAX {
            let mut uses: Vec<u64> = self.states.values().map(|state| state.used).collect();
            let (_, median, _) = uses.select_nth_unstable(CACHED_CHANNELS_MAX / 4);
            let median = *median;
            self.states.retain(|_, state| state.used > median);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Numbers that contradict each other were written by somebody else.
fn check(state: &ChannelState) -> Result<(), Fault> {
    if state.gone <= state.base && state.base <= state.head && state.indexed <= state.head {
        return Ok(());
    }
    Err(Fault::Row(format!("channel {} ends before it begins", state.id)))
}

fn big(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
