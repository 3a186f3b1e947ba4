//! The keys that seal tickets, in a file beside the logs, so that clients resume after a restart without their token.
//!
//! Start at [`TicketKeyFile::keys`]. Holds no clock: each call is told the time.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    directory::{Denied, Directory},
    recovery::owner,
};

/// Keys on disk, newest first. One process uses them at a time: the one that holds the store's lock.
pub struct TicketKeyFile {
    file: PathBuf,
    keys: Vec<TicketKey>,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TicketKeyError {
    /// The file cannot be read or written.
    #[error("{} cannot be read or written: see that it is this user's alone, and that its disk has room", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what was written.
    #[error("{} holds no ticket keys: restore it, or remove it, and every client will log in once more", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// There are no keys to be replaced.
    #[error("{} holds no ticket keys: name the folder of a gateway that ran with the disk engine", dir.display())]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// A running gateway keeps the old ones in memory.
    #[error("{} is used by another process{}: stop it first", dir.display(), owner(*pid))]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The process, where it says so.
        pid: Option<u32>,
    },
    /// The system gave no randomness.
    #[error("the system gave no randomness for a ticket key: {0}")]
    Randomness(String),
}

#[derive(Clone, Serialize, Deserialize)]
struct TicketKey {
    /// In wall milliseconds. It seals until the next one is made.
    created_at: u64,
    #[serde(with = "base64_text")]
    key: [u8; 32],
}

#[derive(Serialize, Deserialize)]
struct Keys {
    ticket_keys: Vec<TicketKey>,
}

impl TicketKeyFile {
    /// Reads the keys in `dir`. Where there are none, [`TicketKeyFile::keys`] makes the first.
    ///
    /// # Errors
    /// [`TicketKeyError`] says what to do.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, TicketKeyError> {
        let file = dir.as_ref().join("ticket-keys.json");
        let failed = |source| TicketKeyError::File { file: file.clone(), source };
        tautline_files::make_directory(dir.as_ref()).map_err(failed)?;
        tautline_files::sweep(&file);
        let keys = match tautline_files::read(&file) {
            Ok(text) => {
                serde_json::from_slice::<Keys>(&text)
                    .map_err(|source| TicketKeyError::Damaged { file: file.clone(), source })?
                    .ticket_keys
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        Ok(Self { file, keys })
    }

    /// Puts one new key in the place of all keys in `dir`, so that no ticket of before opens anything. For a store that no
    /// process uses.
    ///
    /// # Errors
    /// Where there is no store, a process uses it, or the key cannot be written.
    pub fn replace_all(dir: impl AsRef<Path>, now_wall_ms: u64) -> Result<(), TicketKeyError> {
        let dir = dir.as_ref();
        let file = dir.join("ticket-keys.json");
        if !file.exists() {
            return Err(TicketKeyError::Missing { dir: dir.to_owned() });
        }
        // Held until the new key is there: a gateway that starts meanwhile would go on with the old ones.
        let _directory = Directory::open(dir).map_err(|denied| match denied {
            Denied::Locked(pid) => TicketKeyError::InUse { dir: dir.to_owned(), pid },
            Denied::Io(source) => TicketKeyError::File { file: file.clone(), source },
        })?;
        Self { file, keys: Vec::new() }.rotate(now_wall_ms, 0)
    }

    /// The keys that open tickets, newest first: the first seals. To be called at the start and now and then: makes a new one
    /// when the newest has sealed for `ticket_ms`, and drops those whose tickets have all expired.
    ///
    /// # Errors
    /// Where there is no key and none can be made. Where one cannot be followed by another, it seals on, and that is logged.
    pub fn keys(&mut self, now_wall_ms: u64, ticket_ms: u64) -> Result<Vec<[u8; 32]>, TicketKeyError> {
        let is_good = |key: &TicketKey| now_wall_ms.abs_diff(key.created_at) <= ticket_ms;
        if !self.keys.first().is_some_and(is_good) {
            match self.rotate(now_wall_ms, ticket_ms) {
                Err(error) if !self.keys.is_empty() => {
                    tracing::warn!(event = "ticket_key_not_renewed", %error, "the ticket key could not be renewed")
                }
                rotated => rotated?,
            }
        }
        Ok(self.keys.iter().map(|key| key.key).collect())
    }

    fn rotate(&mut self, now_wall_ms: u64, ticket_ms: u64) -> Result<(), TicketKeyError> {
        let mut key = TicketKey { created_at: now_wall_ms, key: [0; 32] };
        getrandom::fill(&mut key.key).map_err(|error| TicketKeyError::Randomness(error.to_string()))?;
        let mut keys = vec![key];
        for key in &self.keys {
            // It sealed until its successor was made, however late that was.
            let sealed_until = keys.last().map_or(now_wall_ms, |next| next.created_at);
            if sealed_until.saturating_add(ticket_ms) < now_wall_ms {
                break;
            }
            keys.push(key.clone());
        }
        let keys = Keys { ticket_keys: keys };
        self.write(&keys).map_err(|source| TicketKeyError::File { file: self.file.clone(), source })?;
        self.keys = keys.ticket_keys;
        Ok(())
    }

    fn write(&self, keys: &Keys) -> io::Result<()> {
        tautline_files::replace(&self.file, &serde_json::to_vec_pretty(keys)?, tautline_files::Sync::Disk)
    }
}

impl std::fmt::Debug for TicketKeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Keys are secrets.
        f.debug_struct("TicketKeyFile").field("file", &self.file).field("keys", &self.keys.len()).finish()
    }
}

mod base64_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use base64::{Engine as _, prelude::BASE64_STANDARD};

    pub(super) fn serialize<S: Serializer>(key: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_STANDARD.encode(key))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        let key = BASE64_STANDARD.decode(text).map_err(D::Error::custom)?;
        key.try_into().map_err(|_| D::Error::custom("a key has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const DAY: u64 = 24 * 3600 * 1000;

    /// A directory that is gone afterwards.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("tautline-keys-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            Self(dir)
        }

        fn keys(&self, now: u64) -> Vec<[u8; 32]> {
            TicketKeyFile::open(&self.0).expect("readable").keys(now, DAY).expect("writable")
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_same_key_seals_after_a_restart() {
        let dir = Dir::new("restart");
        let keys = dir.keys(5 * DAY);
        assert_eq!(keys.len(), 1);
        assert_ne!(keys[0], [0; 32]);
        assert_eq!(dir.keys(6 * DAY), keys);
    }

    #[test]
    fn a_key_is_renewed_and_opens_for_as_long_as_its_tickets_live() {
        let dir = Dir::new("renewed");
        let first = dir.keys(5 * DAY);
        let both = dir.keys(6 * DAY + 1);
        assert_eq!(both[1..], first, "the old one still opens");
        assert_eq!(dir.keys(7 * DAY + 1), both);
        let later = dir.keys(7 * DAY + 2);
        assert_eq!(later[1..], both[..1], "what the first one sealed has expired");
    }

    #[test]
    fn a_key_that_sealed_for_longer_than_planned_opens_for_longer() {
        let dir = Dir::new("late");
        let first = dir.keys(5 * DAY);
        let both = dir.keys(9 * DAY);
        assert_eq!(both[1..], first, "nobody asked in between: it sealed until now");
    }

    #[test]
    fn a_clock_that_was_wrong_once_does_not_keep_a_key_for_ever() {
        let dir = Dir::new("clock");
        let first = dir.keys(5_000 * DAY);
        assert_eq!(dir.keys(5 * DAY)[1..], first);
    }

    #[test]
    fn replaced_keys_open_nothing_of_before() {
        let dir = Dir::new("replaced");
        let missing = TicketKeyFile::replace_all(&dir.0, DAY).expect_err("nothing there").to_string();
        assert!(missing.contains("holds no ticket keys"), "{missing}");
        assert!(!dir.0.exists(), "a slip of the pen makes no folder");
        dir.keys(5 * DAY);
        let before = dir.keys(6 * DAY + 1);
        TicketKeyFile::replace_all(&dir.0, 6 * DAY + 2).expect("replaced");
        let after = dir.keys(6 * DAY + 3);
        assert_eq!((before.len(), after.len()), (2, 1));
        assert!(!before.contains(&after[0]));
    }

    #[test]
    fn keys_in_use_are_not_replaced() {
        let dir = Dir::new("in-use");
        let before = dir.keys(5 * DAY);
        let Ok(_used) = Directory::open(&dir.0) else { panic!("free") };
        let error = TicketKeyFile::replace_all(&dir.0, 6 * DAY).expect_err("in use").to_string();
        assert!(error.contains("stop it first"), "{error}");
        assert_eq!(dir.keys(5 * DAY), before);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = Dir::new("mode");
        dir.keys(DAY);
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&dir.0), 0o700);
        assert_eq!(mode(&dir.0.join("ticket-keys.json")), 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn planted_key_files_are_refused_or_not_used() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = Dir::new("planted");
        fs::create_dir_all(&dir.0).expect("made");
        let (file, new) = (dir.0.join("ticket-keys.json"), dir.0.join("ticket-keys.json.new"));
        let open_to_all = || fs::Permissions::from_mode(0o666);
        fs::write(&new, "theirs").expect("written");
        fs::set_permissions(&new, open_to_all()).expect("ours");
        dir.keys(DAY);
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&file, open_to_all()).expect("ours");
        let error = TicketKeyFile::open(&dir.0).expect_err("anybody can have written it");
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(cause.contains("open to everybody (mode 0666)"), "{cause}");
    }

    #[test]
    fn a_damaged_file_is_told_and_not_overwritten() {
        let dir = Dir::new("damaged");
        dir.keys(DAY);
        fs::write(
            dir.0.join("ticket-keys.json"),
            "{\"ticket_keys\": [{\"created_at\": 1, \"key\": \"AAAA\"}]}",
        )
        .expect("written");
        let error = TicketKeyFile::open(&dir.0).expect_err("damaged").to_string();
        assert!(error.contains("restore it, or remove it"), "{error}");
    }

    #[test]
    fn keys_are_in_no_debug_output() {
        let dir = Dir::new("debug");
        dir.keys(DAY);
        let debug = format!("{:?}", TicketKeyFile::open(&dir.0).expect("readable"));
        assert!(debug.ends_with("keys: 1 }"), "{debug}");
    }
}
