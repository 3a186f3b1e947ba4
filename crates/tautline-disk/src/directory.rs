//! The directory of a store: who may use it, and where a damaged file goes.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

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
        make(path)?;
        let mut lock =
            private().create(true).truncate(false).read(true).write(true).open(path.join("lock"))?;
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
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}", std::process::id())?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// The file with the logs.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("channels.db")
    }

    pub(crate) fn has_database(&self) -> bool {
        self.database().exists()
    }

    /// Makes an empty file for its owner alone; the files that SQLite puts beside it get the same mode.
    pub(crate) fn make_database(&self) -> io::Result<()> {
        // A write-ahead log without its file belongs to nothing; SQLite must not take it for the new one's.
        for beside in ["-wal", "-shm"] {
            remove_if_there(&suffixed(&self.database(), beside))?;
        }
        private().create_new(true).write(true).open(self.database())?;
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
        for beside in ["-wal", "-shm", ""] {
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

/// Makes a directory for its owner alone, where there is none.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// Options for a file for its owner alone.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// What was made, renamed or removed in a directory survives a power cut from here on.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
