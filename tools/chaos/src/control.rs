//! The HTTP control API: JSON in, JSON out, and every refusal says why.
//!
//! | request | does |
//! |---|---|
//! | `GET /rules` | the rules in force, and the groups that differ |
//! | `PUT` or `POST /rules` | changes the rules named in the body ([`RulesPatch`]), for live connections too |
//! | `POST /groups/{group}/rules` | the same for one group; `DELETE` gives it everybody's rules again |
//! | `POST /groups/{group}/unplug` | pulls the cable; `{"new":"refuse"}` (default) or `{"new":"hang"}` |
//! | `POST /groups/{group}/plug` | puts it back |
//! | `GET /connections` | the live connections |
//! | `POST /faults` | `{"fault":"half_open","group":"phone-a","direction":"up","for_ms":5000}` |
//! | `POST /heal` | `{"group":"phone-a"}`, `{"connection":7}`, or nothing for everybody |
//!
//! A body may be left out where nothing in it is needed. Errors are `{"error":"…"}` with status 400, 403 or 404.

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tautline_netem::{RulesPatch, Unplugged};
use tokio::net::TcpListener;

use super::error::ChaosError;
use super::faults::{BadRequest, FaultRequest, selector};
use super::group::{BadGroupName, GroupName};
use super::network::Network;

/// Serves the API for as long as the proxy lives.
pub(super) async fn serve(listener: TcpListener, network: Network, cors: bool) {
    if let Err(error) = axum::serve(listener, router(network, cors)).await {
        tracing::error!(%error, "the control API has stopped");
    }
}

fn router(network: Network, cors: bool) -> Router {
    let router = Router::new()
        .route("/rules", get(rules).put(patch_rules).post(patch_rules))
        .route("/groups/{group}/rules", post(patch_group).put(patch_group).delete(clear_group))
        .route("/groups/{group}/unplug", post(unplug))
        .route("/groups/{group}/plug", post(plug))
        .route("/connections", get(connections))
        .route("/faults", post(fault))
        .route("/heal", post(heal))
        .fallback(nothing_here)
        .with_state(network);
    if cors { router.layer(from_fn(any_origin)) } else { router.layer(from_fn(no_web_page)) }
}

async fn rules(State(network): State<Network>) -> Response {
    Json(network.rules()).into_response()
}

async fn patch_rules(State(network): State<Network>, body: Bytes) -> Answer {
    network.patch_rules(&read(&body)?)?;
    Ok(Json(network.rules()).into_response())
}

async fn patch_group(State(network): State<Network>, Path(group): Path<String>, body: Bytes) -> Answer {
    network.patch_group_rules(&group.parse()?, &read::<RulesPatch>(&body)?)?;
    Ok(Json(network.rules()).into_response())
}

async fn clear_group(State(network): State<Network>, Path(group): Path<String>) -> Answer {
    network.clear_group_rules(&group.parse()?);
    Ok(Json(network.rules()).into_response())
}

/// The body of `unplug`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct UnplugRequest {
    new: Unplugged,
}

async fn unplug(State(network): State<Network>, Path(group): Path<String>, body: Bytes) -> Answer {
    let group: GroupName = group.parse()?;
    let request: UnplugRequest = read(&body)?;
    Ok(reached(network.unplug(&group, request.new)?))
}

async fn plug(State(network): State<Network>, Path(group): Path<String>) -> Answer {
    Ok(reached(network.plug(&group.parse()?)))
}

async fn connections(State(network): State<Network>) -> Response {
    Json(json!({ "connections": network.connections() })).into_response()
}

async fn fault(State(network): State<Network>, body: Bytes) -> Answer {
    let request: FaultRequest = read(&body)?;
    Ok(reached(network.fault(request.fault()?, &request.selector()?)?))
}

/// The body of `heal`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HealRequest {
    group: Option<String>,
    connection: Option<u64>,
}

async fn heal(State(network): State<Network>, body: Bytes) -> Answer {
    let request: HealRequest = read(&body)?;
    let selector = selector(request.group.as_deref(), request.connection)?;
    Ok(reached(network.heal(&selector)?))
}

async fn nothing_here(request: Request) -> Refusal {
    let (method, path) = (request.method(), request.uri().path());
    Refusal(StatusCode::NOT_FOUND, format!("there is no {method} {path}"))
}

fn reached(connections: usize) -> Response {
    Json(json!({ "reached": connections })).into_response()
}

/// Read by hand rather than by axum's extractor, which asks for a content type that `curl -d` does not send, and answers 422.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| refuse(&error))
}

/// With `--control-cors`: any web page may call.
async fn any_origin(request: Request, next: Next) -> Response {
    let mut response = match *request.method() {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, PUT, POST, DELETE"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Without it: a browser names the page's origin in every request that could do harm, and no page is welcome. Without this
/// check any page could post to a control API on the same machine, and merely not read the answer.
async fn no_web_page(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        let words = "web pages may not use this API; start the proxy with --control-cors to let them";
        return Refusal(StatusCode::FORBIDDEN, words.into()).into_response();
    }
    next.run(request).await
}

type Answer = Result<Response, Refusal>;

/// A refusal with its reason.
struct Refusal(StatusCode, String);

fn refuse(error: &dyn std::error::Error) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, error.to_string())
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<ChaosError> for Refusal {
    fn from(error: ChaosError) -> Self {
        let status = match error {
            ChaosError::UnknownConnection(_) => StatusCode::NOT_FOUND,
            _ => StatusCode::BAD_REQUEST,
        };
        Self(status, error.to_string())
    }
}

impl From<BadRequest> for Refusal {
    fn from(error: BadRequest) -> Self {
        refuse(&error)
    }
}

impl From<BadGroupName> for Refusal {
    fn from(error: BadGroupName) -> Self {
        refuse(&error)
    }
}
