//! Killed without a warning: what was acknowledged is there, or its loss is told.

mod common;

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use common::{Dir, append, append_job, ask, data, publish, read, stat};
use tautline_disk::{DiskEngine, DiskOptions, Durability, OpenError, Opened};
use tautline_engine::{Appended, Engine as _};

/// What a child of these tests is to do, and where.
const CHILD: &str = "TAUTLINE_DISK_CHILD";

/// Runs this test binary again, as another process that does something with the store.
fn child(what: &str, dir: &Dir) -> Child {
    let exe = std::env::current_exe().expect("a test binary has a path");
    Command::new(exe)
        .args(["--exact", "the_other_process", "--nocapture"])
        .env(CHILD, format!("{what} {}", dir.path().display()))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test binary runs")
}

/// Not a test of its own: what the other process does.
#[test]
fn the_other_process() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let (what, dir) = task.split_once(' ').expect("a task and a directory");
    let durability = if what == "relaxed" { Durability::Relaxed } else { Durability::Strict };
    match DiskEngine::open(DiskOptions { durability, ..DiskOptions::new(dir) }) {
        Err(error) => println!("told: {error}"),
        Ok((engine, _)) => {
            for number in 1.. {
                append(&engine, "room:7", &number.to_string()).expect("the disk takes it");
                println!("acknowledged: {number}");
            }
        }
    }
}

/// Lets a child append until it has told of so many, kills it, and says how many it told of in the end.
fn kill_while_it_appends(durability: &str, dir: &Dir, after: usize) -> usize {
    let mut child = child(durability, dir);
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut acknowledged = 0;
    for line in lines.map_while(Result::ok) {
        if let Some(number) = line.strip_prefix("acknowledged: ") {
            acknowledged = number.parse().expect("a number");
            if acknowledged == after {
                child.kill().expect("it runs");
            }
        }
    }
    child.wait().expect("it has ended");
    acknowledged
}

#[test]
fn what_was_acknowledged_is_there_after_kill_9() {
    let dir = Dir::new();
    let incarnation = dir.open().0.incarnation();
    let acknowledged = kill_while_it_appends("strict", &dir, 300);
    let (engine, opened) = dir.open();
    assert_eq!(opened, Opened::Recovered { new_epochs: 0 });
    let kept = data(&read(&engine, "room:7"));
    assert!(kept.len() >= acknowledged && acknowledged >= 300, "{acknowledged} of {}", kept.len());
    let expected: Vec<String> = (1..=kept.len()).map(|number| number.to_string()).collect();
    assert_eq!(kept, expected, "in order, without a hole");
    assert_eq!(engine.incarnation(), incarnation, "nothing was lost");
    assert_eq!(publish(&engine, "room:7", "1"), kept.len() as u64 + 1);
}

#[test]
fn a_relaxed_crash_begins_new_epochs_for_what_was_written_to() {
    let dir = Dir::new();
    let (before, incarnation) = {
        let (engine, _) = dir.open();
        publish(&engine, "quiet", "1");
        publish(&engine, "room:7", "0");
        (stat(&engine, "quiet").log, engine.incarnation())
    };
    kill_while_it_appends("relaxed", &dir, 300);
    let (engine, opened) = dir.open();
    assert_eq!(opened, Opened::Recovered { new_epochs: 1 });
    assert_ne!(engine.incarnation(), incarnation, "something may be lost");
    assert_eq!(stat(&engine, "quiet").log, before, "nobody wrote to it");
    let page = read(&engine, "room:7");
    assert_ne!(page.log.epoch, before.epoch);
    assert!(page.entries.len() > 300, "what is kept stays readable");
    match ask(&engine, |answer| append_job("room:7", "1", common::ALL, answer)) {
        Ok(Appended::New { epoch, entry, .. }) => {
            assert_eq!((epoch, entry.offset()), (page.log.epoch, page.log.head + 1));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_relaxed_store_that_was_closed_keeps_its_epochs() {
    let dir = Dir::new();
    let relaxed = DiskOptions { durability: Durability::Relaxed, ..dir.options() };
    let (log_state, incarnation) = {
        let (engine, _) = DiskEngine::open(relaxed.clone()).expect("the store opens");
        (1..=10).for_each(|offset| assert_eq!(publish(&engine, "room:7", "1"), offset));
        (stat(&engine, "room:7").log, engine.incarnation())
    };
    let (engine, opened) = DiskEngine::open(relaxed).expect("the store opens");
    assert_eq!((opened, engine.incarnation()), (Opened::Clean, incarnation));
    assert_eq!(stat(&engine, "room:7").log, log_state);
}

#[test]
fn a_second_process_is_told_who_uses_the_store() {
    let dir = Dir::new();
    let (engine, _) = dir.open();
    let output = child("strict", &dir).wait_with_output().expect("it ends");
    let warned = String::from_utf8(output.stdout).expect("words");
    let owner = format!("is in use by another process ({}): stop it", std::process::id());
    assert!(warned.contains(&owner), "{warned}");
    assert!(matches!(DiskEngine::open(dir.options()), Err(OpenError::Locked { pid: Some(_), .. })));
    engine.close();
    assert_eq!(dir.open().1, Opened::Clean, "a closed store is free again");
}
