//! Accounts in a file that is its owner's alone, which `tautline admin` writes while the gateway runs.
//!
//! Start at [`AccountFile`].

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use tautline_files::Sync;

use crate::ConsoleScope;

/// The most bytes of an account's name.
pub const NAME_BYTES_MAX: usize = 64;
/// The most accounts.
const ACCOUNTS_MAX: usize = 1_000;
/// The name of the file in its folder.
const FILE: &str = "console-accounts.json";

/// Somebody who may sign in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub scope: ConsoleScope,
    /// The hash of its password, as a PHC string.
    pub hash: String,
}

impl std::fmt::Debug for Account {
    // The hash can be attacked.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// Why accounts cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountsError {
    /// The file cannot be read or written, or is open to others.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A name that cannot be typed, or is too long.
    #[error("{0:?} is no name: write 1 to {NAME_BYTES_MAX} letters, digits and the characters . _ - @")]
    Name(String),
    /// There is no such account.
    #[error("there is no account {0:?}")]
    Unknown(String),
    /// There is one already.
    #[error("there is an account {0:?} already")]
    Exists(String),
    /// There are as many as there may be.
    #[error("there are {ACCOUNTS_MAX} accounts already")]
    TooMany,
}

/// The accounts of a file, and those that only this process knows.
pub struct AccountFile {
    path: PathBuf,
    /// Of this process alone: a one-time password for development.
    own: Vec<Account>,
    read: Mutex<Option<Read>>,
}

/// What the file had, and by what it is seen that it has changed.
struct Read {
    stamp: Stamp,
    accounts: Arc<[Account]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    /// Each writer puts a new file into the place: two changes within one tick of the file system's clock differ.
    file: u64,
}

impl AccountFile {
    /// The accounts in this folder. The file need not be there.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join(FILE), own: Vec::new(), read: Mutex::new(None) }
    }

    /// With an account that is in no file.
    #[must_use]
    pub fn with_own(mut self, account: Account) -> Self {
        self.own.push(account);
        self
    }

    /// Where they are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All accounts at this moment. Reads the file where it has changed.
    ///
    /// # Errors
    /// Where it cannot be read, is open to others, or holds something else.
    pub fn accounts(&self) -> Result<Arc<[Account]>, AccountsError> {
        let stamp = self.stamp()?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = read.as_ref().filter(|read| read.stamp == stamp) {
            return Ok(Arc::clone(&read.accounts));
        }
        let accounts: Arc<[Account]> = self.own.iter().cloned().chain(self.load()?).collect();
        *read = Some(Read { stamp, accounts: Arc::clone(&accounts) });
        Ok(accounts)
    }

    /// Adds an account.
    ///
    /// # Errors
    /// For an unfit or taken name, and where the file cannot be written.
    pub fn add(&self, account: Account) -> Result<(), AccountsError> {
        check_name(&account.name)?;
        self.change(|accounts| {
            if accounts.iter().any(|known| known.name == account.name) {
                return Err(AccountsError::Exists(account.name));
            }
            if accounts.len() >= ACCOUNTS_MAX {
                return Err(AccountsError::TooMany);
            }
            accounts.push(account);
            Ok(())
        })
    }

    /// Gives an account another password. Its sessions end.
    ///
    /// # Errors
    /// Where there is no such account, and where the file cannot be written.
    pub fn set_hash(&self, name: &str, hash: String) -> Result<(), AccountsError> {
        self.change(|accounts| {
            let known = accounts.iter_mut().find(|known| known.name == name);
            known.ok_or_else(|| AccountsError::Unknown(name.to_owned()))?.hash = hash;
            Ok(())
        })
    }

    /// Removes an account. Its sessions end.
    ///
    /// # Errors
    /// Where there is no such account, and where the file cannot be written.
    pub fn remove(&self, name: &str) -> Result<(), AccountsError> {
        self.change(|accounts| {
            let before = accounts.len();
            accounts.retain(|known| known.name != name);
            if accounts.len() == before { Err(AccountsError::Unknown(name.to_owned())) } else { Ok(()) }
        })
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Vec<Account>) -> Result<(), AccountsError>,
    ) -> Result<(), AccountsError> {
        let mut accounts = self.load()?;
        change(&mut accounts)?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let text = serde_json::to_vec_pretty(&accounts).map_err(io::Error::other);
        let written = text.and_then(|text| {
            tautline_files::make_directory(folder)?;
            tautline_files::replace(&self.path, &text, Sync::Disk)
        });
        written.map_err(|source| self.failed(source))
    }

    fn load(&self) -> Result<Vec<Account>, AccountsError> {
        let bytes = match tautline_files::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(error)),
        };
        // The fault would quote a hash.
        let fault = |_| self.failed(io::Error::other("it does not hold accounts"));
        serde_json::from_slice(&bytes).map_err(fault)
    }

    fn stamp(&self) -> Result<Stamp, AccountsError> {
        match fs::metadata(&self.path) {
            Ok(found) => {
                Ok(Stamp { modified: found.modified().ok(), bytes: found.len(), file: inode(&found) })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Stamp { modified: None, bytes: 0, file: 0 })
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, source: io::Error) -> AccountsError {
        AccountsError::File { path: self.path.clone(), source }
    }
}

#[cfg(unix)]
fn inode(found: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(found)
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

fn check_name(name: &str) -> Result<(), AccountsError> {
    let is_fit = |c: char| c.is_alphanumeric() || "._-@".contains(c);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_fit) {
        return Err(AccountsError::Name(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> Account {
        Account { name: name.to_owned(), scope: ConsoleScope::Read, hash: "$argon2id$…".to_owned() }
    }

    fn folder(test: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("tautline-accounts-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn change_by_another_process_is_seen_at_once() {
        let folder = folder("change");
        let (ours, theirs) = (AccountFile::in_folder(&folder), AccountFile::in_folder(&folder));
        assert!(ours.accounts().unwrap().is_empty());
        for _ in 0..20 {
            theirs.add(account("ada")).unwrap();
            assert_eq!(ours.accounts().unwrap().len(), 1);
            theirs.set_hash("ada", "$argon2id$2".to_owned()).unwrap();
            assert_eq!(ours.accounts().unwrap()[0].hash, "$argon2id$2");
            theirs.remove("ada").unwrap();
            assert!(ours.accounts().unwrap().is_empty());
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn account_is_there_once_and_its_name_is_plain() {
        let folder = folder("names");
        let file = AccountFile::in_folder(&folder);
        file.add(account("ada@shop.example")).unwrap();
        assert!(matches!(file.add(account("ada@shop.example")), Err(AccountsError::Exists(_))));
        for name in ["", "a b", "<b>", "a\n", "a\u{202e}", &"a".repeat(65)] {
            assert!(matches!(file.add(account(name)), Err(AccountsError::Name(_))), "{name:?}");
        }
        assert!(matches!(file.remove("bob"), Err(AccountsError::Unknown(_))));
        assert!(matches!(file.set_hash("bob", String::new()), Err(AccountsError::Unknown(_))));
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn file_that_others_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = folder("rights");
        let file = AccountFile::in_folder(&folder);
        file.add(account("ada")).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        let error = file.accounts().unwrap_err().to_string();
        assert!(error.contains("open to everybody"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn debug_output_has_no_hash() {
        assert!(!format!("{:?}", account("ada")).contains("argon2"));
    }
}
