//! SQLite, PostgreSQL and MySQL or MariaDB behind one interface, chosen by the URL.
//!
//! The pool outlives its database: a connection is pinged with a short deadline before it is used, none gets old, and no wait
//! is longer than the request's own deadline.

use std::time::Duration;

use anyhow::Context as _;
use sqlx::{
    Any, AnyPool, AssertSqlSafe, Connection as _,
    any::{AnyPoolOptions, AnyRow, install_default_drivers},
    pool::PoolConnection,
};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::warn;

use crate::failure::Failure;

/// Connections at once.
const CONNECTIONS_MAX: u32 = 8;
/// A firewall in between forgets connections, and a database that was moved is found by new ones only.
const LIFETIME: Duration = Duration::from_secs(300);
/// How long a connection may take to say that it is alive, and a request may wait for one.
const PING_TIMEOUT: Duration = Duration::from_millis(300);
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How often migrations are tried while the database starts.
const MIGRATION_TRIES: u32 = 20;
const MIGRATION_WAIT: Duration = Duration::from_millis(500);
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(10);
/// Keys are compared with case, as the others do.
const MYSQL_TABLE_OPTIONS: &str = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

/// What both back ends keep, by the names of the files.
const MIGRATIONS: [(&str, &str); 1] = [("1_shop.sql", include_str!("../../migrations/1_shop.sql"))];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
    Mysql,
}

/// The database.
#[derive(Debug)]
pub(crate) struct Database {
    pool: AnyPool,
    kind: Kind,
}

/// A value in a query.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl Database {
    /// `sqlite:shop.db`, `postgres://…` or `mysql://…`; its tables are made.
    pub(crate) async fn open(url: &str) -> anyhow::Result<Self> {
        install_default_drivers();
        let (kind, url) = match url.split_once(':').map_or("", |(scheme, _)| scheme) {
            "sqlite" => (Kind::Sqlite, format!("{url}?mode=rwc")),
            "postgres" | "postgresql" => (Kind::Postgres, url.to_owned()),
            "mysql" | "mariadb" => (Kind::Mysql, url.to_owned()),
            other => anyhow::bail!("`{other}` is no database: sqlite, postgres or mysql"),
        };
        let pool = AnyPoolOptions::new()
            // SQLite has one writer, and everything here writes.
            .max_connections(if kind == Kind::Sqlite { 1 } else { CONNECTIONS_MAX })
            .max_lifetime(LIFETIME)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .before_acquire(|connection, _| {
                Box::pin(async move {
                    // An error closes the connection, and the next one is tried.
                    timeout(PING_TIMEOUT, connection.ping())
                        .await
                        .map_err(|_| sqlx::Error::PoolTimedOut)??;
                    Ok(true)
                })
            })
            .connect_lazy(&url)
            .context("the URL of the database")?;
        let database = Self { pool, kind };
        database.migrate_patiently().await?;
        Ok(database)
    }

    /// Begins a transaction, each statement of which has to be done by `deadline`.
    pub(crate) async fn begin(&self, deadline: Instant) -> Result<Transaction, Failure> {
        let connection = timeout_at(deadline, self.pool.acquire())
            .await
            .map_err(|_| Failure::Unavailable("no connection to the database in time".to_owned()))??;
        let mut transaction = Transaction { connection: Some(connection), kind: self.kind, deadline };
        transaction.raw(if self.kind == Kind::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" }).await?;
        Ok(transaction)
    }

    async fn migrate_patiently(&self) -> anyhow::Result<()> {
        for _ in 1..MIGRATION_TRIES {
            match self.migrate().await {
                Ok(()) => return Ok(()),
                Err(error) => warn!("database is not ready, trying again: {error}"),
            }
            sleep(MIGRATION_WAIT).await;
        }
        self.migrate().await.context("making the tables")
    }

    /// Runs the migrations that this database has not seen.
    async fn migrate(&self) -> Result<(), Failure> {
        let mut transaction = self.begin(Instant::now() + MIGRATION_TIMEOUT).await?;
        let options = if self.kind == Kind::Mysql { MYSQL_TABLE_OPTIONS } else { "" };
        let table = "CREATE TABLE IF NOT EXISTS migrations (name VARCHAR(64) NOT NULL PRIMARY KEY)";
        transaction.raw(&format!("{table}{options}")).await?;
        for (name, text) in MIGRATIONS {
            let seen = transaction.rows("SELECT name FROM migrations WHERE name = ?", &[name.into()]).await?;
            if !seen.is_empty() {
                continue;
            }
            let text: String = text.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
            for statement in text.split(';').filter(|statement| !statement.trim().is_empty()) {
                let is_table = statement.trim_start().starts_with("CREATE TABLE");
                transaction.raw(&format!("{statement}{}", if is_table { options } else { "" })).await?;
            }
            transaction.run("INSERT INTO migrations (name) VALUES (?)", &[name.into()]).await?;
        }
        transaction.commit().await
    }
}

/// A transaction. One that is dropped closes its connection, and so is taken back.
#[derive(Debug)]
pub(crate) struct Transaction {
    connection: Option<PoolConnection<Any>>,
    kind: Kind,
    deadline: Instant,
}

impl Transaction {
    /// Runs a statement; how many rows it has changed.
    pub(crate) async fn run(&mut self, sql: &str, values: &[Value]) -> Result<u64, Failure> {
        let (deadline, query) = (self.deadline, self.query(sql, values));
        let done = timeout_at(deadline, query.execute(self.connection()?)).await.map_err(late)??;
        Ok(done.rows_affected())
    }

    /// The rows of a query.
    pub(crate) async fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<AnyRow>, Failure> {
        let (deadline, query) = (self.deadline, self.query(sql, values));
        Ok(timeout_at(deadline, query.fetch_all(self.connection()?)).await.map_err(late)??)
    }

    /// Commits, and gives the connection back.
    pub(crate) async fn commit(mut self) -> Result<(), Failure> {
        self.raw("COMMIT").await?;
        drop(self.connection.take());
        Ok(())
    }

    /// Takes back what was done, and gives the connection back if it is good for the next one.
    pub(crate) async fn end(mut self, failure: Failure) -> Failure {
        if !matches!(failure, Failure::Unavailable(_)) && self.raw("ROLLBACK").await.is_ok() {
            drop(self.connection.take());
        }
        failure
    }

    async fn raw(&mut self, sql: &str) -> Result<(), Failure> {
        let deadline = self.deadline;
        let statement = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        timeout_at(deadline, statement.execute(self.connection()?)).await.map_err(late)??;
        Ok(())
    }

    fn query(
        &self,
        sql: &str,
        values: &[Value],
    ) -> sqlx::query::Query<'static, Any, sqlx::any::AnyArguments> {
        let text = if self.kind == Kind::Postgres { numbered(sql) } else { sql.to_owned() };
        values.iter().fold(sqlx::query(AssertSqlSafe(text)), |query, value| match value {
            Value::Text(text) => query.bind(text.clone()),
            Value::Number(number) => query.bind(*number),
        })
    }

    fn connection(&mut self) -> Result<&mut sqlx::AnyConnection, Failure> {
        match &mut self.connection {
            Some(connection) => Ok(&mut *connection),
            None => Err(Failure::Fault("the transaction is over".to_owned())),
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // Its state is not known: it is closed, and not waited for.
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

fn late(_: tokio::time::error::Elapsed) -> Failure {
    Failure::Unavailable("the database did not answer in time".to_owned())
}

/// PostgreSQL numbers the places of values.
fn numbered(sql: &str) -> String {
    let mut number = 0;
    let mut text = String::new();
    for character in sql.chars() {
        if character == '?' {
            number += 1;
            text.push_str(&format!("${number}"));
        } else {
            text.push(character);
        }
    }
    text
}
