//! The directory of a store: who may use it, and where a damaged file goes.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use tautline_files::{Holds, sync_directory};

/// Identifies the open files whatever their names: SQLite goes on writing to a file that somebody has deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identities {
    database: Option<Identity>,
    log: Option<Identity>,
}

/// The device and the number of a file on it.
type Identity = (u64, u64);

impl Identities {
    /// Compares with the identities found now; a write-ahead log may have been begun meanwhile. Returns the
    /// name of the file that is missing, or is another one.
    pub(crate) fn update(&mut self, found: Self) -> Result<(), &'static str> {
        if found.database != self.database {
            return Err("channels.db");
        }
        if self.log.is_some() && found.log != self.log {
            return Err("channels.db-wal");
        }
        self.log = found.log;
        Ok(())
    }
}

/// The directory, locked for this process until it is dropped.
pub(crate) struct Directory {
    path: PathBuf,
    lock: File,
}

/// Why the directory cannot be used.
pub(crate) enum Denied {
    /// Another process uses it; which one, where it says so.
    Locked(Option<u32>),
    Io(io::Error),
}

impl From<io::Error> for Denied {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Directory {
    /// Makes the directory where it is missing, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, Denied> {
        tautline_files::make_directory(path)?;
        // Where the directory itself is reached by a link, that is the operator's choice. In it, nothing is.
        let path = path.canonicalize()?;
        if let Some(warned) = tautline_files::open_to_others(&path) {
            tracing::warn!(event = "store_directory_suspect", "{warned}");
        }
        let mut lock = tautline_files::open_lock(&path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // Who it is helps, and is no reason to fail.
                let _ = lock.read_to_string(&mut owner);
                return Err(Denied::Locked(owner.trim().parse().ok()));
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        // For people, and no reason to fail where the disk is full.
        let _ = lock
            .set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()));
        let directory = Self { path, lock };
        for beside in ["", "-wal", "-shm", "-journal"] {
            tautline_files::check(&suffixed(&directory.database(), beside), Holds::Data)?;
        }
        Ok(directory)
    }

    /// The file with the logs.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("channels.db")
    }

    pub(crate) fn has_database(&self) -> bool {
        self.database().exists()
    }

    /// How large the file is, or the one with this ending beside it; 0 where it is not there.
    pub(crate) fn file_bytes(&self, beside: &str) -> u64 {
        fs::metadata(suffixed(&self.database(), beside)).map_or(0, |found| found.len())
    }

    /// The identities of the file and of the write-ahead log beside it.
    pub(crate) fn identities(&self) -> Identities {
        let of = |beside| fs::metadata(suffixed(&self.database(), beside)).ok().map(|found| identity(&found));
        Identities { database: of(""), log: of("-wal") }
    }

    /// Makes an empty file for its owner alone; the files that SQLite puts beside it get the same mode.
    pub(crate) fn make_database(&self) -> io::Result<()> {
        // A write-ahead log without its file belongs to nothing; SQLite must not take it for the new one's.
        for beside in ["-wal", "-shm"] {
            remove_if_there(&suffixed(&self.database(), beside))?;
        }
        tautline_files::create(&self.database())?;
        sync_directory(&self.path)
    }

    /// Moves a damaged file aside, with what stands beside it, under names that SQLite's own tools can open together.
    pub(crate) fn set_aside(&self) -> io::Result<PathBuf> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let name = |n: u32| match n {
            0 => format!("channels.db.damaged-{now}"),
            _ => format!("channels.db.damaged-{now}-{n}"),
        };
        let free = (0..).map(|n| self.path.join(name(n))).find(|path| !path.exists());
        let aside = free.expect("some number is free");
        // The file first: without what stands beside it, it would pass for a whole one that is older.
        for beside in ["", "-wal", "-shm"] {
            match fs::rename(suffixed(&self.database(), beside), suffixed(&aside, beside)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        sync_directory(&self.path)?;
        Ok(aside)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // In words, and not by closing alone: a child that was forked and has not yet begun its own program still has the
        // file open, and would hold the lock a moment longer. Where it fails, the end of the process does it.
        let _ = self.lock.unlock();
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn identity(found: &fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt as _;
    (found.dev(), found.ino())
}

/// Elsewhere a file that is in use cannot be deleted.
#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> Identity {
    (0, 0)
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of this name that is empty.
    fn directory(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("tautline-directory-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Directory::open(&path).ok().expect("nobody else uses it")
    }

    #[test]
    fn new_file_has_nothing_stale_beside_it() {
        let directory = directory("stale");
        let beside = ["-wal", "-shm"].map(|beside| suffixed(&directory.database(), beside));
        beside.iter().for_each(|path| fs::write(path, "another file's").expect("written"));
        directory.make_database().expect("made");
        assert!(beside.iter().all(|path| !path.exists()));
        fs::remove_dir_all(&directory.path).expect("removed");
    }
}
