//! The open file, as the writer holds it: its connection, its incarnation, and its counters.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};
use tautline_engine::{Ban, Revocation};

use crate::{
    convert,
    directory::{Directory, Identities},
    fault::Fault,
    options::DiskOptions,
    schema::{self, Refusal},
    shares::Shares,
};

/// The writer's side of the file.
pub(crate) struct Store {
    pub(crate) connection: Connection,
    pub(crate) incarnation: u32,
    pub(crate) beginning: Beginning,
    pub(crate) counts: Counts,
    pub(crate) shares: Shares,
    /// The process that used it last did not close it.
    pub(crate) unclean: bool,
    /// The file says that it is in use.
    pub(crate) marked: bool,
    /// The last moment of an earlier process that the file knows of: a publication, or a clean stop.
    pub(crate) last_run_ms: u64,
    /// The files that the connection has open.
    identities: Identities,
}

/// The epoch in which logs begin.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    pub(crate) epoch: Arc<str>,
    /// How many epochs there were before it, and when it began, in wall milliseconds.
    number: u32,
    pub(crate) at: u64,
}

impl Beginning {
    fn read(connection: &Connection, incarnation: u32) -> Result<Self, Fault> {
        // Where nobody knows the number, it is one that no epoch had, in all likelihood.
        let number = get_meta_or(connection, "epochs", Some(new_life(0)?.into()))?.unwrap_or_default();
        let at = get_meta(connection, "epoch_at")?.unwrap_or_default();
        let (number, at) = (u32::try_from(number).unwrap_or_default(), u64::try_from(at).unwrap_or_default());
        Ok(Self { epoch: epoch_of(incarnation, number), number, at })
    }

    /// Another one, which no log is in.
    pub(crate) fn next(&mut self, incarnation: u32, wall_ms: u64) {
        self.number = self.number.wrapping_add(1);
        (self.epoch, self.at) = (epoch_of(incarnation, self.number), wall_ms);
    }

    pub(crate) fn write(&self, connection: &Connection) -> Result<(), Fault> {
        set_meta(connection, "epochs", self.number.into())?;
        set_meta(connection, "epoch_at", convert::int(self.at))
    }
}

/// What the file holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) channels: usize,
    pub(crate) positions: usize,
    pub(crate) revocations: usize,
    /// Of packets that are kept.
    pub(crate) bytes: u64,
}

impl Store {
    /// Begins a new file, in a new incarnation.
    pub(crate) fn create(directory: &Directory, options: &DiskOptions) -> Result<Self, Refusal> {
        directory.make_database().map_err(other)?;
        Self::connect(directory, options)
    }

    /// Opens the file that is there.
    pub(crate) fn connect(directory: &Directory, options: &DiskOptions) -> Result<Self, Refusal> {
        let connection = schema::connect_writer(&directory.database(), options)?;
        let known = get_meta(&connection, "life")?.and_then(|incarnation| u32::try_from(incarnation).ok());
        let incarnation = match known.filter(|incarnation| *incarnation != 0) {
            Some(incarnation) => incarnation,
            None => {
                let incarnation = new_life(0)?;
                set_meta(&connection, "life", incarnation.into())?;
                incarnation
            }
        };
        // A foreign value here says nothing of how it was left.
        let unclean = get_meta_or(&connection, "open", Some(1))?.is_some_and(|open| open != 0);
        let count = |sql: &str| connection.query_row(sql, [], |row| convert::get(row, 0));
        let few = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let counts = Counts {
            channels: few(count("SELECT count(*) FROM channels")?),
            positions: few(count("SELECT count(*) FROM positions")?),
            revocations: few(count("SELECT count(*) FROM revoked")?),
            bytes: count("SELECT max(0, CAST(total(bytes) AS INTEGER)) FROM channels")?,
        };
        let closed_at = get_meta(&connection, "closed_at")?.and_then(|at| u64::try_from(at).ok());
        let last_run_ms = match closed_at.filter(|_| !unclean) {
            Some(closed_at) => closed_at,
            None => count(
                "SELECT max(0, coalesce(max(head_at), 0)) FROM channels WHERE typeof(head_at) = 'integer'",
            )?,
        };
        let identities = directory.identities();
        let (beginning, shares) = (Beginning::read(&connection, incarnation)?, Shares::new(options, &counts));
        Ok(Self {
            connection,
            incarnation,
            beginning,
            counts,
            shares,
            unclean,
            marked: false,
            last_run_ms,
            identities,
        })
    }

    /// The revoked logins, those that are forgotten first in front.
    pub(crate) fn revocations(&self) -> Result<Vec<Revocation>, Fault> {
        let mut statement =
            self.connection.prepare("SELECT session, until, before FROM revoked ORDER BY until")?;
        let mut rows = statement.query([])?;
        let mut revocations = Vec::with_capacity(self.counts.revocations);
        while let Some(row) = rows.next()? {
            // A row that somebody else wrote is no reason to forget the others, or not to start.
            let key = row.get_ref(0)?.as_blob().ok();
            let dates = convert::get(row, 1).ok().zip(convert::get(row, 2).ok());
            let ours = key.zip(dates).and_then(|(key, (until, before))| {
                let subject = convert::revoked_logins(key, before)?;
                Some(Revocation { subject, until })
            });
            match ours {
                Some(revocation) => revocations.push(revocation),
                _ => tracing::warn!(
                    event = "store_revocation_foreign",
                    "a row of `revoked` in the store is not ours: it is left alone"
                ),
            }
        }
        Ok(revocations)
    }

    /// The bans, in the order of their subjects.
    pub(crate) fn bans(&self) -> Result<Vec<Ban>, Fault> {
        let mut statement =
            self.connection.prepare("SELECT subject, until, reason FROM bans ORDER BY subject")?;
        let mut rows = statement.query([])?;
        let mut bans = Vec::new();
        while let Some(row) = rows.next()? {
            // As with revocations: a row that somebody else wrote is no reason not to start.
            let subject = row.get_ref(0)?.as_str().ok().and_then(|text| text.parse().ok());
            let rest = convert::get(row, 1).ok().zip(row.get_ref(2)?.as_str().ok());
            match subject.zip(rest) {
                Some((subject, (until, reason))) => bans.push(Ban { subject, until, reason: reason.into() }),
                None => tracing::warn!(
                    event = "store_ban_foreign",
                    "a row of `bans` in the store is not ours: it is left alone"
                ),
            }
        }
        Ok(bans)
    }

    /// Fails where somebody has deleted or replaced the files: what is committed to them now is gone with the
    /// next start.
    pub(crate) fn check_files(&mut self, directory: &Directory) -> Result<(), Fault> {
        self.identities.update(directory.identities()).map_err(|file| {
            let words =
                format!("{file} was deleted, moved or replaced; put it back, or start this process again");
            other(std::io::Error::other(words))
        })
    }

    /// From here until [`Store::mark_closed`], a stop is an unclean one.
    pub(crate) fn mark_open(&mut self) -> Result<(), Fault> {
        if !self.marked {
            set_meta(&self.connection, "open", 1)?;
            self.marked = true;
        }
        Ok(())
    }

    /// Everything is on the disk: nothing is in doubt any more.
    pub(crate) fn mark_closed(&self, last_tidy_ms: u64) -> Result<(), Fault> {
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        let transaction = self.connection.unchecked_transaction()?;
        transaction.execute("UPDATE channels SET relaxed = 0 WHERE relaxed = 1", [])?;
        set_meta(&transaction, "open", 0)?;
        if last_tidy_ms > 0 {
            set_meta(&transaction, "closed_at", convert::int(last_tidy_ms))?;
        }
        transaction.commit()?;
        // The file alone is then all there is, for whoever copies it.
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// Copies all of the write-ahead log into the file and empties it.
    ///
    /// After a sync that failed: the kernel may have dropped what it could not write, and the next sync succeeds all the same.
    /// Whatever were added behind such a hole would be lost with it.
    pub(crate) fn copy_all(&self) -> Result<(), Fault> {
        let is_busy: bool =
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if is_busy { Err(other(std::io::Error::other("others still read it"))) } else { Ok(()) }
    }

    /// Logs that may have lost their newest publications go on in a new epoch, in a new incarnation. Returns how many there were.
    pub(crate) fn renew_relaxed_epochs(&mut self) -> Result<usize, Fault> {
        let incarnation = new_life(self.incarnation)?;
        let epoch = epoch_of(incarnation, self.beginning.number);
        let transaction = self.connection.unchecked_transaction()?;
        let doubted = "UPDATE channels SET epoch = ?1, relaxed = 0 WHERE relaxed = 1";
        let count = transaction.execute(doubted, [&*epoch])?;
        if count == 0 {
            return Ok(0);
        }
        set_meta(&transaction, "life", incarnation.into())?;
        transaction.commit()?;
        (self.incarnation, self.beginning.epoch) = (incarnation, epoch);
        Ok(count)
    }
}

/// The epoch of logs that begin in this incarnation, after so many earlier epochs.
fn epoch_of(incarnation: u32, number: u32) -> Arc<str> {
    match number {
        0 => format!("{incarnation:x}").into(),
        _ => format!("{incarnation:x}.{number:x}").into(),
    }
}

/// A number that nobody had before, in all likelihood.
fn new_life(old: u32) -> Result<u32, Fault> {
    loop {
        let mut bytes = [0; 4];
        getrandom::fill(&mut bytes).map_err(|error| other(std::io::Error::other(error.to_string())))?;
        let incarnation = u32::from_ne_bytes(bytes);
        if incarnation != 0 && incarnation != old {
            return Ok(incarnation);
        }
    }
}

fn get_meta(connection: &Connection, key: &str) -> Result<Option<i64>, Fault> {
    get_meta_or(connection, key, None)
}

/// The value of a key; `foreign` where it is not one that we wrote.
fn get_meta_or(connection: &Connection, key: &str, foreign: Option<i64>) -> Result<Option<i64>, Fault> {
    let value = connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0));
    match value.optional().map_err(Fault::from) {
        Err(Fault::Row(reason)) => {
            tracing::error!(
                event = "store_note_foreign",
                key,
                reason,
                "the store's own notes hold a foreign value: it is not believed"
            );
            Ok(foreign)
        }
        value => value,
    }
}

fn set_meta(connection: &Connection, key: &str, value: i64) -> Result<(), Fault> {
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", (key, value))?;
    Ok(())
}

/// What the file system said, in the words of the layer above.
pub(crate) fn other(error: std::io::Error) -> Fault {
    let full = matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
    let error = rusqlite::Error::ToSqlConversionFailure(Box::new(error));
    if full { Fault::Full(error) } else { Fault::Other(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_life_is_another_one_and_never_nobodys() {
        let incarnation = new_life(0).expect("the system has randomness");
        assert_ne!(incarnation, 0);
        assert_ne!(new_life(incarnation).expect("the system has randomness"), incarnation);
    }
}
