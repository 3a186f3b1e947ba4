//! Background work: batched deletes and index builds.
//!
//! An append only moves the base of its log. This module deletes the publications before it, in ranges of bounded size;
//! it indexes requests, many of a channel at once; and it forgets logs that were empty for long enough.

use rusqlite::{Connection, params};
use tautline_engine::Retention;
use tautline_protocol::{ChannelName, UserId};

use super::{Tidy, cache::ChannelState, transaction::Transaction};
use crate::{
    convert::{int, size},
    fault::Fault,
    options::{BACKGROUND_MIN, BACKGROUND_QUEUED_MAX, TIDY_CHANNELS, TIDY_REVOCATIONS},
};

impl Transaction<'_> {
    /// Deletes or indexes up to `budget` publications of the queued channels.
    pub(super) fn do_background_work(&mut self, mut budget: u64) -> Result<(), Fault> {
        while budget > 0
            && let Some(name) = self.background.pop_front()
        {
            if !self.fetch(&name)? {
                continue;
            }
            let state = self.cache.get(&name);
            budget -= delete(self.connection, state, budget)?;
            budget -= index(self.connection, state, budget)?;
            state.queued = state.gone < state.base || state.needs_background_work();
            if state.queued {
                self.background.push_back(name.clone());
            }
            self.cache.touch(&name);
        }
        Ok(())
    }

    /// Forgets ended sessions whose tickets have expired by themselves, and bans that are over, so many at a time.
    pub(super) fn forget_revocations(&mut self, wall_ms: u64) -> Result<(), Fault> {
        let sql = "DELETE FROM revoked WHERE session IN
                   (SELECT session FROM revoked WHERE until < ?1 ORDER BY until LIMIT ?2)";
        let gone = self.connection.prepare_cached(sql)?.execute((int(wall_ms), size(TIDY_REVOCATIONS)))?;
        self.counts.revocations = self.counts.revocations.saturating_sub(gone);
        let sql = "DELETE FROM bans WHERE subject IN (SELECT subject FROM bans WHERE until < ?1 LIMIT ?2)";
        self.connection.prepare_cached(sql)?.execute((int(wall_ms), size(TIDY_REVOCATIONS)))?;
        Ok(())
    }

    /// Applies the rules to the channels behind `from`, a batch at a time. Returns the id to continue behind.
    pub(super) fn tidy(&mut self, from: i64, tidy: &Tidy) -> Result<i64, Fault> {
        let sql = "SELECT id, name FROM channels WHERE id > ?1 ORDER BY id LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![from, size(TIDY_CHANNELS)])?;
        let (mut next, mut seen, mut names) = (from, 0, Vec::with_capacity(TIDY_CHANNELS));
        while let Some(row) = rows.next()? {
            (next, seen) = (row.get(0)?, seen + 1);
            // A row that was set aside has no valid name.
            names.extend(row.get_ref(1)?.as_str().ok().and_then(|name| ChannelName::from_store(name).ok()));
        }
        for name in &names {
            self.tidy_channel(name, tidy)?;
        }
        Ok(if seen < TIDY_CHANNELS { 0 } else { next })
    }

    fn tidy_channel(&mut self, name: &ChannelName, tidy: &Tidy) -> Result<(), Fault> {
        let Tidy { wall_ms, retention, in_use } = tidy;
        if !self.fetch(name)? {
            return Ok(());
        }
        let state = self.cache.get(name);
        let before = state.bytes;
        let moved = state.retain(self.connection, *wall_ms, &retention.get(name))?;
        self.counts.bytes = (self.counts.bytes + state.bytes).saturating_sub(before);
        if state.gone < state.base && !state.queued && self.background.len() < BACKGROUND_QUEUED_MAX {
            state.queued = true;
            self.background.push_back(name.clone());
        }
        let may_go = state.is_empty()
            && state.gone == state.base
            && state.head_at.saturating_add(self.options.remember_ms) < *wall_ms
            && !in_use.contains(name);
        if may_go && self.ends_epoch(name, *wall_ms)? {
            let id = self.cache.get(name).id;
            return self.forget(id, name);
        }
        if moved {
            self.cache.touch(name);
        }
        Ok(())
    }

    /// True where the log's epoch is not the one that logs begin in, or can be made so: a log that begins anew does so in
    /// another one. All readers that wait at the start of a log share that epoch, so it changes rarely.
    fn ends_epoch(&mut self, name: &ChannelName, wall_ms: u64) -> Result<bool, Fault> {
        if self.cache.get(name).epoch != self.beginning.epoch {
            return Ok(true);
        }
        let is_time = self.beginning.at.saturating_add(self.options.remember_ms) < wall_ms;
        if is_time {
            self.beginning.next(self.incarnation, wall_ms);
            self.beginning.write(self.connection)?;
        }
        Ok(is_time)
    }

    /// Empties the user's inbox at once, and deletes its positions. All positions are looked at, for it is rare and an
    /// index would make each position that is saved dearer.
    pub(super) fn forget_user(&mut self, user: &UserId) -> Result<(), Fault> {
        if let Ok(inbox) = ChannelName::of_user(user)
            && self.fetch(&inbox)?
        {
            let state = self.cache.get(&inbox);
            let before = state.bytes;
            state.retain(self.connection, 0, &Retention::NOTHING)?;
            delete(self.connection, state, state.base - state.gone)?;
            self.counts.bytes = (self.counts.bytes + state.bytes).saturating_sub(before);
            self.cache.touch(&inbox);
        }
        let sql = "DELETE FROM positions WHERE reader = ?1";
        let positions = self.connection.prepare_cached(sql)?.execute([user.as_str()])?;
        self.changes.forget_positions(user.as_str(), positions);
        Ok(())
    }

    fn forget(&mut self, id: i64, name: &ChannelName) -> Result<(), Fault> {
        let run = |sql| self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute([id]));
        let positions = run("DELETE FROM positions WHERE channel = ?1")?;
        run("DELETE FROM requests WHERE channel = ?1")?;
        run("DELETE FROM publications WHERE channel = ?1")?;
        run("DELETE FROM channels WHERE id = ?1")?;
        self.changes.forget(id, positions);
        self.cache.remove(name);
        Ok(())
    }
}

/// Deletes up to `most` expired publications of a channel. Returns how many.
fn delete(connection: &Connection, state: &mut ChannelState, most: u64) -> Result<u64, Fault> {
    let (from, to) = (state.gone, state.base.min(state.gone + most));
    if from == to {
        return Ok(0);
    }
    if from < state.indexed {
        let sql = "DELETE FROM requests WHERE (channel, origin, offset) IN (
                   SELECT channel, origin, offset FROM publications
                   WHERE channel = ?1 AND offset > ?2 AND offset <= ?3 AND length(origin) >= 24)";
        connection.prepare_cached(sql)?.execute((state.id, int(from), int(to.min(state.indexed))))?;
    }
    let sql = "DELETE FROM publications WHERE channel = ?1 AND offset > ?2 AND offset <= ?3";
    connection.prepare_cached(sql)?.execute((state.id, int(from), int(to)))?;
    state.gone = to;
    Ok(to - from)
}

/// Puts up to so many requests of a channel into the index of requests. Returns how many publications were visited.
fn index(connection: &Connection, state: &mut ChannelState, most: u64) -> Result<u64, Fault> {
    let from = state.indexed();
    if state.head - from < BACKGROUND_MIN {
        return Ok(0);
    }
    let to = state.head.min(from + most);
    let sql = "INSERT OR IGNORE INTO requests (channel, origin, offset) SELECT channel, origin, offset FROM publications
               WHERE channel = ?1 AND offset > ?2 AND offset <= ?3 AND length(origin) >= 24";
    connection.prepare_cached(sql)?.execute((state.id, int(from), int(to)))?;
    state.indexed = to;
    Ok(to - from)
}
