//! What is done before the first job, and what it may find.

use std::{io, path::PathBuf};

use crate::{
    directory::{Denied, Directory},
    fault::Fault,
    options::DiskOptions,
    schema::Refusal,
    store::Store,
};

/// What was found where the store was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Opened {
    /// Nothing: a store was begun.
    Fresh,
    /// A store that was closed.
    Clean,
    /// A store that was not closed. Everything that was answered strictly is there.
    Recovered {
        /// Channels that go on in a new epoch, because what they acknowledged last was not synced
        /// ([`crate::Durability::Relaxed`]).
        new_epochs: usize,
    },
    /// A damaged file. It was moved aside, and a new one begun in which every channel has a new epoch.
    Damaged {
        /// Where it is now.
        moved_to: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Two processes that write one log would break it.
    #[error("{} is in use by another process{}: stop it, or choose another directory", dir.display(), owner(*pid))]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The process, where it has left its number.
        pid: Option<u32>,
    },
    /// The file is of a later version.
    #[error("{} is of format {found}, and this version of Tautline knows formats up to {known}: use the version that wrote it, or a later one", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: i32,
        /// The latest format known here.
        known: i32,
    },
    /// The file is another program's.
    #[error("{} is an SQLite file of another program: choose another directory", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// The directory cannot be used.
    #[error("{} cannot be used: see that it is a directory which this user may write to", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk is full or fails, or a foreign tool holds the file.
    #[error("{} cannot be opened: see that its disk has room, and that no other program holds it", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The threads could not be started.
    #[error("the store's threads could not be started: see how many this user may have")]
    Threads(#[source] io::Error),
}

pub(crate) fn owner(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" ({pid})")).unwrap_or_default()
}

/// Opens the store, whatever state it is in.
pub(crate) fn open(options: &DiskOptions) -> Result<(Directory, Store, Opened), OpenError> {
    let dir = || options.dir.clone();
    let directory = Directory::open(&options.dir).map_err(|denied| match denied {
        Denied::Locked(pid) => OpenError::Locked { dir: dir(), pid },
        Denied::Io(source) => OpenError::Directory { dir: dir(), source },
    })?;
    let words = |refusal| to_words(&directory, refusal);
    if !directory.has_database() {
        let mut store = Store::create(&directory, options).map_err(words)?;
        store.mark_open().map_err(|fault| words(fault.into()))?;
        return Ok((directory, store, Opened::Fresh));
    }
    let mib = |bytes: u64| bytes / (1024 * 1024);
    let (file_mib, log_mib) = (mib(directory.file_bytes("")), mib(directory.file_bytes("-wal")));
    tracing::info!(
        event = "store_opening",
        file_mib,
        log_mib,
        "opening the store: its write-ahead log is read, and its channels are counted"
    );
    let (mut store, opened) = match recover(&directory, options) {
        Err(Refusal::Fault(Fault::Damaged(reason))) => {
            let moved_to =
                directory.set_aside().map_err(|source| OpenError::Directory { dir: dir(), source })?;
            let opened = Opened::Damaged { moved_to, reason };
            (Store::create(&directory, options).map_err(words)?, opened)
        }
        other => other.map_err(words)?,
    };
    match store.mark_open() {
        // What is there can be read. The writer marks it before it writes anything.
        Err(Fault::Full(_)) => {
            tracing::error!(event = "store_disk_full", "the disk is full: the store opens to be read")
        }
        marked => marked.map_err(|fault| words(fault.into()))?,
    }
    Ok((directory, store, opened))
}

/// Opens the file that is there. SQLite itself brings back what a process that was killed had committed.
fn recover(directory: &Directory, options: &DiskOptions) -> Result<(Store, Opened), Refusal> {
    let mut store = Store::connect(directory, options)?;
    if !store.unclean {
        return Ok((store, Opened::Clean));
    }
    let new_epochs = store.renew_relaxed_epochs()?;
    Ok((store, Opened::Recovered { new_epochs }))
}

fn to_words(directory: &Directory, refusal: Refusal) -> OpenError {
    let file = directory.database();
    match refusal {
        Refusal::Foreign => OpenError::Foreign { file },
        Refusal::Newer { found, known } => OpenError::Newer { file, found, known },
        Refusal::Fault(fault) => OpenError::File { file, source: Box::new(fault) },
    }
}
