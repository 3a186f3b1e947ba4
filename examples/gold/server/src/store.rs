//! What outlives the process: rooms, their inputs, results. SQLite by sqlx.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sqlx::{
    Row as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};
use tautline_gold_rules::{Entry, Settings, View};

/// Connections to the database. One writes at a time; the others read.
const CONNECTIONS_MAX: u32 = 4;

const SCHEMA: &str = "
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
    CREATE INDEX IF NOT EXISTS results_of_players ON results (player);
";

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database.
    #[error("the database of the game failed")]
    Database(#[from] sqlx::Error),
    /// A row that this version does not read.
    #[error("the database of the game holds a row of another version")]
    Row(#[from] serde_json::Error),
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
pub(crate) struct Store(SqlitePool);

impl Store {
    pub(crate) async fn open(file: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX).connect_with(options).await?;
        sqlx::raw_sql(SCHEMA).execute(&pool).await?;
        Ok(Self(pool))
    }

    pub(crate) async fn close(&self) {
        self.0.close().await;
    }

    /// The secret of this name: the one that is kept, else this one.
    pub(crate) async fn secret(&self, name: &str, new: [u8; 32]) -> Result<[u8; 32], StoreError> {
        sqlx::query("INSERT OR IGNORE INTO secrets VALUES (?, ?)")
            .bind(name)
            .bind(&new[..])
            .execute(&self.0)
            .await?;
        let row =
            sqlx::query("SELECT secret FROM secrets WHERE name = ?").bind(name).fetch_one(&self.0).await?;
        Ok(row.get::<Vec<u8>, _>(0).try_into().unwrap_or(new))
    }

    /// False where there is such a room already.
    pub(crate) async fn add_room(&self, room: &StoredRoom) -> Result<bool, StoreError> {
        let added =
            sqlx::query("INSERT OR IGNORE INTO rooms (room, settings, seed, opened_at) VALUES (?, ?, ?, ?)")
                .bind(&room.room)
                .bind(serde_json::to_string(&room.settings)?)
                .bind(room.seed.cast_signed())
                .bind(room.opened_at.cast_signed())
                .execute(&self.0)
                .await?;
        Ok(added.rows_affected() == 1)
    }

    /// Adds inputs of any rooms, all or none: room, number, entry.
    pub(crate) async fn add_inputs(&self, inputs: &[(&str, u32, &str)]) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        for (room, number, entry) in inputs {
            sqlx::query("INSERT INTO inputs VALUES (?, ?, ?)")
                .bind(room)
                .bind(number)
                .bind(entry)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// The names of rooms that are not over.
    pub(crate) async fn open_rooms(&self) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("SELECT room FROM rooms WHERE is_over = 0").fetch_all(&self.0).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    pub(crate) async fn room(&self, room: &str) -> Result<Option<StoredRoom>, StoreError> {
        let found = sqlx::query("SELECT settings, seed, opened_at FROM rooms WHERE room = ?")
            .bind(room)
            .fetch_optional(&self.0)
            .await?;
        let Some(found) = found else { return Ok(None) };
        let entries = sqlx::query("SELECT entry FROM inputs WHERE room = ? ORDER BY number")
            .bind(room)
            .fetch_all(&self.0)
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

    /// Marks a room as over and keeps its results; doing it again changes nothing.
    pub(crate) async fn end_room(&self, room: &str, view: &View, at: u64) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        sqlx::query("UPDATE rooms SET is_over = 1 WHERE room = ?")
            .bind(room)
            .execute(&mut *transaction)
            .await?;
        let best = view.seats.iter().map(|seat| seat.score).max().unwrap_or(0);
        // A game in which nobody found anything has no winner, and is no game.
        for seat in view.seats.iter().filter(|_| best > 0) {
            sqlx::query("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?)")
                .bind(room)
                .bind(&seat.player)
                .bind(&seat.name)
                .bind(seat.score)
                .bind(seat.score == best && !seat.has_left)
                .bind(at.cast_signed())
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// The best players, best first.
    pub(crate) async fn leaders(&self, count_max: u32) -> Result<Vec<Leader>, StoreError> {
        // Beside max(), SQLite takes the other columns from the row that has it.
        let rows = sqlx::query(
            "SELECT player, name, sum(has_won), count(*), sum(score), max(ended_at) FROM results
             GROUP BY player ORDER BY 3 DESC, 5 DESC, player LIMIT ?",
        )
        .bind(count_max)
        .fetch_all(&self.0)
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
