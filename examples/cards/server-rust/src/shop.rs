//! The shop: cards, orders and messages of a member. It knows no HTTP.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value as Json, json};
use sqlx::Row as _;
use tokio::{sync::Notify, time::Instant};

use crate::{
    changes::{Change, TEXT_CHARS_MAX, storable},
    clock::wall_ms,
    database::{Database, Transaction},
    failure::Failure,
};

/// How often a transaction that met another one is tried again.
const TRIES: u32 = 3;
/// How long a repeated request is known.
const REQUESTS_KEPT: Duration = Duration::from_secs(7 * 86_400);
const KEY_CHARS_MAX: usize = 128;
const LIST_MAX: i64 = 200;

/// A list of a member: its query, and the columns that are numbers.
struct List {
    sql: &'static str,
    texts: &'static [&'static str],
    numbers: &'static [&'static str],
}

const CARDS: List = List {
    sql: "SELECT number, bound_at FROM cards WHERE member = ? ORDER BY bound_at, number LIMIT ?",
    texts: &["number"],
    numbers: &["bound_at"],
};
const ORDERS: List = List {
    sql: "SELECT id, card, item, step, changed_at FROM orders WHERE member = ? ORDER BY changed_at DESC, id LIMIT ?",
    texts: &["id", "card", "item"],
    numbers: &["step", "changed_at"],
};
const MESSAGES: List = List {
    sql: "SELECT id, kind, about, sent_at FROM messages WHERE member = ? ORDER BY sent_at DESC, id LIMIT ?",
    texts: &["id", "kind", "about"],
    numbers: &["sent_at"],
};

/// The shop.
#[derive(Debug)]
pub(crate) struct Shop {
    database: Arc<Database>,
    /// Told when there is something to publish.
    outbox: Arc<Notify>,
}

impl Shop {
    pub(crate) fn new(database: Arc<Database>, outbox: Arc<Notify>) -> Self {
        Self { database, outbox }
    }

    /// Runs a method for a member. `id` names the request where the app has given it no key of its own.
    pub(crate) async fn call(
        &self,
        member: &str,
        method: &str,
        data: &Json,
        id: &str,
        deadline: Instant,
    ) -> Result<Json, Failure> {
        storable(member, TEXT_CHARS_MAX)?;
        match method {
            "card.list" => self.list(&CARDS, member, deadline).await,
            "order.list" => self.list(&ORDERS, member, deadline).await,
            "message.list" => self.list(&MESSAGES, member, deadline).await,
            _ => {
                let change = Change::parse(method, data)?;
                let key = data["key"].as_str().unwrap_or(id);
                storable(key, KEY_CHARS_MAX)?;
                self.change(member, key, &change, deadline).await
            }
        }
    }

    async fn list(&self, list: &List, member: &str, deadline: Instant) -> Result<Json, Failure> {
        let mut transaction = self.database.begin(deadline).await?;
        let rows = transaction.rows(list.sql, &[member.into(), LIST_MAX.into()]).await?;
        transaction.commit().await?;
        let mut listed = Vec::with_capacity(rows.len());
        for row in rows {
            let mut members = Map::new();
            for name in list.texts {
                members.insert((*name).to_owned(), row.try_get::<String, _>(*name)?.into());
            }
            for name in list.numbers {
                members.insert((*name).to_owned(), row.try_get::<i64, _>(*name)?.into());
            }
            listed.push(Json::Object(members));
        }
        Ok(Json::Array(listed))
    }

    async fn change(
        &self,
        member: &str,
        key: &str,
        change: &Change,
        deadline: Instant,
    ) -> Result<Json, Failure> {
        let mut tried = 1;
        loop {
            match self.try_change(member, key, change, deadline).await {
                Err(Failure::Conflict) if tried < TRIES => tried += 1,
                Err(Failure::Conflict) => {
                    return Err(Failure::Unavailable(
                        "other transactions are first again and again".to_owned(),
                    ));
                }
                Ok(answer) => {
                    self.outbox.notify_one();
                    return Ok(answer);
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn try_change(
        &self,
        member: &str,
        key: &str,
        change: &Change,
        deadline: Instant,
    ) -> Result<Json, Failure> {
        let mut transaction = self.database.begin(deadline).await?;
        match execute(&mut transaction, member, key, change).await {
            Ok(answer) => {
                transaction.commit().await?;
                Ok(answer)
            }
            Err(failure) => Err(transaction.end(failure).await),
        }
    }
}

/// Runs a change once for each key; a repetition has the same answer.
async fn execute(
    transaction: &mut Transaction,
    member: &str,
    key: &str,
    change: &Change,
) -> Result<Json, Failure> {
    // The lock: other changes of this member wait here, so what follows sees all that they have done.
    let locked =
        transaction.run("UPDATE members SET changes = changes + 1 WHERE id = ?", &[member.into()]).await?;
    if locked == 0 {
        // The first change of a member. Of two at once one meets the other's row, and is tried again.
        let inserted =
            transaction.run("INSERT INTO members (id, changes) VALUES (?, 1)", &[member.into()]).await;
        inserted.map_err(|failure| match failure {
            Failure::Duplicate => Failure::Conflict,
            other => other,
        })?;
    }
    let sql = "SELECT answer FROM requests WHERE member = ? AND request_key = ?";
    if let Some(known) = transaction.rows(sql, &[member.into(), key.into()]).await?.first() {
        return parsed(&known.try_get::<String, _>("answer")?);
    }
    let rows = transaction.rows("SELECT changes FROM members WHERE id = ?", &[member.into()]).await?;
    let number: i64 = match rows.first() {
        Some(row) => row.try_get("changes")?,
        None => return Err(Failure::Fault("the member is gone".to_owned())),
    };
    let done = change.execute(transaction, member).await?;
    for (part, (channel, body)) in (0_i64..).zip(&done.publications) {
        let sql =
            "INSERT INTO outbox (member, change_number, part, id, channel, body) VALUES (?, ?, ?, ?, ?, ?)";
        let (id, body) = (crate::random_id(), body.to_string());
        let values =
            [member.into(), number.into(), part.into(), (&id).into(), channel.into(), (&body).into()];
        transaction.run(sql, &values).await?;
    }
    let now = wall_ms();
    let answer = done.answer.to_string();
    let sql = "INSERT INTO requests (member, request_key, answer, answered_at) VALUES (?, ?, ?, ?)";
    transaction.run(sql, &[member.into(), key.into(), (&answer).into(), now.into()]).await?;
    let kept_ms = i64::try_from(REQUESTS_KEPT.as_millis()).unwrap_or(i64::MAX);
    let sql = "DELETE FROM requests WHERE member = ? AND answered_at < ?";
    transaction.run(sql, &[member.into(), (now - kept_ms).into()]).await?;
    Ok(done.answer)
}

fn parsed(text: &str) -> Result<Json, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::Fault(format!("a recorded answer: {error}")))
}

/// What is published in a member's inbox of a new card or message.
pub(crate) fn inbox_entry(kind: &str, name: &str, content: &Json) -> Json {
    json!({"type": kind, name: content})
}
