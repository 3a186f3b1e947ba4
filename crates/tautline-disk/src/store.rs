//! The open file, as the writer holds it: its connection, its life, and what it holds in numbers.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};

use crate::{
    convert,
    directory::Directory,
    fault::Fault,
    options::DiskOptions,
    schema::{self, Refusal},
    shares::Shares,
};

/// The writer's side of the file.
pub(crate) struct Store {
    pub(crate) connection: Connection,
    pub(crate) life: u32,
    /// The epoch of logs that begin in this life.
    pub(crate) epoch: Arc<str>,
    pub(crate) counts: Counts,
    pub(crate) shares: Shares,
    /// The process that used it last did not close it.
    pub(crate) unclean: bool,
}

/// What the file holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) channels: usize,
    pub(crate) positions: usize,
    /// Of packets that are kept.
    pub(crate) bytes: u64,
}

impl Store {
    /// Begins a new file, under a new life.
    pub(crate) fn create(directory: &Directory, options: &DiskOptions) -> Result<Self, Refusal> {
        directory.make_database().map_err(other)?;
        Self::connect(directory, options)
    }

    /// Opens the file that is there.
    pub(crate) fn connect(directory: &Directory, options: &DiskOptions) -> Result<Self, Refusal> {
        let connection = schema::connect_writer(&directory.database(), options)?;
        let life = match get_meta(&connection, "life")? {
            Some(life) => u32::try_from(life).ok().filter(|life| *life != 0),
            None => {
                let life = new_life(0)?;
                set_meta(&connection, "life", life.into())?;
                Some(life)
            }
        };
        let life = life.ok_or_else(|| Fault::Damaged("its life is no number that we gave".to_owned()))?;
        let unclean = get_meta(&connection, "open")? == Some(1);
        let count = |sql: &str| connection.query_row(sql, [], |row| convert::get(row, 0));
        let few = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let counts = Counts {
            channels: few(count("SELECT count(*) FROM channels")?),
            positions: few(count("SELECT count(*) FROM positions")?),
            bytes: count("SELECT coalesce(sum(bytes), 0) FROM channels")?,
        };
        let shares = Shares::new(options, &counts);
        Ok(Self { epoch: epoch_of(life), connection, life, counts, shares, unclean })
    }

    /// Reads the whole file: is it whole?
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let verdict: String = self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict == "ok" { Ok(()) } else { Err(Fault::Damaged(verdict)) }
    }

    /// From here until [`Store::mark_closed`], a stop is an unclean one.
    pub(crate) fn mark_open(&self) -> Result<(), Fault> {
        set_meta(&self.connection, "open", 1)
    }

    /// Everything is on the disk: nothing is in doubt any more.
    pub(crate) fn mark_closed(&self) -> Result<(), Fault> {
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        let transaction = self.connection.unchecked_transaction()?;
        transaction.execute("UPDATE channels SET relaxed = 0 WHERE relaxed = 1", [])?;
        set_meta(&transaction, "open", 0)?;
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

    /// Logs that may have lost their newest publications go on in a new epoch, under a new life. How many there were.
    pub(crate) fn doubt_relaxed(&mut self) -> Result<usize, Fault> {
        let life = new_life(self.life)?;
        let transaction = self.connection.unchecked_transaction()?;
        let doubted = "UPDATE channels SET epoch = ?1, relaxed = 0 WHERE relaxed = 1";
        let count = transaction.execute(doubted, [&*epoch_of(life)])?;
        if count == 0 {
            return Ok(0);
        }
        set_meta(&transaction, "life", life.into())?;
        transaction.commit()?;
        (self.life, self.epoch) = (life, epoch_of(life));
        Ok(count)
    }
}

/// The epoch of logs that begin in this life.
fn epoch_of(life: u32) -> Arc<str> {
    format!("{life:x}").into()
}

/// The epoch of logs that begin in the life that the file is in.
pub(crate) fn read_epoch(connection: &Connection) -> Result<Arc<str>, Fault> {
    let life = get_meta(connection, "life")?.and_then(|life| u32::try_from(life).ok());
    life.map(epoch_of).ok_or_else(|| Fault::Damaged("it does not say which life it is in".to_owned()))
}

/// A number that nobody had before, in all likelihood.
fn new_life(old: u32) -> Result<u32, Fault> {
    loop {
        let mut bytes = [0; 4];
        getrandom::fill(&mut bytes).map_err(|error| other(std::io::Error::other(error.to_string())))?;
        let life = u32::from_ne_bytes(bytes);
        if life != 0 && life != old {
            return Ok(life);
        }
    }
}

fn get_meta(connection: &Connection, key: &str) -> Result<Option<i64>, Fault> {
    let value = connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0));
    Ok(value.optional()?)
}

fn set_meta(connection: &Connection, key: &str, value: i64) -> Result<(), Fault> {
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", (key, value))?;
    Ok(())
}

/// What the file system said, in the words of the layer above.
fn other(error: std::io::Error) -> Fault {
    let full = matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
    let error = rusqlite::Error::ToSqlConversionFailure(Box::new(error));
    if full { Fault::Full(error) } else { Fault::Other(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_life_is_another_one_and_never_nobodys() {
        let life = new_life(0).expect("the system has randomness");
        assert_ne!(life, 0);
        assert_ne!(new_life(life).expect("the system has randomness"), life);
    }
}
