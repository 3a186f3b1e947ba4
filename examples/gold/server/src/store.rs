//! What outlives the process: rooms, their inputs, results. SQLite by sqlx.

use std::{path::Path, sync::Arc};

use serde::{Deserialize, Serialize};
use sqlx::{
    Row as _, Sqlite, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};
use tautline_gold_rules::{BadSettings, Entry, Event, GameResult, Room, Settings};
use tokio::sync::{Mutex, MutexGuard};

use crate::Limits;

/// Connections to the database. One writes at a time; the others read.
const CONNECTIONS_MAX: u32 = 4;

/// Rooms that one transaction deletes: moves wait for no more than that.
const DELETED_AT_ONCE: u32 = if cfg!(test) { 10 } else { 500 };
/// Lines of the leaderboard, which stay whatever else is deleted.
pub(crate) const LEADERS_MAX: u32 = 20;

/// Each once, in this order; `user_version` counts those that were done.
const MIGRATIONS: [&str; 2] = [
    "
    CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, secret BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS rooms (
        room TEXT PRIMARY KEY, settings TEXT NOT NULL, seed INTEGER NOT NULL, opened_at INTEGER NOT NULL,
        is_over INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX IF NOT EXISTS open_rooms ON rooms (room) WHERE is_over = 0;
    CREATE TABLE IF NOT EXISTS inputs (
        room TEXT NOT NULL, number INTEGER NOT NULL, entry TEXT NOT NULL, PRIMARY KEY (room, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS results (
        room TEXT NOT NULL, player TEXT NOT NULL, name TEXT NOT NULL, score INTEGER NOT NULL,
        has_won INTEGER NOT NULL, ended_at INTEGER NOT NULL, PRIMARY KEY (room, player)
    ) STRICT, WITHOUT ROWID;
",
    // Rooms are deleted some time after their end, and the leaderboard stays. Beside max(), SQLite takes the other columns from
    // the row that has it.
    "
    ALTER TABLE rooms ADD COLUMN ended_at INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX ended_rooms ON rooms (ended_at) WHERE is_over = 1;
    CREATE TABLE players (
        player TEXT PRIMARY KEY, name TEXT NOT NULL, won INTEGER NOT NULL, played INTEGER NOT NULL,
        gold INTEGER NOT NULL, last_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX best_players ON players (won DESC, gold DESC, player);
    CREATE INDEX last_players ON players (last_at);
    INSERT INTO players SELECT player, name, sum(has_won), count(*), sum(score), max(ended_at) FROM results GROUP BY player;
    DROP TABLE results;
",
];

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database.
    #[error("the database of the game failed")]
    Database(#[source] sqlx::Error),
    /// The room has an input of this number, or there is such a room.
    #[error("it is there already")]
    Taken,
    /// A row that this version does not read.
    #[error("the database of the game holds a row of another version")]
    Row(#[from] serde_json::Error),
    /// As the one before.
    #[error("the database of the game holds a room of another version")]
    Room(#[from] BadSettings),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let is_taken = error.as_database_error().is_some_and(|error| error.is_unique_violation());
        if is_taken { Self::Taken } else { Self::Database(error) }
    }
}

/// A room as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct StoredRoom {
    pub(crate) room: String,
    pub(crate) settings: Settings,
    pub(crate) seed: u64,
    pub(crate) opened_at: u64,
    pub(crate) log: Vec<Entry>,
}

impl StoredRoom {
    /// The room, and all of its events.
    pub(crate) fn replay(&self) -> Result<(Room, Vec<Event>), BadSettings> {
        Room::replay(self.settings, self.seed, self.opened_at, &self.log)
    }
}

/// A line of the leaderboard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// The player's id.
    pub player: String,
    /// The name of the player's last game.
    pub name: String,
    /// Games won; a draw counts for all who have drawn.
    pub won: i64,
    /// Games played.
    pub played: i64,
    /// Gold found in all of them.
    pub gold: i64,
}

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pool: SqlitePool,
    /// SQLite has one writer at a time. Those who wait do so here, in order and without a connection: others could not even
    /// read, and SQLite itself lets waiting writers try their luck.
    writer: Arc<Mutex<()>>,
}

/// A transaction that is alone in writing.
struct Write<'a> {
    transaction: Transaction<'static, Sqlite>,
    _turn: MutexGuard<'a, ()>,
}

impl Write<'_> {
    fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    async fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }
}

impl Store {
    pub(crate) async fn open(file: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX).connect_with(options).await?;
        let store = Self { pool, writer: Arc::default() };
        store.migrate().await?;
        Ok(store)
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let version: i64 = sqlx::query("PRAGMA user_version").fetch_one(&self.pool).await?.get(0);
        for (done, migration) in (0_i64..).zip(MIGRATIONS).filter(|(done, _)| *done >= version) {
            let mut write = self.write().await?;
            sqlx::raw_sql(migration).execute(write.connection()).await?;
            let mark = format!("PRAGMA user_version = {}", done + 1);
            sqlx::raw_sql(sqlx::AssertSqlSafe(mark)).execute(write.connection()).await?;
            write.commit().await?;
        }
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    async fn write(&self) -> Result<Write<'_>, StoreError> {
        let turn = self.writer.lock().await;
        Ok(Write { transaction: self.pool.begin().await?, _turn: turn })
    }

    /// The secret of this name: the one that is kept, else this one.
    pub(crate) async fn secret(&self, name: &str, new: [u8; 32]) -> Result<[u8; 32], StoreError> {
        sqlx::query("INSERT OR IGNORE INTO secrets VALUES (?, ?)")
            .bind(name)
            .bind(&new[..])
            .execute(&self.pool)
            .await?;
        let row =
            sqlx::query("SELECT secret FROM secrets WHERE name = ?").bind(name).fetch_one(&self.pool).await?;
        Ok(row.get::<Vec<u8>, _>(0).try_into().unwrap_or(new))
    }

    /// False where there is such a room already.
    pub(crate) async fn add_room(&self, room: &StoredRoom) -> Result<bool, StoreError> {
        let mut write = self.write().await?;
        let added =
            sqlx::query("INSERT OR IGNORE INTO rooms (room, settings, seed, opened_at) VALUES (?, ?, ?, ?)")
                .bind(&room.room)
                .bind(serde_json::to_string(&room.settings)?)
                .bind(room.seed.cast_signed())
                .bind(room.opened_at.cast_signed())
                .execute(write.connection())
                .await?;
        write.commit().await?;
        Ok(added.rows_affected() == 1)
    }

    /// Adds inputs of any rooms, all or none: room, number, entry.
    pub(crate) async fn add_inputs(&self, inputs: &[(&str, u32, &str)]) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        for (room, number, entry) in inputs {
            sqlx::query("INSERT INTO inputs VALUES (?, ?, ?)")
                .bind(room)
                .bind(number)
                .bind(entry)
                .execute(write.connection())
                .await?;
        }
        write.commit().await
    }

    /// The names of rooms that are not over.
    pub(crate) async fn open_rooms(&self) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("SELECT room FROM rooms WHERE is_over = 0").fetch_all(&self.pool).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    pub(crate) async fn room(&self, room: &str) -> Result<Option<StoredRoom>, StoreError> {
        let found = sqlx::query("SELECT settings, seed, opened_at FROM rooms WHERE room = ?")
            .bind(room)
            .fetch_optional(&self.pool)
            .await?;
        let Some(found) = found else { return Ok(None) };
        let entries = sqlx::query("SELECT entry FROM inputs WHERE room = ? ORDER BY number")
            .bind(room)
            .fetch_all(&self.pool)
            .await?;
        let log = entries.iter().map(|row| serde_json::from_str(row.get(0))).collect::<Result<_, _>>()?;
        Ok(Some(StoredRoom {
            room: room.to_owned(),
            settings: serde_json::from_str(found.get(0))?,
            seed: found.get::<i64, _>(1).cast_unsigned(),
            opened_at: found.get::<i64, _>(2).cast_unsigned(),
            log,
        }))
    }

    /// Marks a room as over and adds its results to the totals of its players; doing it again changes nothing.
    pub(crate) async fn end_room(
        &self,
        room: &str,
        results: &[GameResult],
        at: u64,
    ) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        let ended = sqlx::query("UPDATE rooms SET is_over = 1, ended_at = ? WHERE room = ? AND is_over = 0")
            .bind(at.cast_signed())
            .bind(room)
            .execute(write.connection())
            .await?;
        for result in results.iter().filter(|_| ended.rows_affected() == 1) {
            sqlx::query(
                "INSERT INTO players VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT (player) DO UPDATE SET
                 name = excluded.name, won = won + excluded.won, played = played + 1,
                 gold = gold + excluded.gold, last_at = max(last_at, excluded.last_at)",
            )
            .bind(&result.player)
            .bind(&result.name)
            .bind(result.has_won)
            .bind(result.score)
            .bind(at.cast_signed())
            .execute(write.connection())
            .await?;
        }
        write.commit().await
    }

    /// Deletes rooms that ended too long ago or are too many, with their inputs, and players beyond the limit. Gives the number
    /// of rooms.
    pub(crate) async fn sweep(&self, limits: &Limits, now: u64) -> Result<u64, StoreError> {
        let too_many: Option<i64> = self
            .nth("SELECT ended_at FROM rooms WHERE is_over = 1 ORDER BY ended_at DESC", limits.rooms_kept_max)
            .await?;
        let too_old = now.saturating_sub(limits.rooms_kept_ms).cast_signed();
        let ended_until = too_many.map_or(too_old, |too_many| too_many.max(too_old));
        let mut deleted = 0;
        loop {
            let rooms = self.delete_rooms(ended_until).await?;
            deleted += rooms;
            if rooms < u64::from(DELETED_AT_ONCE) {
                break;
            }
        }
        self.delete_players(limits.players_kept_max).await?;
        Ok(deleted)
    }

    async fn delete_rooms(&self, ended_until: i64) -> Result<u64, StoreError> {
        const ENDED: &str =
            "SELECT room FROM rooms WHERE is_over = 1 AND ended_at <= ? ORDER BY ended_at, room LIMIT ?";
        let mut write = self.write().await?;
        let mut rows = 0;
        for table in ["inputs", "rooms"] {
            let delete = format!("DELETE FROM {table} WHERE room IN ({ENDED})");
            let deleted = sqlx::query(sqlx::AssertSqlSafe(delete))
                .bind(ended_until)
                .bind(DELETED_AT_ONCE)
                .execute(write.connection())
                .await?;
            rows = deleted.rows_affected();
        }
        write.commit().await?;
        Ok(rows)
    }

    async fn delete_players(&self, kept_max: u32) -> Result<(), StoreError> {
        let last = self.nth("SELECT last_at FROM players ORDER BY last_at DESC", kept_max).await?;
        let Some(last) = last else { return Ok(()) };
        let mut write = self.write().await?;
        sqlx::query(
            "DELETE FROM players WHERE last_at <= ? AND player NOT IN
             (SELECT player FROM players ORDER BY won DESC, gold DESC, player LIMIT ?)",
        )
        .bind(last)
        .bind(LEADERS_MAX)
        .execute(write.connection())
        .await?;
        write.commit().await
    }

    /// The row after the first `count`, if there is one.
    async fn nth(&self, query: &'static str, count: u32) -> Result<Option<i64>, StoreError> {
        let query = format!("{query} LIMIT 1 OFFSET ?");
        let row = sqlx::query(sqlx::AssertSqlSafe(query)).bind(count).fetch_optional(&self.pool).await?;
        Ok(row.map(|row| row.get(0)))
    }

    /// The best players, best first.
    pub(crate) async fn leaders(&self) -> Result<Vec<Leader>, StoreError> {
        let rows = sqlx::query(
            "SELECT player, name, won, played, gold FROM players ORDER BY won DESC, gold DESC, player LIMIT ?",
        )
        .bind(LEADERS_MAX)
        .fetch_all(&self.pool)
        .await?;
        let leader = |row: &sqlx::sqlite::SqliteRow| Leader {
            player: row.get(0),
            name: row.get(1),
            won: row.get(2),
            played: row.get(3),
            gold: row.get(4),
        };
        Ok(rows.iter().map(leader).collect())
    }
}

#[cfg(test)]
pub(crate) mod tests;
