//! What the tests of the store share: a directory of their own, and a way to ask.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use tautline_disk::{DiskEngine, DiskOptions, Opened};
use tautline_engine::{
    Answer, Append, Appended, Content, Engine, EngineError, InUse, Job, Page, Read, Retention, RetentionOf,
    Span, StatRequest, StatResult, budget::Holder,
};
use tautline_protocol::ChannelName;

pub const NOW: u64 = 1_700_000_000_000;
pub const ALL: Retention = Retention { count: 1_000_000, bytes: 1 << 40, age_ms: 1 << 40 };

/// A directory on a real disk that is gone afterwards.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("disk-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn file(&self) -> PathBuf {
        self.0.join("channels.db")
    }

    pub fn options(&self) -> DiskOptions {
        DiskOptions::new(&self.0)
    }

    pub fn open(&self) -> (DiskEngine, Opened) {
        DiskEngine::open(self.options()).expect("the store opens")
    }

    /// The files whose names begin so.
    pub fn files(&self, prefix: &str) -> Vec<String> {
        let names =
            fs::read_dir(&self.0).expect("a directory").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().expect("a name of ours")).collect();
        names.retain(|name| name.starts_with(prefix));
        names.sort();
        names
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn ask<T: Send + 'static>(
    engine: &dyn Engine,
    job: impl FnOnce(Answer<T>) -> Job,
) -> Result<T, EngineError> {
    let (give, take) = mpsc::channel();
    engine.submit(job(Answer::new(move |outcome| drop(give.send(outcome)))));
    take.recv_timeout(Duration::from_secs(60)).expect("every job is answered")
}

pub fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).expect("a valid name")
}

pub fn append_job(name: &str, data: &str, retention: Retention, answer: Answer<Appended>) -> Job {
    append_job_of(Holder::BACK_END, name, data, retention, answer)
}

pub fn append_job_of(
    holder: Holder,
    name: &str,
    data: &str,
    retention: Retention,
    answer: Answer<Appended>,
) -> Job {
    let content = Content { data: data.into(), from: None, tags: None };
    let channel = channel(name);
    Job::Append(Append {
        channel,
        content,
        origin: None,
        doubt: None,
        expect: None,
        holder,
        retention,
        wall_ms: NOW,
        answer,
    })
}

pub fn append(engine: &dyn Engine, name: &str, data: &str) -> Result<Appended, EngineError> {
    ask(engine, |answer| append_job(name, data, ALL, answer))
}

/// Housekeeping of channels that all keep so much.
pub fn tidy(wall_ms: u64, retention: Retention) -> Job {
    Job::Tidy { wall_ms, retention: RetentionOf::all(retention), in_use: InUse::nothing() }
}

/// Appends, and says where it stands.
pub fn publish(engine: &dyn Engine, name: &str, data: &str) -> u64 {
    match append(engine, name, data) {
        Ok(Appended::New { entry, .. }) => entry.offset(),
        other => panic!("a publication was to be appended, and became {other:?}"),
    }
}

pub fn try_look(engine: &dyn Engine, name: &str) -> Result<StatResult, EngineError> {
    let channel = channel(name);
    ask(engine, |answer| {
        Job::Stat(StatRequest {
            channel,
            offset: None,
            user: None,
            holder: Holder::BACK_END,
            retention: ALL,
            wall_ms: NOW,
            answer,
        })
    })
}

pub fn stat(engine: &dyn Engine, name: &str) -> StatResult {
    try_look(engine, name).expect("a whole store tells where a log stands")
}

pub fn try_read(engine: &dyn Engine, name: &str) -> Result<Page, EngineError> {
    let (channel, span) = (channel(name), Span::After(0));
    let (count_max, bytes_max, retention, wall_ms) = (usize::MAX, usize::MAX, ALL, NOW);
    let holder = Holder::BACK_END;
    ask(engine, |answer| {
        Job::Read(Read { channel, span, count_max, bytes_max, holder, retention, wall_ms, answer })
    })
}

pub fn read(engine: &dyn Engine, name: &str) -> Page {
    try_read(engine, name).expect("a whole store reads a log")
}

/// The payloads on a page.
pub fn data(page: &Page) -> Vec<String> {
    let data = |entry: &tautline_engine::Entry| {
        let line = String::from_utf8(entry.line().to_vec()).expect("JSON is UTF-8");
        let from = line.find("\"data\":").expect("every publication has data") + 7;
        line[from..line.len() - 3].to_owned()
    };
    page.entries.iter().map(data).collect()
}

pub fn shop(dir: &Dir) -> rusqlite::Connection {
    rusqlite::Connection::open(dir.file()).expect("a shop's tools open it")
}
