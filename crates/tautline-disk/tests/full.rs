//! A disk without room: nothing is stored, what is stored stays readable, and it mends itself.

mod common;

use std::{io::Write as _, path::Path, process::Command};

use common::{ALL, Dir, NOW, append, publish, read, tidy};
use tautline_disk::{DiskEngine, DiskOptions, Opened};
use tautline_engine::{Engine as _, EngineError, Retention};

/// Publishes until it is refused. How many were taken, and the words.
fn fill(engine: &DiskEngine) -> (usize, String) {
    let payload = format!("\"{}\"", "x".repeat(5_000));
    for taken in 0..100_000 {
        match append(engine, "room:7", &payload) {
            Ok(_) => {}
            Err(EngineError::Full(words)) => return (taken, words),
            Err(other) => panic!("after {taken}: {other:?}"),
        }
    }
    panic!("it is never full");
}

#[test]
fn a_full_store_says_so_reads_on_and_mends_itself() {
    let dir = Dir::new();
    let options = DiskOptions { file_bytes_max: Some(500_000), ..dir.options() };
    let (engine, _) = DiskEngine::open(options).expect("the store opens");
    let (taken, words) = fill(&engine);
    assert!(words.contains("is full: nothing is stored until there is room"), "{words}");
    assert_eq!(read(&engine, "room:7").entries.len(), taken, "what is stored stays readable");
    engine.submit(tidy(NOW + 1_001, Retention { age_ms: 1_000, ..ALL }));
    assert_eq!(
        publish(&engine, "room:7", "1"),
        taken as u64 + 1,
        "what is too old made room, and no offset is left out"
    );
}

/// A small disk. None where none can be mounted.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(at).expect("made");
        let mounted = mount(&["-t", "tmpfs", "-o", "size=2m", "tmpfs"], at);
        mounted.then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).output();
    }
}

/// A small disk for the store; none, and a word about it, where none can be mounted.
fn small_disk(dir: &Dir) -> Option<SmallDisk<'_>> {
    let disk = SmallDisk::mount(dir.path());
    if disk.is_none() {
        // Not by `println!`, which a test that passes is not heard with: the table of steps shows it.
        let _ = writeln!(std::io::stdout(), "\nskipped: this user may not mount a small disk: a full one");
    }
    disk
}

fn mount(args: &[&str], at: &Path) -> bool {
    Command::new("mount").args(args).arg(at).output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_real_disk_that_is_full_takes_publications_again_when_it_has_grown() {
    let dir = Dir::new();
    let Some(disk) = small_disk(&dir) else { return };
    let (engine, _) = dir.open();
    let (taken, _) = fill(&engine);
    assert!(taken > 10, "{taken}");
    assert!(
        matches!(append(&engine, "room:8", &"1".repeat(50_000)), Err(EngineError::Full(_))),
        "it stays full"
    );
    assert_eq!(read(&engine, "room:7").entries.len(), taken, "what is stored stays readable");
    assert!(mount(&["-o", "remount,size=16m"], disk.0), "a disk that was mounted can grow");
    assert_eq!(publish(&engine, "room:7", "1"), taken as u64 + 1);
    engine.close();
}

#[test]
fn start_on_full_disk_serves_reads_and_mends_itself() {
    let dir = Dir::new();
    let Some(disk) = small_disk(&dir) else { return };
    let (engine, _) = dir.open();
    let (taken, _) = fill(&engine);
    // Whatever small room a close makes is taken by somebody else.
    drop(engine);
    let _ = std::fs::write(dir.path().join("filler"), vec![0; 4 * 1024 * 1024]);
    let (engine, _) = dir.open();
    assert_eq!(read(&engine, "room:7").entries.len(), taken);
    assert!(matches!(append(&engine, "room:8", &"1".repeat(50_000)), Err(EngineError::Full(_))));
    assert!(!engine.takes_appends());
    assert!(mount(&["-o", "remount,size=32m"], disk.0), "a disk that was mounted can grow");
    assert_eq!(publish(&engine, "room:7", "1"), taken as u64 + 1);
    engine.submit(tidy(NOW, ALL));
    // The first may be answered by the transaction before housekeeping.
    for number in [2, 3] {
        assert_eq!(publish(&engine, "room:7", "1"), taken as u64 + number);
    }
    assert!(engine.takes_appends());
    engine.close();
}

/// A store that was closed has nothing in its write-ahead log, and its index is needed all the same to read it.
#[test]
fn start_on_full_disk_after_clean_stop_serves_reads() {
    let dir = Dir::new();
    let Some(_disk) = small_disk(&dir) else { return };
    let (engine, _) = dir.open();
    assert_eq!(publish(&engine, "room:7", "1"), 1);
    engine.close();
    drop(engine);
    let _ = std::fs::write(dir.path().join("filler"), vec![0; 4 * 1024 * 1024]);
    let (engine, opened) = dir.open();
    assert_eq!(opened, Opened::Clean);
    assert_eq!(read(&engine, "room:7").entries.len(), 1);
    engine.submit(tidy(NOW, ALL));
    assert!(matches!(append(&engine, "room:8", &"1".repeat(50_000)), Err(EngineError::Full(_))));
    assert!(!engine.takes_appends());
}
