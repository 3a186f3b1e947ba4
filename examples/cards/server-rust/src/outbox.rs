//! Publishes what changes have left in the table `outbox`: each entry once and those of a member in their order, also when this
//! process or the gateway is killed in between.

use std::{sync::Arc, time::Duration};

use serde_json::{Value as Json, json};
use sqlx::Row as _;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tracing::warn;

use crate::{database::Database, failure::Failure, gateway::Gateway};

const BATCH_MAX: i64 = 200;
const DEADLINE: Duration = Duration::from_secs(3);
/// How soon it is tried again after a failure, and how often the table is looked at without one.
const RETRY: Duration = Duration::from_millis(300);
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The oldest change of each member, which may have several parts.
const OLDEST: &str = "SELECT o.member, o.id, o.channel, o.body \
    FROM (SELECT member, MIN(change_number) AS oldest FROM outbox GROUP BY member ORDER BY member LIMIT ?) AS m \
    JOIN outbox AS o ON o.member = m.member AND o.change_number = m.oldest \
    ORDER BY o.member, o.part";

/// The publisher.
pub(crate) struct Outbox {
    pub(crate) database: Arc<Database>,
    pub(crate) gateway: Arc<Gateway>,
    /// There is something new.
    pub(crate) poke: Arc<Notify>,
}

struct Entry {
    member: String,
    id: String,
    channel: String,
    body: String,
}

impl Outbox {
    /// Runs as long as the process does.
    pub(crate) async fn run(self) {
        loop {
            match self.publish_all().await {
                Ok(()) => drop(timeout(LOOK_EVERY, self.poke.notified()).await),
                Err(failure) => {
                    warn!("publishing failed, trying again in {RETRY:?}: {failure}");
                    sleep(RETRY).await;
                }
            }
        }
    }

    async fn publish_all(&self) -> Result<(), Failure> {
        loop {
            let oldest = self.oldest().await?;
            if oldest.is_empty() {
                return Ok(());
            }
            let outcomes = self.gateway.batch(&oldest.iter().map(entry).collect::<Vec<_>>()).await?;
            let mut transaction = self.database.begin(Instant::now() + DEADLINE).await?;
            let mut failed = None;
            for (Entry { id, .. }, outcome) in oldest.iter().zip(&outcomes) {
                if outcome.get("ok").is_some() {
                    transaction.run("DELETE FROM outbox WHERE id = ?", &[id.into()]).await?;
                } else {
                    failed = Some(outcome.to_string());
                }
            }
            transaction.commit().await?;
            if let Some(outcome) = failed {
                return Err(Failure::Unavailable(outcome));
            }
        }
    }

    /// The oldest entry of each member.
    async fn oldest(&self) -> Result<Vec<Entry>, Failure> {
        let mut transaction = self.database.begin(Instant::now() + DEADLINE).await?;
        let rows = transaction.rows(OLDEST, &[BATCH_MAX.into()]).await?;
        transaction.commit().await?;
        let mut oldest: Vec<Entry> = Vec::new();
        for row in rows {
            let member: String = row.try_get("member")?;
            if oldest.last().is_none_or(|last| last.member != member) {
                let (id, channel, body) = (row.try_get("id")?, row.try_get("channel")?, row.try_get("body")?);
                oldest.push(Entry { member, id, channel, body });
            }
        }
        Ok(oldest)
    }
}

/// The id is the idempotency key: what was published already, and not deleted, is not published again.
fn entry(Entry { member, id, channel, body }: &Entry) -> Json {
    let data: Json = serde_json::from_str(body).unwrap_or_default();
    if channel.is_empty() {
        json!({"push": {"user": member, "data": data, "idempotency_key": id}})
    } else {
        json!({"publish": {"channel": channel, "data": data, "idempotency_key": id}})
    }
}
