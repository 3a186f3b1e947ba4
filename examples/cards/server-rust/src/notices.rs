//! Tells a member by WeChat what the inbox could not: with consent, and at most once a message.

use std::{sync::Arc, time::Duration};

use serde_json::Value as Json;
use sqlx::Row as _;
use tokio::time::Instant;

use crate::{
    clock::wall_ms,
    database::{Database, Transaction},
    failure::Failure,
    gateway::Gateway,
    wechat::{Outcome, WeChat},
};

const DEADLINE: Duration = Duration::from_secs(5);

/// Handles `inbox.unread`.
pub(crate) struct Notices {
    pub(crate) database: Arc<Database>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) wechat: WeChat,
}

impl Notices {
    /// An inbox has waited unread, and its member has no device online. The event comes at least once.
    pub(crate) async fn unread(&self, event: &Json, deadline: Instant) -> Result<(), Failure> {
        let (member, epoch) = (text(event, "user"), text(event, "epoch"));
        let (acknowledged, offset) = (number(event, "acknowledged"), number(event, "offset"));
        let behind = self.gateway.history(&format!("user:{member}"), epoch, acknowledged).await?;
        let messages: Vec<_> = behind.into_iter().filter(|it| it["data"]["type"] == "message").collect();

        let mut transaction = self.database.begin(deadline).await?;
        let template = &self.wechat.template;
        let claimed = match claim(&mut transaction, template, member, epoch, offset, &messages).await {
            Ok(claimed) => claimed,
            Err(failure) => return Err(transaction.end(failure).await),
        };
        transaction.commit().await?;
        let Some(message) = claimed else { return Ok(()) };

        // It is claimed, and the consent used up: from here on it is not sent a second time, whatever happens.
        let openid = member.strip_prefix("wx-").unwrap_or(member);
        let about = text(&message["data"]["message"], "about");
        let outcome = self.wechat.send(openid, about).await;
        let mut transaction = self.database.begin(Instant::now() + DEADLINE).await?;
        let word = format!("{outcome:?}").to_lowercase();
        let sql = "UPDATE notices SET outcome = ? WHERE member = ?";
        transaction.run(sql, &[(&word).into(), member.into()]).await?;
        if outcome == Outcome::Refused {
            // The member has withdrawn the consents.
            let sql = "UPDATE consents SET quota = 0 WHERE member = ? AND template = ?";
            transaction.run(sql, &[member.into(), template.into()]).await?;
        }
        transaction.commit().await
    }
}

/// The newest message that was not claimed before, if there is one and consent for it.
async fn claim<'a>(
    to: &mut Transaction,
    template: &String,
    member: &str,
    epoch: &str,
    offset: i64,
    messages: &'a [Json],
) -> Result<Option<&'a Json>, Failure> {
    let rows = to.rows("SELECT epoch, newest FROM notices WHERE member = ?", &[member.into()]).await?;
    let seen: Option<(String, i64)> = match rows.first() {
        Some(row) => Some((row.try_get("epoch")?, row.try_get("newest")?)),
        None => None,
    };
    let claimed = seen.as_ref().filter(|(of, _)| of == epoch).map_or(0, |(_, newest)| *newest);
    if seen.is_some() && offset <= claimed {
        return Ok(None);
    }
    let mut message = messages.iter().rfind(|it| number(it, "offset") > claimed);
    // The history may be newer than the event; and what is not sent now, for want of consent, is not sent later.
    let newest = message.map_or(offset, |it| offset.max(number(it, "offset")));
    let sql = "UPDATE consents SET quota = quota - 1 WHERE member = ? AND template = ? AND quota > 0";
    if message.is_some() && to.run(sql, &[member.into(), template.into()]).await? == 0 {
        message = None;
    }
    let word = if message.is_some() { "claimed" } else { "not_sent" };
    let mut values = vec![epoch.into(), newest.into(), word.into(), wall_ms().into(), member.into()];
    // Of two events at once, one finds a row that has changed, or that is there already.
    let changed = if let Some((epoch, newest)) = &seen {
        values.extend([epoch.into(), (*newest).into()]);
        let sql = "UPDATE notices SET epoch = ?, newest = ?, outcome = ?, noticed_at = ? \
                   WHERE member = ? AND epoch = ? AND newest = ?";
        to.run(sql, &values).await?
    } else {
        let sql = "INSERT INTO notices (epoch, newest, outcome, noticed_at, member) VALUES (?, ?, ?, ?, ?)";
        to.run(sql, &values).await?
    };
    if changed == 0 {
        return Err(Failure::Unavailable("another event of this member is being handled".to_owned()));
    }
    Ok(message)
}

fn text<'a>(of: &'a Json, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}

fn number(of: &Json, name: &str) -> i64 {
    of[name].as_i64().unwrap_or_default()
}
