//! Stories by hand: what is kept, and what gives way.

use serde_json::json;

use super::*;

fn at(ms: u64) -> Now {
    Now { mono_ms: ms, wall_ms: 1_000_000 + ms }
}

fn user(name: &str) -> Who {
    Who::User(UserId::parse(name).expect("a name"))
}

fn add(log: &StoryLog, ms: u64, name: &str, kind: StoryKind) {
    log.add(at(ms), user(name), Some(SessionId(7)), kind, json!({"n": ms}).to_string().into());
}

fn times(log: &StoryLog, name: &str) -> Vec<u64> {
    let who = user(name);
    let shard = log.shard(&who);
    let entries = shard.stories.get(&who).into_iter().flat_map(|story| &story.entries);
    entries.map(|entry| entry.at - 1_000_000).collect()
}

fn bytes(log: &StoryLog) -> usize {
    log.shards.iter().map(|shard| lock(shard).bytes).sum()
}

fn log(bytes_max: usize, entries_max: usize) -> StoryLog {
    StoryLog::new(StoryConfig { keep_ms: 1_000, bytes_max, entries_max }, 0)
}

#[test]
fn story_beyond_its_entries_loses_the_oldest() {
    let log = log(1 << 20, 3);
    (0..5).for_each(|ms| add(&log, ms, "ann", StoryKind::Away));
    assert_eq!(times(&log, "ann"), [2, 3, 4]);
}

#[test]
fn entries_age_and_idle_stories_go() {
    let log = log(1 << 20, 10);
    add(&log, 0, "ann", StoryKind::Away);
    add(&log, 900, "bob", StoryKind::Away);
    add(&log, 1_001, "ann", StoryKind::Away);
    assert_eq!(times(&log, "ann"), [1_001], "the first is too old");
    (0..SHARDS).for_each(|_| log.tidy_some(1_000_000 + 1_901));
    assert!(times(&log, "bob").is_empty() && times(&log, "ann") == [1_001]);
    (0..SHARDS).for_each(|_| log.tidy_some(1_000_000 + 2_002));
    assert_eq!(bytes(&log), 0);
    assert!(log.shards.iter().all(|shard| lock(shard).by_use.is_empty()));
}

#[test]
fn bytes_of_all_stories_are_bounded_and_the_idlest_goes() {
    let bytes_max = 16 * 32 * 1024;
    let log = log(bytes_max, 100);
    for n in 0..4_000 {
        add(&log, n / 10, &format!("user{n}"), StoryKind::Opened);
        add(&log, n / 10, "busy", StoryKind::Resumed);
        assert!(bytes(&log) <= bytes_max, "{n}");
    }
    assert_eq!(times(&log, "busy").len(), 100, "it was told all the time");
    assert!(times(&log, "user0").is_empty() && !times(&log, "user3999").is_empty());
}

#[test]
fn one_story_cannot_exceed_the_bytes() {
    let log = log(16 * 4_096, usize::MAX);
    for n in 0..500 {
        log.add(at(n), user("ann"), None, StoryKind::Away, "x".repeat(100).into());
    }
    assert!(bytes(&log) <= 4_096 && times(&log, "ann").len() > 10);
}

#[test]
fn frequent_entries_are_sampled_and_counted() {
    let log = log(1 << 20, 1_000);
    (0..80).for_each(|_| add(&log, 0, "ann", StoryKind::Call));
    add(&log, 0, "ann", StoryKind::Away);
    assert_eq!(times(&log, "ann").len(), 51, "50 calls, and what is rare");
    let who = user("ann");
    assert_eq!(log.shard(&who).stories[&who].entries[50].skipped, 30);
    add(&log, 200, "ann", StoryKind::Call);
    assert_eq!(times(&log, "ann").len(), 52, "five more a second");
}
