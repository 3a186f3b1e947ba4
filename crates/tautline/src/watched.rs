//! Finds out that files have changed. Start at [`Watched::compare`].
//!
//! They are compared, not subscribed to: that also sees a file behind links that change (Kubernetes), one that is put in
//! the place of another, and one on a network file system.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// How long after a reload that failed the files are read again.
pub(crate) const RETRY_EVERY: Duration = Duration::from_secs(60);

/// Files, and what they were when their content was read.
pub(crate) struct Watched {
    files: Vec<PathBuf>,
    read: Vec<Option<Stamp>>,
    seen: Vec<Option<Stamp>>,
}

/// What differs where the content does. Modification times are what a program says they are, and some file systems have
/// coarse ones: the inode and the time of its change tell a file that was replaced within one tick.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    changed: (i64, i64),
    bytes: u64,
    inode: (u64, u64),
}

impl Watched {
    /// Call it before the files are read: a change meanwhile is then noticed the next time.
    pub(crate) fn new(files: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        let files: Vec<_> = files.into_iter().map(Into::into).collect();
        let stamps = stamps(&files);
        Self { files, read: stamps.clone(), seen: stamps }
    }

    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// True where files have changed since they were read, and not since the last comparison, so that nobody's half-written
    /// file is read.
    pub(crate) fn compare(&mut self) -> bool {
        let now = stamps(&self.files);
        let is_steady = now == self.seen;
        self.seen = now;
        is_steady && self.seen != self.read
    }
}

/// When a reload that has failed is tried again: what was wrong may end without a change of these files, such as a
/// certificate that begins later, a file that another one names, or a lack of memory.
#[derive(Debug, Default)]
pub(crate) struct Retry(Option<Failure>);

#[derive(Debug)]
struct Failure {
    at: SystemTime,
    words: String,
}

impl Retry {
    /// Whether to try again. At once, where the clock was set back.
    pub(crate) fn is_due(&self, now: SystemTime) -> bool {
        let passed = |failure: &Failure| now.duration_since(failure.at).unwrap_or(RETRY_EVERY);
        self.0.as_ref().is_some_and(|failure| passed(failure) >= RETRY_EVERY)
    }

    /// A reload has failed. True: in other words than the last time.
    pub(crate) fn failed(&mut self, at: SystemTime, words: String) -> bool {
        let is_news = self.0.as_ref().is_none_or(|failure| failure.words != words);
        self.0 = Some(Failure { at, words });
        is_news
    }

    pub(crate) fn succeeded(&mut self) {
        self.0 = None;
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().map(|file| Stamp::of(file)).collect()
}

impl Stamp {
    fn of(file: &Path) -> Option<Self> {
        let found = fs::metadata(file).ok()?;
        Some(Self {
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
            bytes: found.len(),
            inode: (found.dev(), found.ino()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::FileTimes, time::SystemTime};

    use super::*;

    fn file(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("tautline-watched-{name}-{}", std::process::id()))
    }

    #[test]
    fn change_is_told_once_it_is_steady() {
        let path = file("steady");
        fs::write(&path, "a").unwrap();
        let mut watched = Watched::new([&path]);
        assert!(!watched.compare());
        fs::write(&path, "half").unwrap();
        assert!(!watched.compare(), "it may still be written");
        fs::write(&path, "a whole").unwrap();
        assert!(!watched.compare());
        assert!(watched.compare());
        assert!(!Watched::new([&path]).compare());
        fs::remove_file(&path).unwrap();
        assert!(!watched.compare());
        assert!(watched.compare());
    }

    #[test]
    fn failed_reload_is_due_after_a_while_and_news_once() {
        let (mut retry, start) = (Retry::default(), SystemTime::UNIX_EPOCH + RETRY_EVERY);
        assert!(!retry.is_due(start));
        assert!(retry.failed(start, "too early".to_owned()));
        assert!(!retry.is_due(start + RETRY_EVERY / 2));
        assert!(retry.is_due(start + RETRY_EVERY));
        assert!(retry.is_due(start - RETRY_EVERY), "the clock was set back");
        assert!(!retry.failed(start, "too early".to_owned()) && retry.failed(start, "gone".to_owned()));
        retry.succeeded();
        assert!(!retry.is_due(start + RETRY_EVERY));
    }

    #[test]
    fn same_size_and_modification_time_hide_no_change() {
        let path = file("hidden");
        let write = |text: &str| {
            fs::write(&path, text).unwrap();
            let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
            fs::File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
        };
        write("one");
        let mut watched = Watched::new([&path]);
        write("two");
        watched.compare();
        assert!(watched.compare(), "the time of the change tells");
        // Another file in its place, of the same time and size.
        let other = file("other");
        fs::copy(&path, &other).unwrap();
        let mut watched = Watched::new([&path]);
        fs::rename(&other, &path).unwrap();
        watched.compare();
        assert!(watched.compare());
        fs::remove_file(&path).unwrap();
    }
}
