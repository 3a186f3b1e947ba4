//! Hooks and webhooks of the gateway, the login of the web page, and the page itself.

use std::{path::Path, sync::Arc, time::Duration};

use axum::{
    Json as JsonBody, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::{Value as Json, json};
use standardwebhooks::Webhook;
use tokio::{sync::Semaphore, time::Instant};
use tower_http::services::ServeDir;
use tracing::warn;

use crate::{failure::Failure, login::Logins, notices::Notices, shop::Shop};

const BODY_BYTES_MAX: usize = 256 * 1024;
/// Requests at once; one more is told to come again.
const REQUESTS_MAX: usize = 1_000;
/// The longest a question may take where the gateway does not say, and what is left for the way back.
const DEADLINE_MS: u64 = 4_500;
const WAY_BACK_MS: u64 = 200;
/// Less than the `timeout` of the webhook.
const WEBHOOK_DEADLINE: Duration = Duration::from_secs(5);

/// What the routes need.
pub(crate) struct App {
    pub(crate) webhook: Webhook,
    pub(crate) logins: Logins,
    pub(crate) shop: Shop,
    pub(crate) notices: Notices,
    /// Where pages connect to, and the template of subscribe messages.
    pub(crate) config: Json,
    turns: Semaphore,
}

impl App {
    pub(crate) fn new(webhook: Webhook, logins: Logins, shop: Shop, notices: Notices, config: Json) -> Self {
        Self { webhook, logins, shop, notices, config, turns: Semaphore::new(REQUESTS_MAX) }
    }

    fn verified(&self, headers: &HeaderMap, body: &[u8]) -> Option<Json> {
        self.webhook.verify(body, headers).ok()?;
        serde_json::from_slice(body).ok()
    }

    /// A question of the gateway. The member is who the gateway says it is: it has checked the login, or asked here.
    async fn answer(&self, question: &Json, deadline: Instant) -> Result<Json, Failure> {
        let user = question["user"].as_str();
        match question["kind"].as_str() {
            Some("connect" | "refresh") => {
                let login = self.logins.check(question["login"]["token"].as_str().unwrap_or_default());
                let login = login.ok_or_else(|| Failure::refused("unauthorized", "log in"))?;
                Ok(json!({"user": login.member, "expires_at": login.expires_at}))
            }
            Some("subscribe")
                if user.is_some_and(|user| question["channel"] == format!("orders:{user}").as_str()) =>
            {
                Ok(json!({}))
            }
            Some("subscribe") => Err(Failure::refused("permission_denied", "these orders are not yours")),
            Some("call") => {
                let user = user.ok_or_else(|| Failure::refused("unauthorized", "log in"))?;
                let (method, id) = (&question["method"], &question["id"]);
                let (method, id) = (method.as_str().unwrap_or_default(), id.as_str().unwrap_or_default());
                let data = self.shop.call(user, method, &question["data"], id, deadline).await?;
                Ok(json!({"data": data}))
            }
            _ => Err(Failure::refused("permission_denied", "not here")),
        }
    }
}

/// All routes; what is none of them is a file of the page.
pub(crate) fn router(app: Arc<App>, page: &Path) -> Router {
    Router::new()
        .route("/hooks", post(on_hook))
        .route("/events", post(on_event))
        .route("/login", post(on_login))
        .route("/config.json", get(async |State(app): State<Arc<App>>| JsonBody(app.config.clone())))
        .fallback_service(ServeDir::new(page))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(app)
}

async fn on_hook(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(_turn) = app.turns.try_acquire() else { return again() };
    let Some(question) = app.verified(&headers, &body) else {
        return StatusCode::UNAUTHORIZED.with_body();
    };
    let asked = headers.get("tautline-deadline-ms").and_then(|value| value.to_str().ok()?.parse().ok());
    let allowed_ms =
        asked.map_or(DEADLINE_MS, |asked: u64| asked.saturating_sub(WAY_BACK_MS).min(DEADLINE_MS));
    match app.answer(&question, Instant::now() + Duration::from_millis(allowed_ms)).await {
        Ok(result) => JsonBody(json!({"result": result})).into_response(),
        Err(Failure::Refused { code, message }) => {
            JsonBody(json!({"error": {"code": code, "message": message}})).into_response()
        }
        Err(failure) => failed(&failure),
    }
}

/// Events come at least once.
async fn on_event(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(event) = app.verified(&headers, &body) else { return StatusCode::UNAUTHORIZED.with_body() };
    if event["type"] == "inbox.unread" {
        let handled = app.notices.unread(&event["data"], Instant::now() + WEBHOOK_DEADLINE).await;
        if let Err(failure) = handled {
            return failed(&failure);
        }
    }
    StatusCode::OK.with_body()
}

async fn on_login(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let asked: Json = serde_json::from_slice(&body).unwrap_or_default();
    match app.logins.log_in(asked["name"].as_str().unwrap_or_default()) {
        Some((member, token)) => JsonBody(json!({"member": member, "token": token})).into_response(),
        None => (StatusCode::BAD_REQUEST, JsonBody(json!({"code": "bad_name"}))).into_response(),
    }
}

fn failed(failure: &Failure) -> Response {
    warn!("{failure}");
    match failure {
        Failure::Fault(_) => StatusCode::INTERNAL_SERVER_ERROR.with_body(),
        _ => again(),
    }
}

/// May be asked again: the gateway does, and the answer is recorded by its key.
fn again() -> Response {
    let mut response = StatusCode::SERVICE_UNAVAILABLE.with_body();
    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    response
}

trait WithBody {
    fn with_body(self) -> Response;
}

impl WithBody for StatusCode {
    fn with_body(self) -> Response {
        (self, JsonBody(json!({}))).into_response()
    }
}
