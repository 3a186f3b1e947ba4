//! The queries behind a stat or a read, in one snapshot of the file.
//!
//! Expired publications may not be deleted yet: every result leaves them out.

use std::{cell::Cell, sync::Arc};

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row};
use tautline_engine::{
    Content, Entry, LogState, Page, Position, Read, Retention, Span, StatRequest, StatResult,
};
use tautline_protocol::UserId;

use crate::{
    convert::{self, get, get_option, int, size},
    fault::{Fault, unless_foreign},
};

/// The file at one moment.
pub(crate) struct Snapshot<'a> {
    pub(crate) connection: &'a Connection,
    /// The epoch of logs without a publication so far.
    pub(crate) epoch: &'a Arc<str>,
    /// The last log that was warned about for a row that cannot be read.
    pub(crate) warned: &'a Cell<i64>,
}

/// The state of a log in the file, and the bytes of its publications.
struct Log {
    id: i64,
    log_state: LogState,
    bytes: u64,
}

impl Snapshot<'_> {
    pub(crate) fn stat(&self, job: &StatRequest) -> Result<StatResult, Fault> {
        let Some(log) = self.log(job.channel.as_str(), job.wall_ms, &job.retention)? else {
            return Ok(StatResult { log: self.unwritten(), at: None, acknowledged: None, delivered: None });
        };
        let at = job.offset.map(|offset| self.at(&log, offset)).transpose()?.flatten();
        let acknowledged =
            job.user.as_ref().map(|user| self.position(log.id, Some(user))).transpose()?.flatten();
        Ok(StatResult { at, acknowledged, delivered: self.position(log.id, None)?, log: log.log_state })
    }

    pub(crate) fn read(&self, job: &Read) -> Result<Page, Fault> {
        let Some(log) = self.log(job.channel.as_str(), job.wall_ms, &job.retention)? else {
            return Ok(Page { log: self.unwritten(), at: None, entries: Vec::new() });
        };
        let at = self.at(&log, job.span.offset())?;
        let entries = self.entries(&log, job)?;
        Ok(Page { log: log.log_state, at, entries })
    }

    fn unwritten(&self) -> LogState {
        LogState { epoch: Arc::clone(self.epoch), head: 0, head_at: 0, base: 0, base_at: None }
    }

    fn statement(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.connection.prepare_cached(sql)
    }

    fn log(&self, channel: &str, wall_ms: u64, retention: &Retention) -> Result<Option<Log>, Fault> {
        let sql = "SELECT id, epoch, head, head_at, base, base_at, bytes FROM channels WHERE name = ?1";
        let found = self.statement(sql)?.query_row([channel], |row| self.log_of(row)).optional()?;
        let Some(mut log) = found else { return Ok(None) };
        let base = self.base(&log, wall_ms, retention)?;
        if base > log.log_state.base {
            log.log_state.base_at = self.at(&log, base)?;
            log.log_state.base = base;
        }
        Ok(Some(log))
    }

    fn log_of(&self, row: &Row<'_>) -> rusqlite::Result<Log> {
        let epoch = row.get_ref(1)?.as_str()?;
        let log_state = LogState {
            epoch: if epoch == &**self.epoch { Arc::clone(self.epoch) } else { epoch.into() },
            head: get(row, 2)?,
            head_at: get(row, 3)?,
            base: get(row, 4)?,
            base_at: get_option(row, 5)?,
        };
        Ok(Log { id: row.get(0)?, log_state, bytes: get(row, 6)? })
    }

    /// The base once everything that is not to be kept is deleted.
    fn base(&self, log: &Log, wall_ms: u64, retention: &Retention) -> Result<u64, Fault> {
        let LogState { head, base, base_at, .. } = log.log_state;
        let by_count = head.saturating_sub(u64::try_from(retention.count).unwrap_or(u64::MAX));
        let mut base = base.max(by_count);
        if usize::try_from(log.bytes).unwrap_or(usize::MAX) > retention.bytes {
            // Rare: the rule keeps less than it did when the last publication came.
            base = base.max(self.base_by_bytes(log, retention.bytes)?);
        }
        // Times never fall: if the last one dropped is young enough, all that are kept are.
        if base_at.is_some_and(|at| wall_ms.saturating_sub(at) <= retention.age_ms) {
            return Ok(base);
        }
        let oldest_at = wall_ms.saturating_sub(retention.age_ms);
        Ok(base.max(self.base_by_age(log, base, oldest_at)?))
    }

    fn base_by_bytes(&self, log: &Log, bytes_max: usize) -> Result<u64, Fault> {
        let sql =
            "SELECT offset, bytes FROM publications WHERE channel = ?1 AND offset > ?2 ORDER BY offset DESC";
        let mut statement = self.statement(sql)?;
        let mut rows = statement.query((log.id, int(log.log_state.base)))?;
        let mut room = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        while let Some(row) = rows.next()? {
            let (Ok(offset), Ok(bytes)) = (get(row, 0), get(row, 1)) else { continue };
            match room.checked_sub(bytes) {
                Some(left) => room = left,
                None => return Ok(offset),
            }
        }
        Ok(log.log_state.base)
    }

    /// The offset before the first behind `base` that was appended at `oldest_at` or later. Times never fall, so halving finds it.
    fn base_by_age(&self, log: &Log, base: u64, oldest_at: u64) -> Result<u64, Fault> {
        let head = log.log_state.head;
        if log.log_state.head_at < oldest_at {
            return Ok(head);
        }
        let sql = "SELECT at FROM publications WHERE channel = ?1 AND offset >= ?2 ORDER BY offset LIMIT 1";
        let mut statement = self.statement(sql)?;
        let mut is_young = |offset: u64| -> Result<bool, Fault> {
            let at = statement.query_row((log.id, int(offset)), |row| get(row, 0)).optional();
            let at = unless_foreign(at.map_err(Fault::from))?;
            Ok(at.is_none_or(|at| at >= oldest_at))
        };
        if base == head || is_young(base + 1)? {
            return Ok(base);
        }
        // `old` is too old and `young` is not.
        let (mut old, mut young) = (base + 1, head);
        while old + 1 < young {
            let middle = old.midpoint(young);
            if is_young(middle)? { young = middle } else { old = middle }
        }
        Ok(young - 1)
    }

    /// When the publication at `offset` was appended, where it or the one behind it is kept.
    fn at(&self, log: &Log, offset: u64) -> Result<Option<u64>, Fault> {
        let LogState { head, head_at, base, base_at, .. } = log.log_state;
        if offset == head {
            return Ok((head > 0).then_some(head_at));
        }
        if offset == base {
            return Ok(base_at);
        }
        if offset < base || offset > head {
            return Ok(None);
        }
        let sql = "SELECT at FROM publications WHERE channel = ?1 AND offset = ?2";
        let at = self.statement(sql)?.query_row((log.id, int(offset)), |row| get(row, 0)).optional();
        unless_foreign(at.map_err(Fault::from))
    }

    fn position(&self, channel: i64, reader: Option<&UserId>) -> Result<Option<Position>, Fault> {
        let sql = "SELECT epoch, offset FROM positions WHERE channel = ?1 AND reader = ?2";
        let reader = reader.map_or("", UserId::as_str);
        let position = self.statement(sql)?.query_row((channel, reader), |row| {
            Ok(Position { epoch: row.get_ref(0)?.as_str()?.into(), offset: get(row, 1)? })
        });
        unless_foreign(position.optional().map_err(Fault::from))
    }

    fn entries(&self, log: &Log, job: &Read) -> Result<Vec<Entry>, Fault> {
        let LogState { head, base, .. } = log.log_state;
        let (sql, from, to) = match job.span {
            Span::After(offset) => (
                "SELECT offset, at, bytes, data, sender, tags FROM publications
                 WHERE channel = ?1 AND offset > ?2 AND offset <= ?3 ORDER BY offset LIMIT ?4",
                offset.max(base),
                head,
            ),
            Span::Before(offset) => (
                "SELECT offset, at, bytes, data, sender, tags FROM publications
                 WHERE channel = ?1 AND offset > ?2 AND offset <= ?3 ORDER BY offset DESC LIMIT ?4",
                base,
                offset.saturating_sub(1).min(head),
            ),
        };
        let mut statement = self.statement(sql)?;
        let mut rows = statement.query((log.id, int(from), int(to), size(job.count_max)))?;
        let (mut entries, mut bytes): (Vec<Entry>, u64) = (Vec::new(), 0);
        let bytes_max = u64::try_from(job.bytes_max).unwrap_or(u64::MAX);
        while let Some(row) = rows.next()? {
            let foreign = match place_and_content(row) {
                Ok((offset, at, size, content)) => {
                    bytes += size;
                    // Foreign tools may have deleted rows in the middle: a page has no holes.
                    let follows = entries.last().is_none_or(|last| last.offset().abs_diff(offset) == 1);
                    if !follows || bytes > bytes_max && !entries.is_empty() {
                        break;
                    }
                    entries.push(Entry::encode(&job.channel, offset, at, &content));
                    continue;
                }
                Err(Fault::Row(foreign)) => foreign,
                Err(fault) => return Err(fault),
            };
            // Treated as deleted: readers get a gap.
            if self.warned.replace(log.id) != log.id {
                tracing::warn!(event = "store_publication_unreadable", channel = %job.channel, foreign, "a publication cannot be read and is left out");
            }
        }
        if matches!(job.span, Span::Before(_)) {
            entries.reverse();
        }
        Ok(entries)
    }
}

/// A publication: its offset, its time, its size and its content.
fn place_and_content(row: &Row<'_>) -> Result<(u64, u64, u64, Content), Fault> {
    Ok((get(row, 0)?, get(row, 1)?, get(row, 2)?, convert::content(row, 3)?))
}
