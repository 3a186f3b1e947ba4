//! What the kernel saw: what has to be on the disk is there before it is said, and before what follows from it.
//!
//! Runs parts of itself under `strace`. Without it the tests say so and pass, unless `CI` is set.
#![cfg(target_os = "linux")]

mod common;

use std::{env, fs, io::Write as _, process::Command};

use common::{Dir, publish};
use tautline_disk::{DiskEngine, DiskOptions, Durability, TicketKeyFile};

/// What a traced child of these tests is to do, and where.
const CHILD: &str = "TAUTLINE_DISK_TRACED";
const TRACED: &str = "trace=fsync,fdatasync,pwrite64,write,rename,renameat,renameat2,openat";

/// Says that something has been done, where the tracer sees it.
fn mark(what: &str) {
    writeln!(std::io::stdout(), "mark:{what}").expect("stdout is open");
}

/// Not a test of its own: what the traced process does.
#[test]
fn the_traced_process() {
    let Ok(task) = env::var(CHILD) else { return };
    let (what, dir) = task.split_once(' ').expect("a task and a directory");
    let durability = if what == "relaxed" { Durability::Relaxed } else { Durability::Strict };
    mark("begin");
    if what == "keys" {
        TicketKeyFile::open(dir).expect("readable").keys(1_000_000, 1_000).expect("made");
        return mark("made");
    }
    let (engine, _) =
        DiskEngine::open(DiskOptions { durability, ..DiskOptions::new(dir) }).expect("it opens");
    mark("open");
    for number in 1..=3 {
        publish(&engine, "room:7", "1");
        mark(&format!("appended {number}"));
    }
    publish(&engine, "room:8", "1");
    mark("appended elsewhere");
}

/// The calls of a traced process, one a line, with the files that they were about; none where there is no `strace`.
fn trace(what: &str, dir: &Dir) -> Option<Vec<String>> {
    if Command::new("strace").arg("--version").output().is_err() {
        assert!(env::var_os("CI").is_none(), "strace is not installed: `cargo xtask test` installs it");
        let _ = writeln!(std::io::stdout(), "\nskipped: strace is not installed: what is synced when");
        return None;
    }
    let parent = dir.path().parent().expect("it is in the target folder");
    fs::create_dir_all(parent).expect("made");
    let file = dir.path().with_extension("trace");
    let status = Command::new("strace")
        .args(["-f", "-y", "-e", TRACED, "-o"])
        .arg(&file)
        .arg(env::current_exe().expect("a test binary has a path"))
        .args(["--exact", "the_traced_process", "--nocapture"])
        .env(CHILD, format!("{what} {}", dir.path().display()))
        .output()
        .expect("strace runs");
    assert!(status.status.success(), "{status:?}");
    let trace = fs::read(&file).expect("strace has written it");
    fs::remove_file(&file).expect("it is ours");
    Some(whole_calls(&String::from_utf8_lossy(&trace)))
}

/// One line a call, at the place where it ended: calls of several threads are told in two parts.
fn whole_calls(trace: &str) -> Vec<String> {
    let mut begun: std::collections::HashMap<&str, String> = std::collections::HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap_or((line, ""));
        let call = call.trim_start();
        if let Some(first) = call.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, first.to_owned());
        } else if let Some((_, rest)) = call.split_once(" resumed>") {
            calls.push(begun.remove(thread).unwrap_or_default() + rest);
        } else {
            calls.push(call.to_owned());
        }
    }
    calls
}

/// What was done between two marks.
fn between<'a>(calls: &'a [String], from: &str, to: &str) -> &'a [String] {
    let at = |mark: &str| {
        let mark = format!("mark:{mark}\\n");
        calls
            .iter()
            .position(|call| call.contains(&mark))
            .unwrap_or_else(|| panic!("{mark} is not in {calls:#?}"))
    };
    &calls[at(from)..at(to)]
}

/// Where the last call of this kind is that is about this file.
fn last(calls: &[String], kinds: &[&str], file: &str) -> Option<usize> {
    let is = |call: &String| kinds.iter().any(|kind| call.starts_with(kind)) && call.contains(file);
    calls.iter().rposition(is)
}

const SYNC: [&str; 2] = ["fsync(", "fdatasync("];

/// What was written to the write-ahead log was synced after its last byte.
fn is_synced(calls: &[String]) -> bool {
    let written = last(calls, &["pwrite64("], "channels.db-wal>").expect("it goes into the write-ahead log");
    last(calls, &SYNC, "channels.db-wal>").is_some_and(|synced| synced > written)
}

#[test]
fn strict_append_is_synced_before_its_answer() {
    let dir = Dir::new();
    let Some(calls) = trace("strict", &dir) else { return };
    for (from, to) in [("open", "appended 1"), ("appended 1", "appended 2"), ("appended 2", "appended 3")] {
        assert!(is_synced(between(&calls, from, to)), "{to}: {calls:#?}");
    }
}

#[test]
fn first_relaxed_append_is_synced_with_its_mark() {
    let dir = Dir::new();
    let Some(calls) = trace("relaxed", &dir) else { return };
    for (from, to) in [("open", "appended 1"), ("appended 3", "appended elsewhere")] {
        assert!(is_synced(between(&calls, from, to)), "{to}: {calls:#?}");
    }
    assert!(!is_synced(between(&calls, "appended 1", "appended 2")), "that is what relaxed is for");
}

#[test]
fn new_store_is_in_a_directory_that_was_synced() {
    let dir = Dir::new();
    let Some(calls) = trace("strict", &dir) else { return };
    let calls = between(&calls, "begin", "open");
    let made = calls.iter().position(|call| call.contains("channels.db\"") && call.contains("O_CREAT"));
    let name = dir.path().file_name().expect("it has one").to_string_lossy().into_owned();
    let own = last(calls, &SYNC, &format!("/{name}>)"));
    assert!(own > made && made.is_some(), "the file's name: {calls:#?}");
    let parent = dir.path().parent().and_then(|parent| parent.file_name()).expect("it has one");
    let parent = format!("/{}>)", parent.to_string_lossy());
    assert!(last(calls, &SYNC, &parent).is_some(), "the directory's name: {calls:#?}");
}

#[test]
fn new_keys_are_synced_before_their_name_and_their_name_after() {
    let dir = Dir::new();
    let Some(calls) = trace("keys", &dir) else { return };
    let calls = between(&calls, "begin", "made");
    let renamed = last(calls, &["rename"], "ticket-keys.json\"").expect("they are renamed");
    let synced = last(&calls[..renamed], &SYNC, "ticket-keys.json.").expect("the file is synced");
    let written = last(calls, &["write("], "ticket-keys.json.").expect("they are written");
    assert!(written < synced, "{calls:#?}");
    let name = dir.path().file_name().expect("it has one").to_string_lossy().into_owned();
    assert!(last(calls, &SYNC, &format!("/{name}>)")) > Some(renamed), "{calls:#?}");
}
