//! Copies the write-ahead log back into the file, beside the writer, so that it stays bounded and nobody waits for it.
//!
//! SQLite begins the log anew when all of it was copied and nobody reads from it. A busy writer always adds some, so a copy
//! beside it never catches up: it does the bulk, and the writer copies the rest in a moment of its own.

use std::{
    cell::Cell,
    path::Path,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use rusqlite::Connection;

use crate::{
    fault::Fault,
    options::{WAL_PAGES_HARD, WAL_PAGES_SOFT, WAL_PAGES_TOLD},
    schema,
};

/// What the writer and the checkpointer know of each other.
#[derive(Default)]
pub(crate) struct Checkpoints {
    state: Mutex<State>,
    changed: Condvar,
    /// How many pages the log had when its length was last told of; 0 while it is as short as it should be.
    warned: AtomicUsize,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    /// The writer asked for a copy, or it is being made.
    Copying,
    /// The bulk is copied, the rest is the writer's.
    Copied,
    Closed,
}

thread_local! {
    /// Pages in the log after this thread's last commit.
    static WAL_PAGES: Cell<usize> = const { Cell::new(0) };
}

/// Makes a writer's connection count the log's pages.
pub(crate) fn count_pages(connection: &Connection) {
    WAL_PAGES.set(0);
    connection.wal_hook(Some(|_, pages| {
        WAL_PAGES.set(usize::try_from(pages).unwrap_or(0));
        Ok(())
    }));
}

impl Checkpoints {
    /// After a commit of the writer: has the log copied when it is long.
    pub(crate) fn after_commit(&self, connection: &Connection) -> Result<(), Fault> {
        let pages = WAL_PAGES.get();
        if pages < WAL_PAGES_SOFT {
            if self.warned.load(Ordering::Relaxed) > 0 {
                self.warned.store(0, Ordering::Relaxed);
                tracing::info!(
                    event = "store_log_short_again",
                    "the write-ahead log is as short again as it should be"
                );
            }
            return Ok(());
        }
        let mut state = self.lock();
        if pages >= WAL_PAGES_HARD {
            while *state == State::Copying {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if *state == State::Idle {
                *state = State::Copied;
            }
        }
        match *state {
            State::Idle => {
                *state = State::Copying;
                self.changed.notify_all();
                Ok(())
            }
            State::Copied => {
                *state = State::Idle;
                drop(state);
                let copied = copy(connection)?;
                self.tell_length(pages, &copied);
                Ok(())
            }
            State::Copying | State::Closed => Ok(()),
        }
    }

    /// Says when the log grows although all of it was copied that could be, each time that it has doubled.
    fn tell_length(&self, pages: usize, copied: &Copied) {
        let warned = self.warned.load(Ordering::Relaxed);
        if pages >= WAL_PAGES_TOLD.max(2 * warned) {
            self.warned.store(pages, Ordering::Relaxed);
            tracing::warn!(
                event = "store_log_grows",
                mib = pages / PAGES_A_MIB,
                reason = copied.reason(),
                "the write-ahead log cannot begin anew and grows: see who else has the store's file open"
            );
        }
    }

    /// The checkpointer's thread. `first` was opened when there were files to be had; `generation` says when the file is
    /// another one.
    pub(crate) fn run(&self, database: &Path, first: Connection, generation: &AtomicU64) {
        let mut open = Some((generation.load(Ordering::Acquire), first));
        loop {
            let mut state = self.lock();
            while !matches!(*state, State::Copying | State::Closed) {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if *state == State::Closed {
                return;
            }
            drop(state);
            let now = generation.load(Ordering::Acquire);
            open = open.filter(|(of, _)| *of == now);
            let copied = match &open {
                Some((_, connection)) => copy(connection),
                None => schema::connect_reader(database)
                    .and_then(|connection| copy(&open.insert((now, connection)).1)),
            };
            if let Err(fault) = copied {
                open = None;
                tracing::warn!(event = "store_log_not_copied", %fault, "the write-ahead log could not be copied back: it grows until it can");
            }
            let mut state = self.lock();
            if *state == State::Copying {
                *state = State::Copied;
            }
            self.changed.notify_all();
        }
    }

    pub(crate) fn close(&self) {
        *self.lock() = State::Closed;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pages of 4 KiB.
const PAGES_A_MIB: usize = 256;

/// What a copy came to.
pub(crate) struct Copied {
    busy: bool,
    /// Pages in the log, and those of them that are in the file now.
    pages: i64,
    copied: i64,
}

impl Copied {
    fn reason(&self) -> &'static str {
        match self {
            Self { busy: true, .. } => "another connection copies it back just now",
            Self { pages, copied, .. } if copied < pages => {
                "another process has been in one read transaction since an older state"
            }
            _ => "another process is in a read transaction at its end",
        }
    }
}

/// Copies as much as can be copied without waiting for anybody.
pub(crate) fn copy(connection: &Connection) -> Result<Copied, Fault> {
    let sql = "PRAGMA wal_checkpoint(PASSIVE)";
    let row =
        |row: &rusqlite::Row<'_>| Ok(Copied { busy: row.get(0)?, pages: row.get(1)?, copied: row.get(2)? });
    Ok(connection.query_row(sql, [], row)?)
}
