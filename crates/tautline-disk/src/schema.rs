//! The schema of the file, and how it is opened. The view `kept` is for a shop that reads it with its own tools.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::{
    fault::Fault,
    options::{BUSY_MS, DiskOptions, READER_CACHE_KIB, WAL_BYTES_KEPT, WRITER_CACHE_KIB},
};

/// "TAUT": tells `file` and us that it is ours.
const APPLICATION_ID: i32 = 0x5441_5554;

/// How to get from each format to the next. The first one makes the tables.
const MIGRATIONS: &[&str] = &["
    -- life: which life of all logs together this is. open: 1 while a process uses the file.
    CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

    -- One row for each log. head: the last offset given out. base: the offset before the oldest that is kept; publications up
    -- to there are deleted later, those up to `gone` are. indexed: requests up to there stand in `requests`. bytes: of the
    -- packets that are kept. relaxed: 1 while what was appended last may not be on the disk yet. Times are milliseconds since 1970.
    CREATE TABLE channels (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL,
        head INTEGER NOT NULL, head_at INTEGER NOT NULL, base INTEGER NOT NULL, base_at INTEGER,
        gone INTEGER NOT NULL, indexed INTEGER NOT NULL, bytes INTEGER NOT NULL, relaxed INTEGER NOT NULL);

    -- origin: who asked for it. A request: its session's 16 bytes and its id's 8, big-endian, and one more where it was
    -- appended under a doubt. A key: 16 bytes of its digest.
    CREATE TABLE publications (
        channel INTEGER NOT NULL, offset INTEGER NOT NULL, at INTEGER NOT NULL, bytes INTEGER NOT NULL,
        data TEXT NOT NULL, sender TEXT, tags TEXT, origin BLOB, PRIMARY KEY (channel, offset)) WITHOUT ROWID;
    CREATE INDEX keys ON publications (channel, origin) WHERE length(origin) = 16;

    -- Where requests stand, so that one in doubt is found. Filled later, many of a channel at once: an index that each append
    -- has to write would cost as much as the publication itself.
    CREATE TABLE requests (
        channel INTEGER NOT NULL, origin BLOB NOT NULL, offset INTEGER NOT NULL,
        PRIMARY KEY (channel, origin, offset)) WITHOUT ROWID;

    -- How far a user's apps have handled a log; '' is: how far it was handed to any connection.
    CREATE TABLE positions (
        channel INTEGER NOT NULL, reader TEXT NOT NULL, epoch TEXT NOT NULL, offset INTEGER NOT NULL,
        PRIMARY KEY (channel, reader)) WITHOUT ROWID;

    CREATE VIEW kept AS
        SELECT c.name AS channel, c.epoch, p.offset, datetime(p.at / 1000, 'unixepoch') AS at, p.sender, p.data, p.tags
        FROM channels c JOIN publications p ON p.channel = c.id AND p.offset > c.base;
", "
    -- Sessions that were ended: their 16 bytes, big-endian, and when the last of their tickets expires by itself.
    CREATE TABLE revoked (session BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX revoked_until ON revoked (until);
", "
    -- Also logins of a user, \"u\" and 16 bytes of a digest of its id, that were issued before a moment; and those by a token,
    -- \"t\" and 16 bytes of a digest of its id.
    ALTER TABLE revoked ADD COLUMN before INTEGER NOT NULL DEFAULT 0;
", "
    -- Users and addresses that are kept out, \"user:<id>\" and \"address:<IP address>\", until when, and why.
    CREATE TABLE bans (subject TEXT PRIMARY KEY, until INTEGER NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX bans_until ON bans (until);
"];

/// Why a file is not opened.
#[derive(Debug)]
pub(crate) enum Refusal {
    Fault(Fault),
    /// It belongs to another program.
    Foreign,
    /// It is of a later version of Tautline.
    Newer {
        found: i32,
        known: i32,
    },
}

impl<E: Into<Fault>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

/// Opens the file for the writer, and brings it to the format of this version. An empty file gets one.
pub(crate) fn connect_writer(path: &Path, options: &DiskOptions) -> Result<Connection, Refusal> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | unshared())?;
    connection.busy_timeout(Duration::from_millis(BUSY_MS))?;
    keep_files(&connection)?;
    let format = check_format(&connection)?;
    let wal: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if wal != "wal" {
        tracing::warn!(
            event = "store_slow_journal",
            journal_mode = wal,
            "the store's file system takes no write-ahead log: commits will be slower"
        );
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // Copying back is the checkpointer's.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    connection.set_prepared_statement_cache_capacity(64);
    migrate(&connection, format)?;
    limit_size(&connection, options)?;
    Ok(connection)
}

/// Opens the file for a reader.
pub(crate) fn connect_reader(path: &Path) -> Result<Connection, Fault> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | unshared())?;
    connection.busy_timeout(Duration::from_millis(BUSY_MS))?;
    keep_files(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// The last connection to close leaves the write-ahead log, which is empty by then, and its index where they are: where the
/// disk is full at the next start, there may be no room to make them, and without them nothing can be read.
fn keep_files(connection: &Connection) -> Result<(), Fault> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

/// Each connection is one thread's, so SQLite need not lock it; and the file is no link.
fn unshared() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW
}

/// The format that a file has; 0 for an empty one.
fn check_format(connection: &Connection) -> Result<usize, Refusal> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let (application, format) = (number("application_id")?, number("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == 0 && format == 0 && tables == 0 {
        return Ok(0);
    }
    if application != APPLICATION_ID {
        return Err(Refusal::Foreign);
    }
    let known = MIGRATIONS.len();
    match usize::try_from(format) {
        Ok(format) if (1..=known).contains(&format) => Ok(format),
        _ => Err(Refusal::Newer { found: format, known: i32::try_from(known).unwrap_or(i32::MAX) }),
    }
}

fn migrate(connection: &Connection, from: usize) -> Result<(), Fault> {
    if from == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = connection.unchecked_transaction()?;
    MIGRATIONS[from..].iter().try_for_each(|step| transaction.execute_batch(step))?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", crate::convert::size(MIGRATIONS.len()))?;
    Ok(transaction.commit()?)
}

fn limit_size(connection: &Connection, options: &DiskOptions) -> Result<(), Fault> {
    let Some(bytes_max) = options.file_bytes_max else { return Ok(()) };
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = (crate::convert::int(bytes_max) / page).max(1);
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    Ok(())
}
