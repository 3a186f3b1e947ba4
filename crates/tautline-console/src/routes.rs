//! The console's routes, put together.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{StatusCode, header::LOCATION};
use serde::Deserialize;
use serde_json::{Value, json};
use tautline_api::{Host, Problem};
use tautline_hub::StoryPage;
use tracing::{error, warn};

use crate::{
    Account, AccountFile, AuditLog, ConsoleOptions, Node, PasswordHasher, assets, gate, headers, overview,
    sessions::{Sessions, Visitor},
    sign_in,
    sign_in_limits::SignInLimits,
};

/// The most acts in one page of the audit log.
const PAGE_MAX: usize = 500;
/// Where it is mounted.
const MOUNT: &str = "/console";
/// The longest time over which a drain spreads the clients.
const SPREAD_MAX: Duration = Duration::from_secs(3_600);

/// The console of a node.
pub struct Console {
    pub(crate) options: ConsoleOptions,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) node: Arc<dyn Node>,
    pub(crate) account_file: AccountFile,
    pub(crate) passwords: PasswordHasher,
    pub(crate) sessions: Sessions,
    pub(crate) limits: SignInLimits,
    pub(crate) audit: AuditLog,
}

impl Console {
    /// A console of this host, with these accounts and this audit log.
    #[must_use]
    pub fn new(
        options: ConsoleOptions,
        host: Arc<dyn Host>,
        node: Arc<dyn Node>,
        (account_file, passwords): (AccountFile, PasswordHasher),
        audit: AuditLog,
    ) -> Self {
        let (sessions, limits) = (Sessions::new(&options), SignInLimits::new());
        Self { options, host, node, account_file, passwords, sessions, limits, audit }
    }

    /// The accounts at this moment.
    pub(crate) fn accounts(&self) -> Result<Arc<[Account]>, Problem> {
        self.account_file.accounts().map_err(|fault| {
            error!(event = "console_accounts_unreadable", %fault, "the console's accounts cannot be read: nobody can sign in");
            Problem::unavailable("the accounts cannot be read: the gateway's log says more")
        })
    }
}

/// The routes, below `/console`.
pub fn router(console: Console) -> Router {
    let console = Arc::new(console);
    let own = Router::new()
        .route("/overview", get(overview))
        .route("/story/{user}", get(story))
        .route("/audit", get(audit))
        .route("/drain", post(drain))
        .with_state(Arc::clone(&console));
    // Behind the gate there is nothing that is not in its table.
    let gated = own
        .merge(tautline_api::router(Arc::clone(&console.host)))
        .fallback(nothing)
        .layer(from_fn_with_state(Arc::clone(&console), gate::pass));
    let session = get(sign_in::session).post(sign_in::sign_in).delete(sign_in::sign_out);
    let pages = Router::new()
        .route("/", get(assets::index))
        .route("/assets/{*name}", get(assets::asset))
        .route("/session", session)
        .with_state(console);
    let mounted = pages.fallback_service(gated);
    Router::new()
        .route(MOUNT, get(to_folder))
        .nest(&format!("{MOUNT}/"), mounted)
        .layer(from_fn(headers::add))
}

/// The pages' relative links need the slash.
async fn to_folder() -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(LOCATION, "console/")]).into_response()
}

async fn nothing() -> Problem {
    Problem::of_kind("not_found", "there is no such path")
}

async fn overview(State(console): State<Arc<Console>>) -> Result<Json<Value>, Problem> {
    // It reads files of the system.
    let shown = tokio::task::spawn_blocking(move || overview::overview(&*console.host, &*console.node)).await;
    shown.map(Json).map_err(|_| Problem::of_kind("internal", "the figures could not be read"))
}

#[derive(Deserialize)]
struct AuditQuery {
    before: Option<u64>,
    limit: Option<usize>,
}

async fn audit(State(console): State<Arc<Console>>, Query(query): Query<AuditQuery>) -> Json<Value> {
    let limit = query.limit.unwrap_or(100).clamp(1, PAGE_MAX);
    let mut entries = console.audit.page(query.before, limit + 1);
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| has_more).map(|last| last.id);
    Json(json!({"entries": entries, "next": next}))
}

#[derive(Deserialize)]
struct StoryQuery {
    session: Option<String>,
    before: Option<u64>,
    limit: Option<usize>,
}

async fn story(
    State(console): State<Arc<Console>>,
    Path(user): Path<String>,
    Query(query): Query<StoryQuery>,
) -> Result<Json<StoryPage>, Problem> {
    let StoryQuery { session, before, limit } = query;
    let (hub, now) = (console.host.hub(), console.host.now());
    let page = hub.story(now, &user, session.as_deref(), before, limit.unwrap_or(100));
    page.map(Json).ok_or_else(|| Problem::of_kind("not_found", "this node keeps no stories"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drain {
    spread_ms: u64,
}

async fn drain(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    body: axum::body::Bytes,
) -> Result<StatusCode, Problem> {
    let fault = |_| Problem::bad_request("the body is {\"spread_ms\": …}");
    let Drain { spread_ms } = serde_json::from_slice(&body).map_err(fault)?;
    let spread = Duration::from_millis(spread_ms).min(SPREAD_MAX);
    warn!(event = "console_drain", name = %visitor.name, ?spread, "somebody at the console drains this node");
    console.node.drain(spread);
    Ok(StatusCode::ACCEPTED)
}
