//! The store's own promises: who may read it, how it stays bounded, how it ends.

mod common;

use std::{
    fs,
    sync::{Arc, atomic::Ordering, mpsc},
};

use common::{ALL, Dir, NOW, append, append_job, ask, data, publish, read, shop, stat, tidy};
use tautline_disk::{DiskEngine, DiskOptions, Durability, Opened};
use tautline_engine::{
    Answer, Appended, Engine as _, EngineError, Job, Retention, Revocation, Revoke, RevokedLogins,
};

#[cfg(unix)]
#[test]
fn the_store_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = Dir::new();
    let (engine, opened) = dir.open();
    assert_eq!(opened, Opened::Fresh);
    publish(&engine, "room:7", "1");
    let mode = |name: &str| fs::metadata(dir.path().join(name)).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    for name in ["channels.db", "channels.db-wal", "channels.db-shm", "lock"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
}

/// How often this process has the store's file open.
#[cfg(target_os = "linux")]
fn open_files(dir: &Dir) -> usize {
    let links =
        fs::read_dir("/proc/self/fd").expect("there").filter_map(|link| link.ok()?.path().read_link().ok());
    links.filter(|file| *file == dir.file()).count()
}

#[cfg(target_os = "linux")]
#[test]
fn reading_and_copying_back_open_no_file_later() {
    let dir = Dir::new();
    let (engine, _) = dir.open();
    let open = open_files(&dir);
    assert_eq!(open, 4, "a writer, two readers, and who copies back");
    let payload = format!("\"{}\"", "x".repeat(200_000));
    (1..=100).for_each(|number| assert_eq!(publish(&engine, "room:7", &payload), number));
    assert!(fs::metadata(dir.file()).expect("there").len() > 4_000_000, "some was copied back");
    assert_eq!(read(&engine, "room:7").entries.len(), 100);
    assert_eq!(open_files(&dir), open);
}

#[test]
fn a_shop_reads_it_with_its_own_tools() {
    let dir = Dir::new();
    let (engine, _) = dir.open();
    publish(&engine, "room:7", "{\"text\":\"hello\"}");
    let sql = "SELECT channel, offset, at, json_extract(data, '$.text') FROM kept";
    let row = shop(&dir).query_row(sql, [], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, u32>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, String>(3)?,
        ))
    });
    let expected = ("room:7".to_owned(), 1, "2023-11-14 22:13:20".to_owned(), "hello".to_owned());
    assert_eq!(row.expect("a row"), expected);
}

#[test]
fn what_a_shop_deletes_is_a_hole_and_no_end() {
    let dir = Dir::new();
    let (engine, _) = dir.open();
    (1..=9).for_each(|number| assert_eq!(publish(&engine, "room:7", &number.to_string()), number));
    shop(&dir).execute("DELETE FROM publications WHERE offset IN (1, 5)", []).expect("deleted");
    assert_eq!(data(&read(&engine, "room:7")), ["2", "3", "4"], "a page has no hole");
    let retention = Retention { count: 3, ..ALL };
    let appended = ask(&engine, |answer| append_job("room:7", "10", retention, answer));
    assert!(matches!(appended, Ok(Appended::New { base: 7, .. })), "{appended:?}");
}

#[test]
fn deletes_come_many_at_a_time_and_leave_what_is_kept() {
    const COUNT: usize = 2_000;
    let dir = Dir::new();
    let (engine, _) = dir.open();
    let retention = Retention { count: 300, ..ALL };
    let shop = shop(&dir);
    let number = |sql: &str| shop.query_row(sql, [], |row| row.get::<_, u32>(0)).expect("a number");
    let mut gone = Vec::new();
    for _ in 0..COUNT {
        ask(&engine, |answer| append_job("room:7", "1", retention, answer)).expect("the disk takes it");
        gone.push(number("SELECT gone FROM channels"));
    }
    gone.dedup();
    assert!((4..=10).contains(&gone.len()), "not with every publication: {gone:?}");
    let rows = number("SELECT count(*) FROM publications");
    assert!((300..900).contains(&rows), "{rows} rows");
    engine.submit(tidy(NOW, retention));
    engine.close();
    assert_eq!(number("SELECT count(*) FROM publications"), 300, "housekeeping takes the rest");
    assert_eq!(number("SELECT count(*) FROM requests"), 0);
    assert_eq!(dir.open().0.bytes(), number("SELECT sum(bytes) FROM publications") as usize);
}

#[test]
fn the_write_ahead_log_stays_bounded() {
    const JOBS: usize = 40_000;
    let dir = Dir::new();
    let (engine, _) = dir.open();
    let (give, take) = mpsc::channel();
    let payload = format!("\"{}\"", "x".repeat(3_000));
    let log = dir.path().join("channels.db-wal");
    let mut largest = 0;
    for number in 0..JOBS {
        let give = give.clone();
        let answer =
            Answer::new(move |outcome: Result<Appended, _>| give.send(outcome.is_ok()).expect("we wait"));
        let retention = Retention { count: 100, ..ALL };
        engine.submit(append_job(&format!("room:{}", number % 50), &payload, retention, answer));
        if number >= 500 {
            assert!(take.recv().expect("answered"), "the disk takes it");
        }
        if number % 500 == 0 {
            largest = largest.max(fs::metadata(&log).expect("there").len());
        }
    }
    assert!(largest < 80 * 1024 * 1024, "{largest} bytes, of more than {}", JOBS * payload.len());
    engine.close();
    assert_eq!(fs::metadata(&log).map_or(0, |file| file.len()), 0, "the file alone is all there is");
}

#[test]
fn everything_that_was_submitted_before_the_end_is_done_and_later_jobs_are_refused() {
    const JOBS: usize = 1_000;
    let dir = Dir::new();
    let (engine, _) = dir.open();
    let (give, take) = mpsc::channel();
    for _ in 0..JOBS {
        let give = give.clone();
        let answer =
            Answer::new(move |outcome: Result<Appended, _>| give.send(outcome.is_ok()).expect("we wait"));
        engine.submit(append_job("room:7", "1", ALL, answer));
    }
    engine.close();
    assert_eq!(take.try_iter().filter(|done| *done).count(), JOBS);
    assert!(matches!(append(&engine, "room:7", "1"), Err(EngineError::Unavailable(_))));
    assert!(matches!(common::try_look(&engine, "room:7"), Err(EngineError::Unavailable(_))));
    engine.close();
    let (engine, opened) = dir.open();
    assert_eq!((opened, stat(&engine, "room:7").log.head), (Opened::Clean, JOBS as u64));
}

#[test]
fn an_engine_that_is_dropped_in_its_own_answer_ends() {
    let dir = Dir::new();
    let engine = Arc::new(dir.open().0);
    let (give, take) = mpsc::channel();
    let held = Arc::clone(&engine);
    let answer = Answer::new(move |_: Result<Appended, _>| {
        drop(held);
        give.send(()).expect("we wait");
    });
    let weak = Arc::downgrade(&engine);
    engine.submit(append_job("room:7", "1", ALL, answer));
    drop(engine);
    take.recv().expect("answered");
    assert!(weak.upgrade().is_none());
}

#[test]
fn an_answer_that_panics_takes_nobody_along() {
    let dir = Dir::new();
    let (engine, _) = dir.open();
    engine.submit(append_job("room:7", "1", ALL, Answer::new(|_| panic!("on purpose"))));
    assert_eq!(publish(&engine, "room:7", "1"), 2);
}

#[test]
fn a_commit_of_which_nobody_knows_is_in_doubt_and_read_again() {
    let dir = Dir::new();
    let options = dir.options();
    let doubtful = Arc::clone(&options.doubtful_commits);
    let (engine, _) = DiskEngine::open(options).expect("the store opens");
    publish(&engine, "room:7", "1");
    let incarnation = engine.incarnation();
    doubtful.store(1, Ordering::Relaxed);
    let warned = append(&engine, "room:7", "2").expect_err("nobody knows");
    assert!(matches!(warned, EngineError::InDoubt(_)), "{warned:?}");
    assert_eq!(publish(&engine, "room:7", "3"), 3, "this time it was done");
    assert_eq!(data(&read(&engine, "room:7")), ["1", "2", "3"]);
    assert_eq!(engine.incarnation(), incarnation);
}

#[test]
fn whole_log_is_copied_after_a_sync_that_failed() {
    let dir = Dir::new();
    let options = dir.options();
    let doubtful = Arc::clone(&options.doubtful_commits);
    let (engine, _) = DiskEngine::open(options).expect("the store opens");
    publish(&engine, "room:7", "1");
    doubtful.store(1, Ordering::Relaxed);
    append(&engine, "room:7", "2").expect_err("nobody knows");
    // The file alone, as if everything behind the hole were lost.
    let alone = dir.path().join("alone.db");
    fs::copy(dir.file(), &alone).expect("copied");
    let alone = rusqlite::Connection::open(alone).expect("a shop's tools open it");
    let count = alone.query_row("SELECT count(*) FROM publications", [], |row| row.get::<_, u32>(0));
    assert_eq!(count, Ok(2));
}

#[test]
fn relaxed_store_whose_disk_failed_goes_on_in_new_epochs() {
    let dir = Dir::new();
    let options = DiskOptions { durability: Durability::Relaxed, ..dir.options() };
    let doubtful = Arc::clone(&options.doubtful_commits);
    let (engine, _) = DiskEngine::open(options).expect("the store opens");
    publish(&engine, "room:7", "1");
    let (incarnation, epoch) = (engine.incarnation(), stat(&engine, "room:7").log.epoch);
    doubtful.store(1, Ordering::Relaxed);
    append(&engine, "room:7", "2").expect_err("nobody knows");
    assert_ne!(engine.incarnation(), incarnation);
    assert_ne!(stat(&engine, "room:7").log.epoch, epoch, "what was not synced may be lost");
}

#[test]
fn revocations_beyond_the_limit_forget_the_oldest() {
    let dir = Dir::new();
    let options = DiskOptions { revocations_max: 2, ..dir.options() };
    let revocation =
        |session: u64| Revocation { subject: RevokedLogins::Session(session.into()), until: NOW + session };
    let (engine, _) = DiskEngine::open(options.clone()).expect("opened");
    for session in 1..=3 {
        let revoke = |answer| Job::Revoke(Revoke { revocation: revocation(session), answer });
        ask(&engine, revoke).expect("kept");
    }
    engine.close();
    drop(engine);
    // What a foreign tool wrote is left alone.
    shop(&dir).execute("INSERT INTO revoked (session, until) VALUES (x'00ff', 1)", []).expect("written");
    let (engine, _) = DiskEngine::open(options).expect("opened");
    assert_eq!(engine.revocations(), [revocation(2), revocation(3)]);
}

#[test]
fn close_beside_a_foreign_writer_does_not_wait_for_it() {
    let dir = Dir::new();
    let (engine, _) = dir.open();
    publish(&engine, "room:7", "1");
    let foreign = shop(&dir);
    foreign.execute_batch("BEGIN IMMEDIATE").expect("nobody writes");
    let begun = std::time::Instant::now();
    engine.close();
    // Half of what one transaction would have waited for it.
    assert!(begun.elapsed() < std::time::Duration::from_millis(2_500), "{:?}", begun.elapsed());
    foreign.execute_batch("ROLLBACK").expect("it was begun");
    drop((foreign, engine));
    let (engine, opened) = dir.open();
    assert_eq!(opened, Opened::Recovered { new_epochs: 0 });
    assert_eq!(read(&engine, "room:7").entries.len(), 1);
}

#[test]
fn restart_knows_when_the_last_process_ran() {
    let dir = Dir::new();
    let (engine, _) = dir.open();
    assert_eq!(engine.last_run_ms(), 0);
    publish(&engine, "room:7", "1");
    engine.close();
    let (engine, _) = dir.open();
    assert_eq!(engine.last_run_ms(), NOW, "the newest publication");
    engine.submit(tidy(NOW + 5_000, ALL));
    engine.close();
    let (engine, _) = dir.open();
    assert_eq!(engine.last_run_ms(), NOW + 5_000, "the clean stop");
}
