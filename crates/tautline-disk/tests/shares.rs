//! One client does not begin all logs of a store, nor keep all its positions.

mod common;

use common::{ALL, Dir, NOW, append, append_job_of, ask, channel, publish, shop};
use tautline_disk::{DiskEngine, DiskOptions};
use tautline_engine::{
    Answer, Engine as _, EngineError, Job, Position, PositionUpdate, Retention, SavePositions, budget::Holder,
};
use tautline_protocol::UserId;

/// As many new logs as this client may begin, and why it may begin no more.
fn begin_logs(engine: &DiskEngine, client: u32, prefix: &str) -> (usize, EngineError) {
    for count in 0.. {
        let name = format!("{prefix}:{count}");
        let holder = Holder::of_hash(client.wrapping_mul(0x9E37_79B1));
        match ask(engine, |answer| append_job_of(holder, &name, "1", ALL, answer)) {
            Ok(_) => {}
            Err(error) => return (count, error),
        }
    }
    unreachable!("there is a ceiling")
}

fn tidy(engine: &DiskEngine) {
    let retention = Retention { age_ms: 1_000, ..ALL };
    // The first empties the logs, the second forgets them.
    for _ in 0..2 {
        engine.submit(common::tidy(NOW + 5_001, retention));
        append(engine, "kept", "1").ok();
    }
}

#[test]
fn greedy_client_begins_half_and_others_the_rest() {
    let dir = Dir::new();
    let options = || DiskOptions { channels_max: 40, remember_ms: 5_000, ..dir.options() };
    let (engine, _) = DiskEngine::open(options()).expect("the store opens");
    let (begun, why) = begin_logs(&engine, 1, "greedy");
    assert!(
        begun == 18 && matches!(why, EngineError::Limit(_)),
        "{begun} of 35 that are not reserved, {why:?}"
    );
    assert_eq!(begin_logs(&engine, 2, "modest").0, 9, "half of the rest");
    (0..5).for_each(|n| assert_eq!(publish(&engine, &format!("api:{n}"), "1"), 1));

    engine.close();
    let (engine, _) = DiskEngine::open(options()).expect("the store opens again");
    let (begun, why) = begin_logs(&engine, 3, "late");
    assert!(begun == 2 && matches!(why, EngineError::Limit(_)), "what was there counts: {begun}, {why:?}");

    tidy(&engine);
    let (begun, _) = begin_logs(&engine, 1, "again");
    assert_eq!(begun, 18, "what was forgotten is nobody's any more");
}

#[test]
fn doubtful_commit_leaves_the_share_as_it_was() {
    let dir = Dir::new();
    let options = DiskOptions { channels_max: 40, ..dir.options() };
    options.doubtful_commits.store(1, std::sync::atomic::Ordering::Relaxed);
    let (engine, _) = DiskEngine::open(options).expect("the store opens");
    let (begun, why) = begin_logs(&engine, 1, "first");
    assert!(begun == 0 && matches!(why, EngineError::InDoubt(_)), "{begun}, {why:?}");
    let (begun, _) = begin_logs(&engine, 1, "second");
    assert!((17..=18).contains(&begun), "{begun}");
}

#[test]
fn greedy_user_keeps_half_of_the_positions() {
    let dir = Dir::new();
    let options = DiskOptions { positions_max: 40, remember_ms: 5_000, ..dir.options() };
    let (engine, _) = DiskEngine::open(options).expect("the store opens");
    let keep = |user: &str, count: usize| {
        let mark = |n: usize| PositionUpdate {
            channel: channel(&format!("c:{n}")),
            user: Some(UserId::parse(user).expect("valid")),
            position: Position { epoch: "e".into(), offset: 1 },
        };
        let marks = (0..count).map(mark).collect();
        engine.submit(Job::SavePositions(SavePositions { updates: marks, answer: Answer::new(drop) }));
        append(&engine, "kept", "1").expect("the disk takes it");
        let sql = "SELECT count(*) FROM positions WHERE reader = ?1";
        shop(&dir).query_row(sql, [user], |row| row.get::<_, u32>(0)).expect("a count")
    };
    (0..40).for_each(|n| assert_eq!(publish(&engine, &format!("c:{n}"), "1"), 1));
    assert_eq!(keep("greedy", 40), 18);
    for n in 0..10 {
        assert_eq!(keep(&format!("u{n}"), 1), 1);
    }
    tidy(&engine);
    (0..40).for_each(|n| assert_eq!(publish(&engine, &format!("c:{n}"), "1"), 1));
    assert_eq!(keep("other", 40), 18, "what was forgotten is nobody's any more");
}
