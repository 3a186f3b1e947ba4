//! Damaged files, and files of others.

mod common;

use std::{fs, process::Command};

use common::{Dir, append, publish, stat, try_read};
use tautline_disk::{DiskEngine, OpenError, Opened};
use tautline_engine::{Engine as _, EngineError};

const CHANNELS: usize = 20;

/// A store with some thousand publications, closed. The life it was in.
fn filled(dir: &Dir) -> u32 {
    let (engine, _) = dir.open();
    let payload = format!("\"{}\"", "x".repeat(2_000));
    for number in 0..CHANNELS * 10 {
        publish(&engine, &format!("room:{}", number % CHANNELS), &payload);
    }
    let incarnation = engine.incarnation();
    engine.close();
    incarnation
}

/// Overwrites everything behind the first pages. In another process: a file that is closed here loses the locks that SQLite
/// holds on it here.
fn overwrite(dir: &Dir, first_page: usize) {
    let pages = fs::metadata(dir.file()).expect("there").len() / 4096;
    let output = Command::new("dd")
        .args(["if=/dev/urandom", "bs=4096", "conv=notrunc"])
        .arg(format!("of={}", dir.file().display()))
        .arg(format!("seek={first_page}"))
        .arg(format!("count={}", pages - first_page as u64))
        .output()
        .expect("dd runs");
    assert!(output.status.success(), "{output:?}");
}

/// The store works, in another life, and the damaged file lies beside it.
fn assert_begun_anew(engine: &DiskEngine, dir: &Dir, incarnation: u32) {
    assert_eq!(publish(engine, "room:1", "1"), 1);
    assert_ne!(engine.incarnation(), incarnation);
    let log_state = stat(engine, "room:1").log;
    assert_eq!((&*log_state.epoch, log_state.head), (&*format!("{:x}", engine.incarnation()), 1));
    assert_eq!(stat(engine, "room:2").log.head, 0);
    assert!(!dir.files("channels.db.damaged-").is_empty(), "it is kept for those who can read it");
}

#[test]
fn a_file_that_is_no_database_is_moved_aside() {
    let dir = Dir::new();
    let incarnation = filled(&dir);
    fs::write(dir.file(), "this is no database, but it is long enough to be looked at".repeat(100))
        .expect("written");
    let (engine, opened) = dir.open();
    let Opened::Damaged { moved_to, reason } = opened else { panic!("{opened:?}") };
    assert!(moved_to.exists() && !reason.is_empty());
    assert_begun_anew(&engine, &dir, incarnation);
}

#[test]
fn unclean_stop_does_not_have_the_file_read() {
    let dir = Dir::new();
    let incarnation = filled(&dir);
    let connection = rusqlite::Connection::open(dir.file()).expect("a shop's tools open it");
    connection.execute("UPDATE meta SET value = 1 WHERE key = 'open'", []).expect("written");
    drop(connection);
    // Deep in the file, where a start has no business. A crash does not do that: SQLite's own log undoes what it did.
    overwrite(&dir, 40);
    let (engine, opened) = dir.open();
    assert_eq!(opened, Opened::Recovered { new_epochs: 0 });
    assert_eq!(engine.incarnation(), incarnation);
    let damaged = (0..CHANNELS).any(|number| try_read(&engine, &format!("room:{number}")).is_err());
    assert!(damaged, "it is found by who reads it");
    assert_begun_anew(&engine, &dir, incarnation);
}

#[test]
fn a_file_that_is_damaged_under_a_reader_is_replaced_while_it_runs() {
    let dir = Dir::new();
    let incarnation = filled(&dir);
    let (engine, _) = dir.open();
    overwrite(&dir, 1);
    let warned = try_read(&engine, "room:3");
    assert!(matches!(warned, Err(EngineError::Unavailable(_))), "{warned:?}");
    // The reader has told the writer before it answered.
    assert_begun_anew(&engine, &dir, incarnation);
    engine.close();
    assert_eq!(dir.open().1, Opened::Clean);
}

#[test]
fn a_file_that_is_damaged_under_the_writer_is_replaced_while_it_runs() {
    let dir = Dir::new();
    let incarnation = filled(&dir);
    let (engine, _) = dir.open();
    overwrite(&dir, 1);
    let warned = append(&engine, "room:3", "1").expect_err("its pages are gone");
    assert!(matches!(warned, EngineError::Unavailable(_)), "nothing was done: {warned:?}");
    assert_begun_anew(&engine, &dir, incarnation);
}

#[test]
fn a_newer_format_is_refused_in_words_and_left_alone() {
    let dir = Dir::new();
    filled(&dir);
    let connection = rusqlite::Connection::open(dir.file()).expect("a shop's tools open it");
    connection.pragma_update(None, "user_version", 99).expect("written");
    drop(connection);
    let error = DiskEngine::open(dir.options()).expect_err("it is newer");
    assert!(matches!(error, OpenError::Newer { found: 99, .. }));
    assert!(error.to_string().contains("use the version that wrote it, or a later one"), "{error}");
    assert!(dir.files("channels.db.damaged-").is_empty());
}

#[test]
fn a_file_of_another_program_is_refused_and_left_alone() {
    let dir = Dir::new();
    fs::create_dir_all(dir.path()).expect("made");
    let connection = rusqlite::Connection::open(dir.file()).expect("made");
    connection.execute_batch("CREATE TABLE accounts (id)").expect("written");
    drop(connection);
    let error = DiskEngine::open(dir.options()).expect_err("it is not ours");
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    assert!(dir.files("channels.db.damaged-").is_empty());
}
