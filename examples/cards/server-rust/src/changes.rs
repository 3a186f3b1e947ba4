//! What a member can change, and what each change does.

use serde_json::{Value as Json, json};
use sqlx::Row as _;

use crate::{clock::wall_ms, database::Transaction, failure::Failure, shop::inbox_entry};

/// The steps of an order: placed, paid, shipped, delivered.
const LAST_STEP: i64 = 3;
const SHIPPED: i64 = 2;
const TEMPLATES_MAX: usize = 5;
/// What the columns take.
pub(crate) const TEXT_CHARS_MAX: usize = 64;
/// The inbox, in the place of a channel's name.
const INBOX: &str = "";

/// A change that a member asks for.
#[derive(Debug)]
pub(crate) enum Change {
    Bind {
        number: String,
    },
    Place {
        card: String,
        item: String,
    },
    /// The app says which step it wants: two taps at once are one.
    Advance {
        order: String,
        step: i64,
    },
    /// The member has tapped 允许 for these templates: one more message each.
    Consent {
        templates: Vec<String>,
    },
}

/// What a change has done: its answer, and what is published of it.
pub(crate) struct Done {
    pub(crate) answer: Json,
    pub(crate) publications: Vec<(String, Json)>,
}

impl Change {
    pub(crate) fn parse(method: &str, data: &Json) -> Result<Self, Failure> {
        let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        match method {
            "card.bind" => {
                let number = text("number");
                let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
                if !is_number || !(8..=19).contains(&number.len()) {
                    return Err(Failure::refused("bad_number", "a card number has 8 to 19 digits"));
                }
                Ok(Self::Bind { number })
            }
            "order.place" => {
                let item = text("item");
                let is_name = item.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
                if !is_name || !(1..=64).contains(&item.len()) {
                    return Err(Failure::refused("bad_request", "no item"));
                }
                Ok(Self::Place { card: text_of(&data["card"])?, item })
            }
            "order.advance" => Ok(Self::Advance {
                order: text_of(&data["order"])?,
                step: data["step"].as_i64().unwrap_or_default(),
            }),
            "consent.give" => {
                let given = data["templates"].as_array().filter(|given| given.len() <= TEMPLATES_MAX);
                let given = given.ok_or_else(|| Failure::refused("bad_request", "up to 5 templates"))?;
                Ok(Self::Consent { templates: given.iter().map(text_of).collect::<Result<_, _>>()? })
            }
            _ => Err(Failure::refused("not_found", "there is no such method")),
        }
    }

    pub(crate) async fn execute(&self, to: &mut Transaction, member: &str) -> Result<Done, Failure> {
        match self {
            Self::Bind { number } => bind(to, member, number).await,
            Self::Place { card, item } => place(to, member, card, item).await,
            Self::Advance { order, step } => advance(to, member, order, *step).await,
            Self::Consent { templates } => consent(to, member, templates).await,
        }
    }
}

/// A text that the database can take; one that is missing is empty.
fn text_of(value: &Json) -> Result<String, Failure> {
    let text = value.as_str().unwrap_or_default();
    storable(text, TEXT_CHARS_MAX)?;
    Ok(text.to_owned())
}

/// Whether the database can take it.
pub(crate) fn storable(text: &str, chars_max: usize) -> Result<(), Failure> {
    if text.contains('\0') || text.chars().count() > chars_max {
        return Err(Failure::refused("bad_request", "a text is too long"));
    }
    Ok(())
}

async fn bind(to: &mut Transaction, member: &str, number: &str) -> Result<Done, Failure> {
    let now = wall_ms();
    let sql = "INSERT INTO cards (number, member, bound_at) VALUES (?, ?, ?)";
    let inserted = to.run(sql, &[number.into(), member.into(), now.into()]).await;
    inserted.map_err(|failure| match failure {
        Failure::Duplicate => Failure::refused("card_taken", "this card is bound already"),
        other => other,
    })?;
    let card = json!({"number": number, "bound_at": now});
    let publications = vec![(INBOX.to_owned(), inbox_entry("card.bound", "card", &card))];
    Ok(Done { answer: card, publications })
}

async fn place(to: &mut Transaction, member: &str, card: &str, item: &str) -> Result<Done, Failure> {
    let sql = "SELECT number FROM cards WHERE number = ? AND member = ?";
    if to.rows(sql, &[card.into(), member.into()]).await?.is_empty() {
        return Err(Failure::refused("no_card", "this card is not bound"));
    }
    let (id, now) = (crate::random_id(), wall_ms());
    let sql = "INSERT INTO orders (id, member, card, item, step, changed_at) VALUES (?, ?, ?, ?, ?, ?)";
    let values = [(&id).into(), member.into(), card.into(), item.into(), 0.into(), now.into()];
    to.run(sql, &values).await?;
    let order = json!({"id": id, "card": card, "item": item, "step": 0, "changed_at": now});
    Ok(Done { answer: order.clone(), publications: vec![(format!("orders:{member}"), order)] })
}

async fn advance(to: &mut Transaction, member: &str, id: &str, step: i64) -> Result<Done, Failure> {
    let sql = "SELECT card, item, step FROM orders WHERE id = ? AND member = ?";
    let rows = to.rows(sql, &[id.into(), member.into()]).await?;
    let row = rows.first().ok_or_else(|| Failure::refused("not_found", "there is no such order"))?;
    let (card, item): (String, String) = (row.try_get("card")?, row.try_get("item")?);
    let before: i64 = row.try_get("step")?;
    if before >= LAST_STEP || before + 1 != step {
        return Err(Failure::refused("conflict", "the order is elsewhere by now"));
    }
    let now = wall_ms();
    let sql = "UPDATE orders SET step = ?, changed_at = ? WHERE id = ?";
    to.run(sql, &[step.into(), now.into(), id.into()]).await?;
    let order = json!({"id": id, "card": card, "item": item, "step": step, "changed_at": now});
    let mut publications = vec![(format!("orders:{member}"), order.clone())];
    if step == SHIPPED {
        let message_id = crate::random_id();
        let sql = "INSERT INTO messages (id, member, kind, about, sent_at) VALUES (?, ?, 'shipped', ?, ?)";
        to.run(sql, &[(&message_id).into(), member.into(), (&item).into(), now.into()]).await?;
        let message = json!({"id": message_id, "kind": "shipped", "about": item, "sent_at": now});
        publications.push((INBOX.to_owned(), inbox_entry("message", "message", &message)));
    }
    Ok(Done { answer: order, publications })
}

async fn consent(to: &mut Transaction, member: &str, templates: &[String]) -> Result<Done, Failure> {
    for template in templates {
        let values = [member.into(), template.into()];
        let sql = "UPDATE consents SET quota = quota + 1 WHERE member = ? AND template = ?";
        if to.run(sql, &values).await? == 0 {
            let sql = "INSERT INTO consents (member, template, quota) VALUES (?, ?, 1)";
            to.run(sql, &values).await?;
        }
    }
    Ok(Done { answer: json!({"templates": templates}), publications: Vec::new() })
}
