//! Appending: was it done before, may it be done, do it.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row};
use tautline_engine::{Append, Appended, EngineError, Entry, Origin, budget::Claim};
use tautline_protocol::{RequestId, UserId};

use super::{
    cache::{Cache, ChannelState},
    transaction::Transaction,
};
use crate::{
    convert::{doubted_blob, get, int, origin_blob, request_blob},
    fault::{Fault, unless_foreign},
    options::BACKGROUND_QUEUED_MAX,
};

impl Transaction<'_> {
    /// Appends, unless the publication is in the log already, that cannot be decided, or another head was expected. `relaxed`: the reply does not wait
    /// for the disk.
    pub(super) fn append(
        &mut self,
        job: &Append,
        relaxed: bool,
    ) -> Result<Result<Appended, EngineError>, Fault> {
        let known = self.fetch(&job.channel)?;
        let state = known.then(|| &*self.cache.get(&job.channel));
        if let (Some(state), Some(origin)) = (state, job.origin)
            && (job.doubt.is_some() || matches!(origin, Origin::Key(_)))
            && let Some((offset, at)) = find(self.connection, state, origin)?
        {
            return Ok(Ok(Appended::Repeated { epoch: Arc::clone(&state.epoch), offset, at }));
        }
        if let (Some(doubt), Some(Origin::Request { session, id })) = (job.doubt, job.origin) {
            let whole =
                doubt.session_incarnation == self.incarnation && state.is_none_or(|state| state.base == 0);
            let never = whole
                || match state {
                    Some(state) => has_older(self.connection, state, session, id)?,
                    None => false,
                };
            if !never {
                let words = "the log does not reach back far enough to prove whether this was published";
                return Ok(Err(EngineError::InDoubt(words.to_owned())));
            }
        }
        let expected = match state {
            Some(state) => job.check_expected(&state.epoch, state.head),
            None => job.check_expected(&self.beginning.epoch, 0),
        };
        if let Err(conflict) = expected {
            return Ok(Err(conflict));
        }
        if state.is_none() {
            match self.shares.claim_log(job.holder) {
                Ok(claim) => self.begin_log(job, claim)?,
                Err(error) => return Ok(Err(error)),
            }
        }
        self.append_new(job, relaxed).map(Ok)
    }

    fn begin_log(&mut self, job: &Append, claim: Claim) -> Result<(), Fault> {
        let sql = "INSERT INTO channels (name, epoch, head, head_at, base, gone, indexed, bytes, relaxed)
                   VALUES (?1, ?2, 0, 0, 0, 0, 0, 0, 0)";
        let epoch = &self.beginning.epoch;
        let id = self.connection.prepare_cached(sql)?.insert((job.channel.as_str(), &**epoch))?;
        self.changes.begin_log(id, claim);
        self.cache.insert(&job.channel, ChannelState::new(id, Arc::clone(epoch)));
        Ok(())
    }

    fn append_new(&mut self, job: &Append, relaxed: bool) -> Result<Appended, Fault> {
        let Self { connection, cache, background, counts, .. } = self;
        let state = cache.get(&job.channel);
        let (before, before_at) = (state.bytes, state.head_at);
        // `at` never goes back, whatever the clock does: age and order agree.
        let at = job.wall_ms.max(state.head_at).min(i64::MAX.unsigned_abs());
        let entry = Entry::encode(&job.channel, state.head + 1, at, &job.content);
        let bytes = entry.line().len() as u64;
        insert(connection, state.id, &entry, job)?;
        state.push(at, bytes);
        // A new epoch would repeat all events under new ids.
        state.relaxed = relaxed && !job.channel.is_internal();
        state.retain(connection, job.wall_ms, &job.retention)?;
        counts.bytes = (counts.bytes + state.bytes).saturating_sub(before);
        let (epoch, base, base_at) = (Arc::clone(&state.epoch), state.base, state.base_at);
        if !state.queued && state.needs_background_work() && background.len() < BACKGROUND_QUEUED_MAX {
            state.queued = true;
            background.push_back(job.channel.clone());
        }
        Cache::touch(cache, &job.channel);
        Ok(Appended::New { epoch, entry, before_at, base, base_at })
    }
}

fn insert(connection: &Connection, channel: i64, entry: &Entry, job: &Append) -> Result<(), Fault> {
    // Replaces what somebody may have put there with tools of their own: offsets are given out here.
    let sql = "INSERT OR REPLACE INTO publications (channel, offset, at, bytes, data, sender, tags, origin)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare_cached(sql)?.execute((
        channel,
        int(entry.offset()),
        int(entry.at()),
        crate::convert::size(entry.line().len()),
        &*job.content.data,
        job.content.from.as_ref().map(UserId::as_str),
        job.content.tags.as_deref(),
        job.origin.map(|origin| match (origin, job.doubt) {
            (Origin::Request { .. }, Some(_)) => doubted_blob(origin),
            _ => origin_blob(origin),
        }),
    ))?;
    Ok(())
}

/// Where the publication of this origin stands, and when it was appended.
fn find(connection: &Connection, state: &ChannelState, origin: Origin) -> Result<Option<(u64, u64)>, Fault> {
    let (id, blob, base) = (state.id, origin_blob(origin), int(state.base));
    let place = |row: &Row<'_>| Ok((get(row, 0)?, get(row, 1)?));
    if matches!(origin, Origin::Key(_)) {
        let sql = "SELECT offset, at FROM publications
                   WHERE channel = ?1 AND origin = ?2 AND length(origin) = 16 AND offset > ?3 ORDER BY offset DESC LIMIT 1";
        let found = connection.prepare_cached(sql)?.query_row((id, blob, base), place).optional();
        return unless_foreign(found.map_err(Fault::from));
    }
    // First among the newest, which are not indexed yet; then in the index.
    let doubted = doubted_blob(origin);
    let sql = "SELECT offset, at FROM publications
               WHERE channel = ?1 AND offset > ?3 AND origin IN (?2, ?4) ORDER BY offset DESC LIMIT 1";
    let values = (id, &blob, int(state.indexed()), &doubted);
    let found = connection.prepare_cached(sql)?.query_row(values, place).optional();
    let found = unless_foreign(found.map_err(Fault::from))?;
    if found.is_some() || state.indexed <= state.base {
        return Ok(found);
    }
    let sql = "SELECT p.offset, p.at FROM requests r JOIN publications p ON p.channel = r.channel AND p.offset = r.offset
               WHERE r.channel = ?1 AND r.origin IN (?2, ?4) AND r.offset > ?3 ORDER BY r.offset DESC LIMIT 1";
    let found = connection.prepare_cached(sql)?.query_row((id, &blob, base, &doubted), place).optional();
    unless_foreign(found.map_err(Fault::from))
}

/// True where an older request of the session is in the log since it was first made: requests are made in order, so a younger
/// one that is not there was never executed.
fn has_older(
    connection: &Connection,
    state: &ChannelState,
    session: u128,
    id: RequestId,
) -> Result<bool, Fault> {
    let (first, this) = (request_blob(session, 0), request_blob(session, id));
    let exists = |sql: &str, behind: u64| -> Result<bool, Fault> {
        let values = (state.id, &first, &this, int(behind));
        Ok(connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    };
    let newest = "SELECT EXISTS (SELECT 1 FROM publications
                  WHERE channel = ?1 AND offset > ?4 AND origin >= ?2 AND origin < ?3 AND length(origin) = 24)";
    let indexed = "SELECT EXISTS (SELECT 1 FROM requests
                   WHERE channel = ?1 AND origin >= ?2 AND origin < ?3 AND offset > ?4 AND length(origin) = 24)";
    Ok(exists(newest, state.indexed())? || exists(indexed, state.base)?)
}
