//! Values that somebody else has written into the file: they cost the row's channel, or less, and nothing else.

mod common;

use std::time::{Duration, Instant};

use common::{ALL, Dir, NOW, append_job, ask, data, publish, read, stat, try_look};
use tautline_disk::{DiskEngine, Opened};
use tautline_engine::{Appended, Engine as _, EngineError, Job, Page, Read, Retention, Span};

/// Two logs of nine publications, closed, and then changed.
fn changed(dir: &Dir, sql: &str) -> DiskEngine {
    let (engine, _) = dir.open();
    for channel in ["room:7", "room:8"] {
        (1..=9).for_each(|number| assert_eq!(publish(&engine, channel, &number.to_string()), number));
    }
    let incarnation = engine.incarnation();
    engine.close();
    let shop = rusqlite::Connection::open(dir.file()).expect("a shop's tools open it");
    assert!(shop.execute(sql, []).expect("written") > 0);
    drop(shop);
    let (engine, opened) = dir.open();
    assert!(matches!(opened, Opened::Clean | Opened::Recovered { .. }), "{opened:?}");
    if !sql.contains("life") {
        assert_eq!(engine.incarnation(), incarnation);
    }
    engine
}

fn is_whole(engine: &DiskEngine, dir: &Dir, channel: &str) {
    assert_eq!(data(&read(engine, channel)).len(), 9, "{channel}");
    assert_eq!(publish(engine, channel, "10"), 10);
    assert!(dir.files("channels.db.damaged-").is_empty(), "the store stays where it is");
}

fn page(engine: &DiskEngine, span: Span) -> Page {
    let (count_max, bytes_max, retention, wall_ms) = (99, usize::MAX, ALL, NOW);
    let channel = common::channel("room:7");
    let holder = tautline_engine::budget::Holder::BACK_END;
    ask(engine, |answer| {
        Job::Read(Read { channel, span, count_max, bytes_max, holder, retention, wall_ms, answer })
    })
    .expect("what can be read is read")
}

#[test]
fn foreign_sender_costs_its_publication() {
    let dir = Dir::new();
    let engine = changed(&dir, "UPDATE publications SET sender = x'00ff' WHERE channel = 1 AND offset = 5");
    assert_eq!(data(&page(&engine, Span::After(0))), ["1", "2", "3", "4"], "a page has no hole");
    assert_eq!(data(&page(&engine, Span::After(4))), ["6", "7", "8", "9"]);
    assert_eq!(data(&page(&engine, Span::Before(6))), ["1", "2", "3", "4"]);
    assert_eq!(publish(&engine, "room:7", "10"), 10);
    is_whole(&engine, &dir, "room:8");
}

#[test]
fn foreign_data_at_and_bytes_cost_their_publication() {
    for column in ["data = x'ff'", "at = 'noon'", "bytes = -7", "tags = x''", "sender = 'a b'"] {
        let dir = Dir::new();
        let sql = format!("UPDATE publications SET {column} WHERE channel = 1 AND offset = 1");
        let engine = changed(&dir, &sql);
        assert_eq!(data(&page(&engine, Span::After(0))).len(), 8, "{column}");
        let few = Retention { count: 3, ..ALL };
        let appended = ask(&engine, |answer| append_job("room:7", "10", few, answer));
        assert!(matches!(appended, Ok(Appended::New { base: 7, .. })), "{column}: {appended:?}");
        is_whole(&engine, &dir, "room:8");
    }
}

#[test]
fn foreign_head_read_first_costs_its_channel() {
    for column in ["head = 'many'", "head = -1", "epoch = x'00'", "bytes = 'heavy'"] {
        let dir = Dir::new();
        let engine = changed(&dir, &format!("UPDATE channels SET {column} WHERE name = 'room:7'"));
        let epoch = stat(&engine, "room:8").log.epoch;
        let refused = try_look(&engine, "room:7");
        assert!(matches!(refused, Err(EngineError::Unavailable(_))), "{column}: {refused:?}");
        assert_eq!(publish(&engine, "room:7", "1"), 1, "it begins anew");
        let log_state = stat(&engine, "room:7").log;
        assert_eq!(log_state.head, 1);
        assert_ne!(log_state.epoch, epoch, "as another log");
        is_whole(&engine, &dir, "room:8");
    }
}

#[test]
fn foreign_head_written_first_costs_its_channel() {
    for column in ["head = 'many'", "base = 99", "gone = x'01'", "relaxed = 'maybe'"] {
        let dir = Dir::new();
        let engine = changed(&dir, &format!("UPDATE channels SET {column} WHERE name = 'room:7'"));
        let epoch = stat(&engine, "room:8").log.epoch;
        match ask(&engine, |answer| append_job("room:7", "1", ALL, answer)) {
            Ok(Appended::New { epoch: begun, entry, .. }) => {
                assert_eq!(entry.offset(), 1, "{column}");
                assert_ne!(begun, epoch);
            }
            other => panic!("{column}: {other:?}"),
        }
        is_whole(&engine, &dir, "room:8");
        engine.close();
        let shop = rusqlite::Connection::open(dir.file()).expect("a shop's tools open it");
        let kept = "SELECT count(*) FROM publications p JOIN channels c ON c.id = p.channel
                    WHERE c.name LIKE 'room:7 (set aside %'";
        assert_eq!(shop.query_row(kept, [], |row| row.get(0)), Ok(9), "people still find what was in it");
    }
}

#[test]
fn foreign_notes_of_the_store_cost_no_channel() {
    for (key, value) in [("life", "'none'"), ("life", "0"), ("open", "x'01'"), ("epochs", "'e'")] {
        let dir = Dir::new();
        let sql = format!("INSERT OR REPLACE INTO meta (key, value) VALUES ('{key}', {value}) -- life");
        let engine = changed(&dir, &sql);
        assert_ne!(engine.incarnation(), 0);
        is_whole(&engine, &dir, "room:7");
        is_whole(&engine, &dir, "room:8");
    }
}

#[test]
fn foreign_channel_name_is_passed_over_by_housekeeping() {
    let dir = Dir::new();
    let engine = changed(&dir, "UPDATE channels SET name = x'0001' WHERE name = 'room:7'");
    engine.submit(common::tidy(NOW, ALL));
    is_whole(&engine, &dir, "room:8");
    assert_eq!(stat(&engine, "room:7").log.head, 0);
}

/// Waits until housekeeping has reached the store's health.
fn wait_until_takes_appends(engine: &DiskEngine, wanted: bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while engine.takes_appends() != wanted {
        assert!(Instant::now() < deadline, "housekeeping never saw it");
        engine.submit(common::tidy(NOW, ALL));
        std::thread::yield_now();
    }
}

#[test]
fn deleted_or_replaced_file_takes_no_appends_until_back() {
    for (file, replaced) in [("channels.db", false), ("channels.db", true), ("channels.db-wal", false)] {
        let dir = Dir::new();
        let (engine, _) = dir.open();
        assert_eq!(publish(&engine, "room:7", "1"), 1);
        let (here, away) = (dir.path().join(file), dir.path().join("elsewhere"));
        std::fs::rename(&here, &away).expect("moved");
        if replaced {
            std::fs::copy(&away, &here).expect("copied");
        }
        let refused = common::append(&engine, "room:7", "lost");
        assert!(matches!(refused, Err(EngineError::Unavailable(_))), "{file}: {refused:?}");
        assert!(!engine.takes_appends());
        std::fs::rename(&away, &here).expect("moved back");
        wait_until_takes_appends(&engine, true);
        assert_eq!(publish(&engine, "room:7", "2"), 2, "{file}");
        engine.close();
        let (engine, _) = dir.open();
        assert_eq!(data(&read(&engine, "room:7")), ["1", "2"], "{file}");
    }
}

#[test]
fn deleted_file_of_quiet_store_turns_health_red() {
    let dir = Dir::new();
    let (engine, _) = dir.open();
    publish(&engine, "room:7", "1");
    std::fs::remove_file(dir.file()).expect("deleted");
    wait_until_takes_appends(&engine, false);
}
