//! Redis fails under the engine: each publication takes effect once, or is refused.

use std::{sync::mpsc, time::Duration};

use tautline_engine::{
    Appended, Engine as _, EngineError, InUse, Job, Retention, RetentionOf, Revocation, Revoke, RevokedLogins,
};
use tautline_redis::{Acknowledge, RedisEngine, RedisOptions, Wake};

use super::{
    asking::{LATER, append, publish, publish_at, read, stat, submit, wait},
    server::Server,
};

fn open(server: &Server, job_wait: Duration) -> RedisEngine {
    let url = server.url().parse().expect("a valid URL");
    let options = RedisOptions { job_wait, reply_wait: Duration::from_millis(500), ..RedisOptions::new(url) };
    RedisEngine::open(options).expect("Redis is there")
}

fn numbers(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn killed_redis_with_synced_file_loses_and_doubles_nothing() {
    let Some(mut server) = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]) else { return };
    let engine = open(&server, Duration::from_secs(60));
    (1..=100_u64).for_each(|n| assert_eq!(publish(&engine, "room:7", &n.to_string()), n));
    // The kill comes while some are under way.
    let under_way: Vec<_> = (101..=400).map(|n: u32| append(&engine, "room:7", &n.to_string())).collect();
    server.kill_and_restart();
    under_way.iter().for_each(|outcome| drop(wait(outcome).expect("appended in the end")));
    assert_eq!(read(&engine, "room:7"), numbers(1..=400));
    assert!(engine.takes_appends());
}

#[test]
fn append_without_reply_takes_effect_once() {
    let Some(server) = Server::start(&[]) else { return };
    let engine = open(&server, Duration::from_secs(60));
    publish(&engine, "room:7", "1");
    // The server has the call in its buffer when the engine gives up the connection.
    server.pause();
    let late = append(&engine, "room:7", "2");
    assert!(late.recv_timeout(Duration::from_millis(1_500)).is_err(), "nobody answers");
    server.resume();
    wait(&late).expect("appended in the end");
    assert_eq!(publish(&engine, "room:7", "3"), 3);
    assert_eq!(read(&engine, "room:7"), numbers(1..=3));
}

#[test]
fn forgotten_scripts_are_sent_again() {
    let Some(server) = Server::start(&[]) else { return };
    let engine = open(&server, Duration::from_secs(60));
    for number in 1..=20 {
        server.operate("SCRIPT FLUSH");
        assert_eq!(publish(&engine, "room:7", "1"), number);
    }
}

#[test]
fn cut_connections_are_made_again() {
    let Some(server) = Server::start(&[]) else { return };
    let engine = open(&server, Duration::from_secs(60));
    for round in 0..20 {
        let under_way: Vec<_> =
            (1..=50).map(|n| append(&engine, "room:7", &(round * 50 + n).to_string())).collect();
        server.operate("CLIENT KILL TYPE normal SKIPME yes");
        under_way.iter().for_each(|outcome| drop(wait(outcome).expect("appended in the end")));
    }
    assert_eq!(read(&engine, "room:7"), numbers(1..=1_000));
    let figures = engine.figures();
    assert!(figures.redials > 0 && figures.round_trips.count() > 0, "{figures:?}");
}

#[test]
fn redis_without_memory_refuses_appends_and_reads_on() {
    let Some(server) = Server::start(&["--maxmemory-policy", "noeviction"]) else { return };
    let engine = open(&server, Duration::from_secs(60));
    publish(&engine, "room:7", "1");
    server.operate("CONFIG SET maxmemory 1");
    let refused = wait(&append(&engine, "room:7", "2"));
    assert!(matches!(refused, Err(EngineError::Full(_))), "{refused:?}");
    assert!(!engine.takes_appends());
    assert_eq!(read(&engine, "room:7"), ["1"]);
    server.operate("CONFIG SET maxmemory 0");
    assert_eq!(publish(&engine, "room:7", "3"), 2);
    assert!(engine.takes_appends());
}

#[test]
fn lost_data_begins_another_epoch() {
    let Some(server) = Server::start(&[]) else { return };
    let engine = open(&server, Duration::from_secs(60));
    publish(&engine, "room:7", "1");
    let epoch = |name| stat(&engine, name).expect("a stat").log.epoch;
    let before = epoch("room:7");
    server.operate("FLUSHALL");
    let unwritten = epoch("room:7");
    assert_ne!(unwritten, before);
    assert_eq!(publish(&engine, "room:7", "2"), 1);
    assert_eq!(epoch("room:7"), unwritten, "a cursor at 0 was valid for it");
    server.operate("FLUSHALL");
    assert_eq!(publish(&engine, "room:7", "3"), 1);
    assert!(![before, unwritten].contains(&epoch("room:7")));
}

#[test]
fn log_that_went_back_begins_another_epoch_for_every_reader() {
    let Some(mut server) = Server::start(&[]) else { return };
    let engine = open(&server, Duration::from_secs(60));
    let (give, looks) = mpsc::channel();
    engine.on_hint(move |channel, head| drop(give.send((channel.to_string(), head))));
    for room in ["seen", "unseen"] {
        (1..=3).for_each(|n: u64| assert_eq!(publish(&engine, room, &n.to_string()), n));
    }
    server.operate("SAVE");
    (4..=5).for_each(|n: u64| assert_eq!(publish(&engine, "seen", &n.to_string()), n));
    let log = |engine: &RedisEngine, room| stat(engine, room).expect("a stat").log;
    let (before, unseen) = (log(&engine, "seen"), log(&engine, "unseen"));
    // As a replica that has not got the last two becomes the primary.
    server.kill_and_restart();
    while looks.recv_timeout(Duration::from_secs(60)).expect("a look finds it")
        != ("seen".to_owned(), u64::MAX)
    {}
    let after = log(&engine, "seen");
    assert_eq!((before.head, after.head), (5, 3));
    assert_ne!(after.epoch, before.epoch);
    assert_eq!(engine.figures().healed, 1);
    assert_eq!(log(&engine, "unseen"), unseen, "nothing is missing there");
    let other_node = open(&server, Duration::from_secs(60));
    assert_eq!(log(&other_node, "seen").epoch, after.epoch);
    assert_eq!(publish(&other_node, "seen", "4"), 4);
    assert_eq!(read(&engine, "seen"), numbers(1..=4));
}

#[test]
fn append_behind_lost_publication_is_answered_in_another_epoch() {
    let Some(mut server) = Server::start(&[]) else { return };
    let engine = open(&server, Duration::from_secs(60));
    publish(&engine, "room:7", "1");
    server.operate("SAVE");
    publish(&engine, "room:7", "2");
    let before = stat(&engine, "room:7").expect("a stat").log;
    server.kill_and_restart();
    // Another node fills the place, at another time: only the fingerprint tells.
    let other = RedisOptions::new(server.url().parse().expect("a valid URL"));
    let other = RedisEngine::open(other).expect("Redis is there");
    assert_eq!(publish_at(&other, "room:7", "other 2", LATER), 2);
    match wait(&append(&engine, "room:7", "3")) {
        Ok(Appended::New { epoch, entry, .. }) => {
            assert_eq!(entry.offset(), 3);
            assert_ne!(epoch, before.epoch);
            assert_eq!(stat(&other, "room:7").expect("a stat").log.epoch, epoch);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn absent_redis_refuses_within_the_wait_of_a_job() {
    let Some(mut server) = Server::start(&[]) else { return };
    let engine = open(&server, Duration::from_millis(300));
    publish(&engine, "room:7", "1");
    server.kill();
    // The first one may find its connection cut; later ones find none.
    let _ = wait(&append(&engine, "room:7", "2"));
    let refused = wait(&append(&engine, "room:7", "3"));
    assert!(matches!(refused, Err(EngineError::Unavailable(_))), "{refused:?}");
    assert!(matches!(stat(&engine, "room:7"), Err(EngineError::Unavailable(_))));
    server.restart();
    assert_eq!(publish(&engine, "room:7", "4"), 1);
}

#[test]
fn refused_repetition_of_executed_append_is_in_doubt() {
    let Some(server) = Server::start(&[]) else { return };
    let url = server.url().parse().expect("a valid URL");
    let options = RedisOptions { acknowledge: Acknowledge::Replica, ..RedisOptions::new(url) };
    let engine = RedisEngine::open(options).expect("Redis is there");
    let outcome = append(&engine, "room:7", "1");
    while !server.operate("KEYS *:l:room:7").contains("room:7") {}
    // No replica acknowledges it, so the call is repeated, and is refused then.
    server.operate("CONFIG SET min-replicas-to-write 1");
    let outcome = wait(&outcome);
    assert!(matches!(outcome, Err(EngineError::InDoubt(_))), "{outcome:?}");
    assert_eq!(read(&engine, "room:7"), ["1"]);
}

#[test]
fn stat_that_finds_growth_tells_subscribers() {
    let Some(server) = Server::start(&[]) else { return };
    let engine = open(&server, Duration::from_secs(60));
    let (give, told) = mpsc::channel();
    engine.on_hint(move |channel, head| drop(give.send((channel.to_string(), head))));
    publish(&engine, "room:7", "1");
    stat(&engine, "room:7").expect("a stat");
    let url = server.url().parse().expect("a valid URL");
    let without_hints = RedisOptions { wake: Wake::Looks, ..RedisOptions::new(url) };
    let other_node = RedisEngine::open(without_hints).expect("Redis is there");
    assert_eq!(publish(&other_node, "room:7", "2"), 2);
    assert_eq!(stat(&engine, "room:7").expect("a stat").log.head, 2);
    while told.recv_timeout(Duration::from_secs(60)).expect("told") != ("room:7".to_owned(), 2) {}
}

#[test]
fn news_of_other_nodes_count_by_hint_and_look() {
    let Some(server) = Server::start(&[]) else { return };
    let engine = open(&server, Duration::from_secs(60));
    let (give, told) = mpsc::channel();
    engine.on_hint(move |channel, head| drop(give.send((channel.to_string(), head))));
    let wait_for = |head| {
        while told.recv_timeout(Duration::from_secs(60)).expect("told") != ("room:7".to_owned(), head) {}
    };
    publish(&engine, "room:7", "1");
    stat(&engine, "room:7").expect("a stat");
    let hinting = open(&server, Duration::from_secs(60));
    assert_eq!(publish(&hinting, "room:7", "2"), 2);
    wait_for(2);
    let url = server.url().parse().expect("a valid URL");
    let silent = RedisEngine::open(RedisOptions { wake: Wake::Looks, ..RedisOptions::new(url) });
    assert_eq!(publish(&silent.expect("Redis is there"), "room:7", "3"), 3);
    wait_for(3);
    let figures = engine.figures();
    assert!(figures.hints_taken > 0 && figures.looks > 0, "{figures:?}");
    assert!(figures.found_by_looks > 0, "no hint told of the third: {figures:?}");
}

fn tidy(engine: &RedisEngine, wall_ms: u64) {
    let retention = RetentionOf::all(Retention { count: 9, bytes: 9_999, age_ms: 1 });
    engine.submit(Job::Tidy { wall_ms, retention, in_use: InUse::nothing() });
}

fn revoke(engine: &RedisEngine) -> super::asking::Outcome<()> {
    let revocation = Revocation { subject: RevokedLogins::Session(1), until: Revocation::FOREVER };
    submit(engine, |answer| Job::Revoke(Revoke { revocation, answer }))
}

#[test]
fn healed_log_that_was_forgotten_begins_in_third_epoch() {
    let Some(mut server) = Server::start(&[]) else { return };
    let url = server.url().parse().expect("a valid URL");
    let engine = RedisEngine::open(RedisOptions { remember_ms: 0, ..RedisOptions::new(url) });
    let engine = engine.expect("Redis is there");
    publish(&engine, "room:7", "1");
    server.operate("SAVE");
    publish(&engine, "room:7", "2");
    let log = || stat(&engine, "room:7").expect("a stat").log;
    let first = log().epoch;
    server.kill_and_restart();
    let healed = log().epoch;
    assert_ne!(healed, first);
    while log().head > 0 {
        tidy(&engine, LATER + 1_000_000);
        wait(&revoke(&engine)).expect("done behind the tidying");
    }
    publish_at(&engine, "room:7", "3", LATER + 1_000_001);
    assert!(![first, healed].contains(&log().epoch), "cursors of both are of other publications");
}

#[test]
fn tidying_that_waits_is_queued_once() {
    let Some(server) = Server::start(&[]) else { return };
    let engine = open(&server, Duration::from_secs(60));
    server.pause();
    (0..10_000).for_each(|_| tidy(&engine, LATER));
    let saved = revoke(&engine);
    server.resume();
    wait(&saved).expect("there is room in the queue");
}

#[test]
fn more_revocations_than_one_page_are_all_read() {
    let Some(server) = Server::start(&[]) else { return };
    let engine = open(&server, Duration::from_secs(60));
    wait(&revoke(&engine)).expect("saved");
    let keys = server.operate("KEYS *:revoked");
    let key = keys.lines().find(|line| line.ends_with(":revoked")).expect("the key of revocations");
    let add =
        "for i = 2, 25000 do redis.call('ZADD', KEYS[1], 9000 + i, 't' .. string.format('%032x', i)) end";
    server.operate(&format!("EVAL \"{add}\" 1 {key}"));
    let revocations = open(&server, Duration::from_secs(60)).revocations();
    assert_eq!(revocations.len(), 25_000);
    assert!(revocations.is_sorted_by_key(|revocation| revocation.until));
}
