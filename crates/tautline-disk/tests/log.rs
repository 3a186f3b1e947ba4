//! What the store says in its log: once, with size and reason.

mod common;

use std::{
    fs, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
};

use common::{ALL, Dir, NOW, append, append_job, data, publish, read, tidy};
use tautline_disk::{DiskEngine, DiskOptions};
use tautline_engine::{Answer, Appended, Engine as _, EngineError, Retention};

/// The log of the test that holds it; the threads of an engine write into it, so tests take turns.
struct Log(MutexGuard<'static, ()>);

static TURN: Mutex<()> = Mutex::new(());
static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn lines() -> MutexGuard<'static, Vec<u8>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Into;

impl io::Write for Into {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lines().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Into).try_init();
        lines().clear();
        Self(turn)
    }

    fn count(&self, words: &str) -> usize {
        let _ = &self.0;
        String::from_utf8_lossy(&lines()).lines().filter(|line| line.contains(words)).count()
    }

    fn all(&self) -> String {
        String::from_utf8_lossy(&lines()).into_owned()
    }
}

/// Publishes so many MiB, and waits for all of it.
fn pour(engine: &DiskEngine, mib: usize) {
    let payload = format!("\"{}\"", "x".repeat(60_000));
    let (give, take) = mpsc::channel();
    let jobs = mib * 1024 * 1024 / payload.len();
    for number in 0..jobs {
        let give = give.clone();
        let answer =
            Answer::new(move |warned: Result<Appended, _>| give.send(warned.is_ok()).expect("we wait"));
        let few = Retention { count: 10, ..ALL };
        engine.submit(append_job(&format!("room:{}", number % 50), &payload, few, answer));
        if number >= 50 {
            assert!(take.recv().expect("answered"), "the disk takes it");
        }
    }
    take.iter().take(jobs.min(50)).for_each(|taken| assert!(taken));
}

#[test]
fn held_read_transaction_is_told_with_size_and_reason() {
    let (log, dir) = (Log::begin(), Dir::new());
    let (engine, _) = dir.open();
    publish(&engine, "room:7", "1");
    let tool = rusqlite::Connection::open(dir.file()).expect("a shop's tools open it");
    tool.execute_batch("BEGIN; SELECT count(*) FROM channels").expect("read");
    pour(&engine, 150);
    let warned = log.all();
    assert_eq!(log.count("the write-ahead log cannot begin anew and grows"), 1, "{warned}");
    assert!(warned.contains("another process has been in one read transaction"), "{warned}");
    let mib =
        warned.split("mib=").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|mib| mib.parse().ok());
    assert!(mib.is_some_and(|mib: u64| (128..160).contains(&mib)), "told soon behind 128 MiB: {warned}");
    tool.execute_batch("COMMIT").expect("read");
    pour(&engine, 20);
    assert_eq!(log.count("the write-ahead log is as short again as it should be"), 1, "{}", log.all());
}

/// Publishes until it is refused, and says with what words.
fn fill(engine: &DiskEngine) -> String {
    let payload = format!("\"{}\"", "x".repeat(50_000));
    loop {
        match append(engine, "room:7", &payload) {
            Ok(_) => {}
            Err(EngineError::Full(words)) => return words,
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn full_disk_is_told_once_and_not_ready_until_it_has_room() {
    let (log, dir) = (Log::begin(), Dir::new());
    // Five MiB: more than the probe for room takes.
    let options = DiskOptions { file_bytes_max: Some(10_000_000), ..dir.options() };
    let (engine, _) = DiskEngine::open(options).expect("the store opens");
    assert!(engine.takes_appends());
    let words = fill(&engine);
    assert!(!words.contains(&dir.path().display().to_string()), "no path for clients: {words}");
    for _ in 0..20 {
        // Housekeeping has nothing to write, and a small one may still find room: neither is a recovery.
        engine.submit(tidy(NOW, ALL));
        let _ = append(&engine, "room:8", "1");
        fill(&engine);
        assert!(!engine.takes_appends());
    }
    assert_eq!(log.count("the store takes no transactions"), 1, "{}", log.all());
    assert_eq!(log.count("the store takes transactions again"), 0, "{}", log.all());
    let some_go = Retention { age_ms: 1_000, ..ALL };
    for _ in 0..3 {
        engine.submit(tidy(NOW + 1_001, some_go));
        let _ = append(&engine, "room:8", "1");
    }
    assert!(engine.takes_appends(), "what is too old made room");
    assert_eq!(log.count("the store takes transactions again"), 1, "{}", log.all());
}

#[test]
fn store_of_a_thread_that_panicked_takes_nothing_and_says_so() {
    let (log, dir) = (Log::begin(), Dir::new());
    let options = dir.options();
    let panics = Arc::clone(&options.panicking_commits);
    let (engine, _) = DiskEngine::open(options).expect("the store opens");
    publish(&engine, "room:7", "1");
    panics.store(1, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(append(&engine, "room:7", "2"), Err(EngineError::InDoubt(_))));
    while !engine.has_died() {
        // The thread unwinds.
        std::thread::yield_now();
    }
    assert!(!engine.takes_appends());
    assert!(append(&engine, "room:7", "3").is_err(), "answered, and not left waiting");
    assert!(common::try_read(&engine, "room:7").is_err(), "nor does a reader wait");
    engine.close();
    assert_eq!(log.count("a thread of the store has panicked"), 1, "{}", log.all());
    let (engine, _) = dir.open();
    assert_eq!(data(&read(&engine, "room:7")), ["1", "2"], "it was committed");
    assert!(fs::metadata(dir.file()).is_ok());
}
