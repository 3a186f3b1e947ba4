//! The audit log: who did what, why, and what came of it. One JSON object a line, in a file that only grows, and that is
//! put aside when it is full.
//!
//! Start at [`AuditLog::begin`]. An act is in the file before it is done, and its outcome behind it: what stands there
//! without an outcome was interrupted. Where the file cannot be written, nothing is done.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

/// Acts that are shown; older ones are in the file alone.
const SHOWN_MAX: usize = 4_096;
/// The most characters of what an act is about.
const TARGET_CHARS_MAX: usize = 256;
const FILE: &str = "console-audit.jsonl";
/// The older half.
const OLDER: &str = "console-audit.1.jsonl";

/// One act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number.
    pub id: u64,
    /// When, in wall milliseconds.
    pub at: u64,
    /// The account.
    pub name: String,
    /// The operation.
    pub act: String,
    /// What it was about, as JSON, cut where it is long.
    pub target: String,
    /// Why, in the account's words.
    pub reason: String,
    /// `ok`, or the code of the problem; `started` until it is known.
    pub outcome: String,
}

/// The outcome of an act, as it is written behind it.
#[derive(Deserialize, Serialize)]
struct Outcome {
    of: u64,
    outcome: String,
}

/// A line of the file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Outcome(Outcome),
    Act(AuditEntry),
}

/// The audit log of a node.
pub struct AuditLog(Mutex<Inner>);

struct Inner {
    folder: PathBuf,
    bytes_max: u64,
    /// Opened with the first act.
    file: Option<(File, u64)>,
    next: u64,
    shown: VecDeque<AuditEntry>,
}

impl AuditLog {
    /// The log in this folder, with what earlier processes wrote. At most so many bytes, the older half included.
    ///
    /// # Errors
    /// Where a file that is there cannot be read.
    pub fn open(folder: &Path, bytes_max: usize) -> io::Result<Self> {
        let mut inner = Inner {
            folder: folder.to_owned(),
            bytes_max: bytes_max as u64,
            file: None,
            next: 1,
            shown: VecDeque::new(),
        };
        for name in [OLDER, FILE] {
            inner.read(&folder.join(name))?;
        }
        Ok(Self(Mutex::new(inner)))
    }

    /// Writes that an act begins, and returns its number. It waits for the disk.
    ///
    /// # Errors
    /// Where it cannot be written: then the act must not happen.
    pub fn begin(&self, at: u64, name: &str, act: &str, target: &str, reason: &str) -> io::Result<u64> {
        let mut inner = self.lock();
        let entry = AuditEntry {
            id: inner.next,
            at,
            name: name.to_owned(),
            act: act.to_owned(),
            target: target.chars().take(TARGET_CHARS_MAX).collect(),
            reason: reason.to_owned(),
            outcome: "started".to_owned(),
        };
        inner.write(&entry)?;
        inner.next += 1;
        let id = entry.id;
        inner.show(entry);
        Ok(id)
    }

    /// Writes what came of it.
    ///
    /// # Errors
    /// Where it cannot be written. It is shown nevertheless.
    pub fn end(&self, id: u64, outcome: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.settle(id, outcome);
        inner.write(&Outcome { of: id, outcome: outcome.to_owned() })
    }

    /// The newest acts before this number, the newest first.
    #[must_use]
    pub fn page(&self, before: Option<u64>, count_max: usize) -> Vec<AuditEntry> {
        let inner = self.lock();
        let shown = inner.shown.iter().rev().filter(|entry| before.is_none_or(|before| entry.id < before));
        shown.take(count_max).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn read(&mut self, path: &Path) -> io::Result<()> {
        let file = match tautline_files::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for line in BufReader::new(file).split(b'\n') {
            // A crash may have left half a line, cut within a character.
            match serde_json::from_slice(&line?) {
                Ok(Line::Act(entry)) => {
                    self.next = self.next.max(entry.id + 1);
                    self.show(entry);
                }
                Ok(Line::Outcome(Outcome { of, outcome })) => self.settle(of, &outcome),
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn show(&mut self, entry: AuditEntry) {
        if self.shown.len() >= SHOWN_MAX {
            self.shown.pop_front();
        }
        self.shown.push_back(entry);
    }

    fn settle(&mut self, id: u64, outcome: &str) {
        if let Some(entry) = self.shown.iter_mut().rev().find(|entry| entry.id == id) {
            outcome.clone_into(&mut entry.outcome);
        }
    }

    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        let bytes = text.len() as u64;
        self.make_room(bytes)?;
        let (file, written) = self.file.as_mut().expect("make_room() opened it");
        let done = file.write_all(&text).and_then(|()| file.sync_data());
        // Half a line may be there: the next one begins in a line of its own.
        match done {
            Ok(()) => *written += bytes,
            Err(_) => self.file = None,
        }
        done
    }

    /// Opens the file, and puts it aside where it is full.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let path = self.folder.join(FILE);
        let is_full = |written: u64| written > 0 && written + bytes > self.bytes_max / 2;
        if self.file.as_ref().is_some_and(|(_, written)| is_full(*written)) {
            self.file = None;
            fs::rename(&path, self.folder.join(OLDER))?;
        }
        if self.file.is_none() {
            tautline_files::make_directory(&self.folder)?;
            let mut file = tautline_files::open_append(&path)?;
            let written = file.metadata()?.len();
            // Behind half a line of a crash: an empty line harms nobody.
            if written > 0 {
                file.write_all(b"\n")?;
            }
            self.file = Some((file, written + 1));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(test: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("tautline-audit-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn acts_and_outcomes_outlive_the_process() {
        let folder = folder("restart");
        let log = AuditLog::open(&folder, 1 << 20).unwrap();
        let first = log.begin(1, "ada", "kick", "{}", "spam").unwrap();
        let second = log.begin(2, "bob", "ban", "{}", "worse spam").unwrap();
        log.end(first, "ok").unwrap();
        // Half a line, as a crash leaves it, and half of a character.
        tautline_files::open_append(&folder.join(FILE))
            .unwrap()
            .write_all(b"{\"id\":3,\"reason\":\"\xe6\x88")
            .unwrap();
        let log = AuditLog::open(&folder, 1 << 20).unwrap();
        let third = log.begin(3, "ada", "unban", "{}", "a mistake").unwrap();
        let log = AuditLog::open(&folder, 1 << 20).unwrap();
        let shown: Vec<_> = log.page(None, 10).into_iter().map(|it| (it.id, it.name, it.outcome)).collect();
        let of = |id, name: &str, outcome: &str| (id, name.to_owned(), outcome.to_owned());
        assert_eq!(
            shown,
            [of(third, "ada", "started"), of(second, "bob", "started"), of(first, "ada", "ok")]
        );
        assert_eq!(log.page(Some(second), 10).len(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn full_log_drops_its_older_half() {
        let folder = folder("rotation");
        let log = AuditLog::open(&folder, 4_096).unwrap();
        for n in 0..100 {
            log.begin(n, "ada", "kick", "{}", "spam").unwrap();
        }
        let bytes = |name: &str| fs::metadata(folder.join(name)).unwrap().len();
        assert!(bytes(FILE) + bytes(OLDER) <= 4_096);
        let log = AuditLog::open(&folder, 4_096).unwrap();
        let shown = log.page(None, 100);
        assert!(shown.len() > 10 && shown.len() < 100, "{}", shown.len());
        assert_eq!(shown[0].at, 99);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn hostile_words_are_text_in_one_line() {
        let folder = folder("hostile");
        let log = AuditLog::open(&folder, 1 << 20).unwrap();
        let words = "</script>\n{\"id\":9}\u{202e}\"";
        log.begin(1, words, "kick", &words.repeat(100), words).unwrap();
        let text = fs::read_to_string(folder.join(FILE)).unwrap();
        assert_eq!(text.trim_start().lines().count(), 1);
        let log = AuditLog::open(&folder, 1 << 20).unwrap();
        let entry = &log.page(None, 10)[0];
        assert_eq!((entry.name.as_str(), entry.reason.as_str()), (words, words));
        assert_eq!(entry.target.chars().count(), TARGET_CHARS_MAX);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn act_is_refused_where_it_cannot_be_written() {
        let folder = folder("full");
        fs::create_dir_all(folder.join(FILE)).unwrap();
        let log = AuditLog::open(&folder, 1 << 20);
        assert!(log.is_err() || log.unwrap().begin(1, "ada", "kick", "{}", "spam").is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
