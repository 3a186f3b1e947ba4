//! What the page asks for besides the gateway: its own files, its switches, the drain.
//!
//! | request | does |
//! |---|---|
//! | `POST /demo/chaos/{group}` | throws a [`Switch`] for one group: `{"action":"unplug"}` |
//! | `POST /demo/drain` | with `{}`: tells every connection to come back, and opens again a moment later |
//! | `GET /demo/state` | executions, gateway figures, groups of the network |
//! | `GET /…` | the page |

use std::{path::Path, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path as UrlPath, State, rejection::JsonRejection},
    http::{HeaderValue, StatusCode, header::CACHE_CONTROL},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use tautline_gateway::Gateway;
use tower_http::{services::ServeDir, set_header::SetResponseHeaderLayer};

use super::{DRAIN_LASTS, DRAIN_SPREAD, switch::Switch, tally::Tally};
use tautline_chaos::{GroupName, Network};

/// Everything that the routes act upon.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) gateway: Gateway,
    pub(super) network: Network,
    pub(super) tally: Arc<Tally>,
}

/// The routes, and the files of `page`.
pub(super) fn router(stage: Stage, page: &Path) -> Router {
    // A page that was built anew is seen at once.
    let fresh = SetResponseHeaderLayer::overriding(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Router::new()
        .route("/demo/chaos/{group}", post(throw))
        .route("/demo/drain", post(drain))
        .route("/demo/state", get(state))
        .with_state(stage)
        .fallback_service(ServeDir::new(page))
        .layer(fresh)
}

// A `Json` body is asked for its content type, which no page of another origin may send unasked. The gateway's guard refuses
// their origins besides.
async fn throw(
    State(stage): State<Stage>,
    UrlPath(group): UrlPath<String>,
    switch: Result<Json<Switch>, JsonRejection>,
) -> Result<Response, Refusal> {
    let Json(switch) = switch.map_err(|error| refuse(&error))?;
    let group: GroupName = group.parse().map_err(|error| refuse(&error))?;
    if group == GroupName::default() {
        return Err(Refusal("the page itself travels in this group; name a phone's".into()));
    }
    let reached = switch.throw(&stage.network, &group).map_err(|error| refuse(&error))?;
    Ok(Json(json!({ "reached": reached })).into_response())
}

/// The body of a request that says nothing but what its path says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn drain(
    State(stage): State<Stage>,
    body: Result<Json<Nothing>, JsonRejection>,
) -> Result<Response, Refusal> {
    let Json(Nothing {}) = body.map_err(|error| refuse(&error))?;
    let spread_ms = u64::try_from(DRAIN_SPREAD.as_millis()).expect("two seconds fit");
    stage.gateway.hub().drain(spread_ms);
    let hub = stage.gateway.hub().clone();
    tokio::spawn(async move {
        tokio::time::sleep(DRAIN_LASTS).await;
        hub.reopen();
    });
    Ok(Json(json!({ "spread_ms": spread_ms })).into_response())
}

async fn state(State(stage): State<Stage>) -> Response {
    let hub = stage.gateway.hub().stats();
    Json(json!({
        "calls": stage.tally.figures(),
        "connections": hub.connections,
        "sessions": hub.sessions,
        "publications": hub.publications,
        "network": stage.network.rules(),
    }))
    .into_response()
}

/// A refusal with its reason; always status 400.
struct Refusal(String);

fn refuse(error: &dyn std::error::Error) -> Refusal {
    Refusal(error.to_string())
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": self.0 }))).into_response()
    }
}
