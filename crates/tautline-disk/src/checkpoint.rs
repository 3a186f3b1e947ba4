//! Copies the write-ahead log back into the file, beside the writer, so that it stays bounded and nobody waits for it.
//!
//! SQLite begins the log anew when all of it was copied and nobody reads from it. A busy writer always adds some, so a copy
//! beside it never catches up: it does the bulk, and the writer copies the rest in a moment of its own.

use std::{
    cell::Cell,
    path::Path,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use rusqlite::Connection;

use crate::{
    fault::Fault,
    options::{WAL_PAGES_HARD, WAL_PAGES_SOFT},
    schema,
};

/// What the writer and the checkpointer know of each other.
#[derive(Default)]
pub(crate) struct Checkpoints {
    state: Mutex<State>,
    changed: Condvar,
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
                copy(connection)
            }
            State::Copying | State::Closed => Ok(()),
        }
    }

    /// The checkpointer's thread.
    pub(crate) fn run(&self, database: &Path) {
        loop {
            let mut state = self.lock();
            while !matches!(*state, State::Copying | State::Closed) {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if *state == State::Closed {
                return;
            }
            drop(state);
            // A connection a copy: it takes a moment, and the file may be another one than last time.
            let copied = schema::connect_reader(database).and_then(|connection| copy(&connection));
            if let Err(fault) = copied {
                tracing::warn!(%fault, "the write-ahead log could not be copied back: it grows until it can");
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

/// Copies as much as can be copied without waiting for anybody.
pub(crate) fn copy(connection: &Connection) -> Result<(), Fault> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(())
}
