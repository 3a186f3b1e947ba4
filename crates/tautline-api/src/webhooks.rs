//! Operations on webhooks: how they stand, and what operators do to them.

use std::borrow::Cow;

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    names::{integer, text},
    problem::Problem,
    request::{Asked, Posted, ToAdmin, ToRead},
};

/// Whether a webhook delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookState {
    /// It delivers, or waits for events.
    Active,
    /// The receiver does not take an event: it is tried again.
    Retrying,
    /// The receiver has answered 410, or failed through the whole schedule, or an operator has switched it off. Its
    /// events stay in the log.
    Off,
}

/// How a webhook stands on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct WebhookStatus {
    /// Its name.
    pub name: String,
    /// Whether it delivers.
    pub state: WebhookState,
    /// The last event that the receiver has taken.
    pub offset: u64,
    /// Events in the log that it has not taken.
    pub lag: u64,
    /// How old the first of them is, in milliseconds.
    pub lag_ms: u64,
    /// Attempts in a row that failed.
    pub failures: usize,
    /// Milliseconds until the next attempt; absent unless it is `retrying`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub retry_in_ms: Option<u64>,
    /// Why the last attempt failed; absent after a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_error: Option<String>,
    /// Events that expired before the receiver took them, since the process started.
    pub expired: u64,
    /// Events dropped before they were stored, for lack of room, since the process started.
    pub lost: u64,
    /// Events that are not stored yet.
    pub waiting: usize,
}

/// What an operator does to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookCommand {
    /// Delivers from this event on, whether or not it was delivered before.
    Replay {
        /// The offset of the first event.
        from: u64,
    },
    /// Tries again at once, also after the webhook was off.
    Enable,
    /// Delivers no more; events stay in the log.
    Disable,
}

/// The webhooks of a server, for those who look at them and command them.
pub trait WebhookControl: Send + Sync {
    /// How they stand.
    fn list(&self) -> Vec<WebhookStatus>;

    /// Does what an operator says, and returns how the webhook stands then; `None` where none has this name.
    fn command(&self, name: &str, command: WebhookCommand) -> Option<WebhookStatus>;
}

/// The webhooks of this node.
#[derive(Serialize, ToSchema)]
pub(crate) struct Webhooks {
    webhooks: Vec<WebhookStatus>,
}

/// The name of a webhook, as the configuration has it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OneWebhook<'a> {
    #[serde(borrow, deserialize_with = "text")]
    #[schema(value_type = String, example = "shop")]
    webhook: Cow<'a, str>,
}

/// Delivers events again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replay<'a> {
    /// The name of the webhook.
    #[serde(borrow, deserialize_with = "text")]
    #[schema(value_type = String, example = "shop")]
    webhook: Cow<'a, str>,
    /// The offset of the first event; beyond the last one all are skipped.
    #[schema(maximum = 9_007_199_254_740_991_u64, example = 41)]
    #[serde(deserialize_with = "integer")]
    from: u64,
}

/// Lists webhooks
///
/// Those of this node, with how each stands.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "read",
    responses((status = 200, description = "The webhooks", body = Webhooks)))]
pub(crate) async fn webhooks(asked: Asked<ToRead>) -> Json<Webhooks> {
    Json(Webhooks { webhooks: asked.host.webhooks().map(WebhookControl::list).unwrap_or_default() })
}

/// Delivers the events of a webhook again
///
/// From an offset on, with the same ids and the same bytes; also where the webhook was off. A restart goes on where it
/// was before.
#[utoipa::path(post, path = "/api/v1/webhooks/replay", tag = "admin", request_body = Replay,
    responses((status = 200, description = "The webhook as it stands now", body = WebhookStatus)))]
pub(crate) async fn replay_webhook(request: Posted<ToAdmin>) -> Result<Json<WebhookStatus>, Problem> {
    let Replay { webhook, from } = request.parse()?;
    command(&request, &webhook, WebhookCommand::Replay { from })
}

/// Switches a webhook on
///
/// It tries again at once, also where it was off or waits for its next attempt.
#[utoipa::path(post, path = "/api/v1/webhooks/enable", tag = "admin", request_body = OneWebhook,
    responses((status = 200, description = "The webhook as it stands now", body = WebhookStatus)))]
pub(crate) async fn enable_webhook(request: Posted<ToAdmin>) -> Result<Json<WebhookStatus>, Problem> {
    let OneWebhook { webhook } = request.parse()?;
    command(&request, &webhook, WebhookCommand::Enable)
}

/// Switches a webhook off
///
/// Its events stay in the log until it is switched on, or the gateway is started again.
#[utoipa::path(post, path = "/api/v1/webhooks/disable", tag = "admin", request_body = OneWebhook,
    responses((status = 200, description = "The webhook as it stands now", body = WebhookStatus)))]
pub(crate) async fn disable_webhook(request: Posted<ToAdmin>) -> Result<Json<WebhookStatus>, Problem> {
    let OneWebhook { webhook } = request.parse()?;
    command(&request, &webhook, WebhookCommand::Disable)
}

fn command(
    request: &Posted<ToAdmin>,
    name: &str,
    command: WebhookCommand,
) -> Result<Json<WebhookStatus>, Problem> {
    let status = request.host.webhooks().and_then(|webhooks| webhooks.command(name, command));
    status.map(Json).ok_or_else(|| Problem::of_kind("not_found", "no webhook of this node has this name"))
}
