//! Where a client is stored, so that it outlives its process: one file, replaced as a whole.
//!
//! What is written and when is decided by [`tautline_protocol::client::Session`]; here it reaches the disk.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use serde_json::value::RawValue;
use tautline_files::Sync;
use tautline_protocol::client::{LocalError, RequestVerb, Settlement, Store, Stored};
use tokio::sync::oneshot;
use tracing::warn;

use crate::error::{ConnectError, RequestError};

/// What a stored client outlives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The machine's end too: every write waits for the disk, before the request leaves. The default.
    #[default]
    Power,
    /// The end of the process. After a power cut the file may be a few seconds older than what was said to the gateway, and
    /// a request could be taken for the repetition of another: only for what may be lost.
    Process,
}

/// The option [`crate::ClientOptions::storage`].
///
/// The file is replaced by renaming, and so is whole at every moment. It holds the session's ticket: on Unix it is readable
/// for its owner alone, and one that is open to everybody, a link or somebody else's is refused. A second client that is started on it while the first one runs is refused.
#[derive(Clone, Debug)]
pub struct Storage {
    path: PathBuf,
    durability: Durability,
}

impl Storage {
    /// A file at `path`, whose folder must be there. Beside it one more appears, ending in `.lock`, and while it is written one
    /// ending in `.new`.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), durability: Durability::default() }
    }

    /// Chooses what is outlived.
    #[must_use]
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Takes the file for one client, and reads it.
    pub(crate) fn open(self) -> Result<(OpenStorage, Option<Stored>), ConnectError> {
        let refuse = |source| ConnectError::Storage { path: self.path.clone(), source };
        let lock = tautline_files::open_lock(&beside(&self.path, ".lock")).map_err(refuse)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ConnectError::StorageInUse(self.path)),
            Err(TryLockError::Error(error)) => return Err(refuse(error)),
        }
        tautline_files::sweep(&self.path);
        let stored = match tautline_files::read(&self.path) {
            // What is no text is nothing that was stored, either.
            Ok(bytes) => Stored::parse(&String::from_utf8_lossy(&bytes))
                .inspect_err(|error| warn!(path = ?self.path, "{error}"))
                .ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(refuse(error)),
        };
        Ok((OpenStorage { path: self.path, durability: self.durability, _lock: lock }, stored))
    }
}

/// The file of the client that runs. Blocks while it writes: what follows must not overtake it.
#[derive(Debug)]
pub(crate) struct OpenStorage {
    path: PathBuf,
    durability: Durability,
    _lock: File,
}

impl OpenStorage {
    pub(crate) fn carry_out(&self, store: &Store) -> io::Result<()> {
        let sync = match self.durability {
            Durability::Power => Sync::Disk,
            Durability::Process => Sync::Later,
        };
        match store {
            Store::Write(text) => tautline_files::replace(&self.path, text.as_bytes(), sync),
            Store::Clear => match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ if sync == Sync::Later => Ok(()),
                _ => {
                    let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
                    tautline_files::sync_directory(folder.unwrap_or(Path::new(".")))
                }
            },
        }
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A request of a client that was stored and destroyed before it was settled: see [`crate::Client::restored`].
#[derive(Debug)]
pub struct RestoredRequest {
    /// What was asked.
    pub verb: RequestVerb,
    /// As on the wire: `{channel, data}` of a publish, `{method, data}` of a call.
    pub body: Box<RawValue>,
    settled: oneshot::Receiver<Settlement>,
}

impl RestoredRequest {
    pub(crate) const fn new(
        verb: RequestVerb,
        body: Box<RawValue>,
        settled: oneshot::Receiver<Settlement>,
    ) -> Self {
        Self { verb, body, settled }
    }

    /// Waits for its outcome: the `ok` of the reply, as on the wire. It goes its way whether anybody waits or not.
    ///
    /// # Errors
    /// As [`crate::Client::publish`]; `expired` where its time ran out while no client was there.
    pub async fn settled(self) -> Result<Box<RawValue>, RequestError> {
        match self.settled.await {
            Ok(Settlement::Ok(body)) => Ok(body),
            Ok(Settlement::Refused(error)) => Err(RequestError::Refused(error)),
            Ok(Settlement::Local(error)) => Err(RequestError::Local(error)),
            Err(_) => Err(RequestError::Local(LocalError::Closed)),
        }
    }
}
