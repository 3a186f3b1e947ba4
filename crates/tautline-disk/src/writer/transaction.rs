//! One transaction: what it may touch, how it begins and ends, and positions.

use std::{collections::VecDeque, sync::atomic::Ordering};

use rusqlite::{Connection, OptionalExtension as _};
use tautline_engine::{Ban, BanChange, Position, PositionUpdate, Revocation};
use tautline_protocol::{ChannelName, UserId};

use super::cache::Cache;
use crate::{
    convert::{get, int, revoked_key, size},
    fault::Fault,
    options::{BATCH_BYTES_MAX, DiskOptions},
    shares::{Changes, Shares},
    store::{Beginning, Counts},
};

/// What a transaction works on. Nothing of it counts before [`Transaction::commit`] has returned.
pub(super) struct Transaction<'a> {
    pub(super) connection: &'a Connection,
    pub(super) cache: &'a mut Cache,
    pub(super) background: &'a mut VecDeque<ChannelName>,
    pub(super) counts: Counts,
    pub(super) shares: &'a Shares,
    pub(super) changes: Changes,
    pub(super) beginning: Beginning,
    pub(super) incarnation: u32,
    pub(super) options: &'a DiskOptions,
}

impl Transaction<'_> {
    pub(super) fn begin(&self) -> Result<(), Fault> {
        self.run("BEGIN IMMEDIATE")
    }

    /// Writes the cached rows that changed.
    pub(super) fn flush(&mut self) -> Result<(), Fault> {
        self.cache.flush(self.connection)
    }

    pub(super) fn commit(&self) -> Result<(), Fault> {
        self.run("COMMIT")?;
        let panicking = &self.options.panicking_commits;
        assert!(panicking.swap(0, Ordering::Relaxed) == 0, "a test asked for it");
        let doubtful = &self.options.doubtful_commits;
        if doubtful.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            let code = rusqlite::ffi::SQLITE_IOERR_FSYNC;
            return Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None).into());
        }
        Ok(())
    }

    fn run(&self, sql: &str) -> Result<(), Fault> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    /// Reads the channel's state, where it has one. One that cannot be read is set aside, as if nobody had written to it.
    pub(super) fn fetch(&mut self, name: &ChannelName) -> Result<bool, Fault> {
        match self.cache.fetch(self.connection, &self.beginning.epoch, name) {
            Err(Fault::Row(reason)) => self.set_aside(name, &reason).map(|()| false),
            fetched => fetched,
        }
    }

    /// Gives a log with a foreign value in its row another name, under which people find it. Its channel begins anew, in
    /// another epoch.
    fn set_aside(&mut self, name: &ChannelName, reason: &str) -> Result<(), Fault> {
        // No channel has such a name.
        let sql = "UPDATE channels SET name = name || ' (set aside ' || id || ')' WHERE name = ?1";
        self.connection.prepare_cached(sql)?.execute([name.as_str()])?;
        self.beginning.next(self.incarnation, self.beginning.at);
        self.beginning.write(self.connection)?;
        tracing::error!(event = "store_channel_begins_anew", channel = %name, reason, "a channel's row cannot be read: it is set aside, and the channel begins anew");
        Ok(())
    }

    /// Takes as much room as a batch does, or gives it back.
    pub(super) fn take_room(&self, take: bool) -> Result<(), Fault> {
        let sql = match take {
            true => "INSERT OR REPLACE INTO meta (key, value) VALUES ('room', zeroblob(?1))",
            false => "DELETE FROM meta WHERE key = 'room' AND ?1 > 0",
        };
        self.connection.prepare_cached(sql)?.execute([size(BATCH_BYTES_MAX)])?;
        Ok(())
    }

    /// Keeps positions of channels that have a log; nobody can have taken another one anywhere.
    pub(super) fn keep(&mut self, marks: &[PositionUpdate]) -> Result<(), Fault> {
        for mark in marks {
            if !self.fetch(&mark.channel)? {
                continue;
            }
            let state = self.cache.get(&mark.channel);
            let (channel, reader) = (state.id, mark.user.as_ref().map_or("", UserId::as_str));
            self.keep_one(channel, reader, &mark.position)?;
        }
        Ok(())
    }

    /// Keeps a revocation, in the place of the one that expires first where there is no room.
    pub(super) fn revoke(&mut self, revocation: Revocation) -> Result<(), Fault> {
        let (key, before) = revoked_key(revocation.subject);
        let (until, before) = (int(revocation.until), int(before));
        let sql = "UPDATE revoked SET until = max(until, ?2), before = max(before, ?3) WHERE session = ?1";
        if self.connection.prepare_cached(sql)?.execute((&key, until, before))? > 0 {
            return Ok(());
        }
        if self.counts.revocations >= self.options.revocations_max {
            let sql =
                "DELETE FROM revoked WHERE session = (SELECT session FROM revoked ORDER BY until LIMIT 1)";
            let gone = self.connection.prepare_cached(sql)?.execute([])?;
            self.counts.revocations = self.counts.revocations.saturating_sub(gone);
        }
        let sql = "INSERT INTO revoked (session, until, before) VALUES (?1, ?2, ?3)";
        self.counts.revocations += self.connection.prepare_cached(sql)?.execute((&key, until, before))?;
        Ok(())
    }

    /// Keeps a ban, or ends one.
    pub(super) fn ban(&mut self, change: &BanChange) -> Result<(), Fault> {
        match change {
            BanChange::Set(Ban { subject, until, reason }) => {
                let sql = "INSERT OR REPLACE INTO bans (subject, until, reason) VALUES (?1, ?2, ?3)";
                self.connection.prepare_cached(sql)?.execute((subject.to_string(), int(*until), reason))?;
            }
            BanChange::Lift(subject) => {
                let sql = "DELETE FROM bans WHERE subject = ?1";
                self.connection.prepare_cached(sql)?.execute([subject.to_string()])?;
            }
        }
        Ok(())
    }

    fn keep_one(&mut self, channel: i64, reader: &str, position: &Position) -> Result<(), Fault> {
        let sql = "SELECT epoch = ?3 AND offset >= ?4 FROM positions WHERE channel = ?1 AND reader = ?2";
        let values = (channel, reader, &*position.epoch, int(position.offset));
        let is_passed =
            self.connection.prepare_cached(sql)?.query_row(values, |row| get(row, 0)).optional()?;
        match is_passed {
            Some(1) => return Ok(()),
            None => match self.shares.claim_position(reader) {
                Some(claim) => self.changes.keep_position(channel, claim),
                None => return Ok(()),
            },
            Some(_) => {}
        }
        let sql = "INSERT OR REPLACE INTO positions (channel, reader, epoch, offset) VALUES (?1, ?2, ?3, ?4)";
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }
}
