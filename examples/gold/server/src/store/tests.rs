//! The store: what ends, what is kept, what is deleted, and a database of before.

use std::path::PathBuf;

use tautline_gold_rules::Input;

use super::*;

/// A store in a folder of its own, which goes with it.
pub(crate) struct TestStore {
    pub(crate) store: Store,
    folder: PathBuf,
}

impl TestStore {
    pub(crate) async fn open(test: &str) -> Self {
        let folder = folder(test);
        let store = Store::open(&folder.join("gold.db")).await.unwrap();
        Self { store, folder }
    }

    async fn count(&self, table: &'static str) -> i64 {
        let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query(query).fetch_one(&self.store.pool).await.unwrap().get(0)
    }
}

impl Drop for TestStore {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn folder(test: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("gold-store-{test}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn room(name: &str) -> StoredRoom {
    StoredRoom { room: name.into(), settings: Settings::default(), seed: 1, opened_at: 1, log: Vec::new() }
}

fn result(player: &str, score: u32, has_won: bool) -> GameResult {
    GameResult { player: player.into(), name: player.to_uppercase(), score, has_won }
}

/// A game that `player` has won at this time, with one input.
async fn play(store: &Store, name: &str, player: &str, at: u64) {
    assert!(store.add_room(&room(name)).await.unwrap());
    let entry = serde_json::to_string(&Entry { at, input: Input::Tick }).unwrap();
    store.add_inputs(&[(name, 0, &entry)]).await.unwrap();
    store.end_room(name, &[result(player, 3, true)], at).await.unwrap();
}

#[tokio::test]
async fn room_that_ends_twice_counts_once() {
    let test = TestStore::open("twice").await;
    test.store.add_room(&room("a")).await.unwrap();
    let results = [result("ann", 12, true), result("bo", 8, false)];
    for at in [5, 6] {
        test.store.end_room("a", &results, at).await.unwrap();
    }
    let leaders = test.store.leaders().await.unwrap();
    let figures: Vec<_> = leaders.iter().map(|it| (&*it.player, it.won, it.played, it.gold)).collect();
    assert_eq!(figures, [("ann", 1, 1, 12), ("bo", 0, 1, 8)]);
}

#[tokio::test]
async fn old_rooms_go_and_the_leaderboard_stays() {
    let test = TestStore::open("old").await;
    for (name, at) in [("a", 100), ("b", 200), ("c", 300)] {
        play(&test.store, name, "ann", at).await;
    }
    test.store.add_room(&room("open")).await.unwrap();
    let limits = Limits { rooms_kept_ms: 1_000, ..Limits::default() };
    assert_eq!(test.store.sweep(&limits, 1_199).await.unwrap(), 1);
    assert_eq!(test.store.sweep(&limits, 1_199).await.unwrap(), 0);
    assert!(test.store.room("a").await.unwrap().is_none());
    assert_eq!((test.count("rooms").await, test.count("inputs").await), (3, 2));
    assert_eq!(test.store.sweep(&limits, 9_000).await.unwrap(), 2);
    assert_eq!(test.store.open_rooms().await.unwrap(), ["open"]);
    let leaders = test.store.leaders().await.unwrap();
    assert_eq!((leaders[0].won, leaders[0].gold), (3, 9));
}

#[tokio::test]
async fn rooms_beyond_the_number_go_oldest_first() {
    let test = TestStore::open("many").await;
    for at in 0..u64::from(DELETED_AT_ONCE) + 30 {
        play(&test.store, &format!("room{at}"), "ann", 1_000 + at).await;
    }
    let limits = Limits { rooms_kept_max: 20, ..Limits::default() };
    assert_eq!(test.store.sweep(&limits, 2_000).await.unwrap(), u64::from(DELETED_AT_ONCE) + 10);
    assert!(test.store.room("room19").await.unwrap().is_none());
    assert!(test.store.room("room20").await.unwrap().is_some());
    assert_eq!((test.count("rooms").await, test.count("inputs").await), (20, 20));
}

#[tokio::test]
async fn best_players_stay_whenever_they_played() {
    let test = TestStore::open("players").await;
    for at in 0..30 {
        play(&test.store, &format!("room{at}"), &format!("p{at:02}"), at).await;
    }
    play(&test.store, "again", "p00", 0).await;
    let limits = Limits { players_kept_max: 5, ..Limits::default() };
    test.store.sweep(&limits, 0).await.unwrap();
    // Five who played last, and twenty lines of the leaderboard.
    assert_eq!(test.count("players").await, 25);
    assert_eq!(test.store.leaders().await.unwrap()[0].player, "p00");
}

#[tokio::test]
async fn many_writers_hold_up_no_reader() {
    const WRITERS: usize = 40;
    let test = TestStore::open("writers").await;
    play(&test.store, "old", "ann", 1).await;
    let held = test.store.write().await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..WRITERS {
        let store = test.store.clone();
        writers.spawn(async move { store.add_room(&room(&format!("room{number}"))).await.unwrap() });
    }
    tokio::task::yield_now().await;
    // More writers wait than there are connections, and those are free.
    assert_eq!(test.store.leaders().await.unwrap().len(), 1);
    held.commit().await.unwrap();
    while let Some(added) = writers.join_next().await {
        assert!(added.unwrap());
    }
    assert_eq!(test.store.open_rooms().await.unwrap().len(), WRITERS);
}

#[tokio::test]
async fn database_of_before_is_taken_over() {
    let folder = folder("before");
    let file = folder.join("gold.db");
    {
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let pool = SqlitePool::connect_with(options).await.unwrap();
        sqlx::raw_sql(MIGRATIONS[0]).execute(&pool).await.unwrap();
        let rows = "INSERT INTO rooms VALUES ('a', '{}', 1, 1, 1), ('b', '{}', 1, 1, 0);
             INSERT INTO results VALUES ('a', 'ann', 'Ann', 12, 1, 5), ('a', 'bo', 'Bo', 8, 0, 5),
             ('z', 'ann', 'Anna', 2, 0, 7);";
        sqlx::raw_sql(rows).execute(&pool).await.unwrap();
        pool.close().await;
    }
    for _ in 0..2 {
        let store = Store::open(&file).await.unwrap();
        let leaders = store.leaders().await.unwrap();
        let ann = Leader { player: "ann".into(), name: "Anna".into(), won: 1, played: 2, gold: 14 };
        assert_eq!((leaders.len(), &leaders[0]), (2, &ann));
        assert_eq!(store.open_rooms().await.unwrap(), ["b"]);
        store.close().await;
    }
    std::fs::remove_dir_all(folder).unwrap();
}
