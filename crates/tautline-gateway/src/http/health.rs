//! Health, for load balancers and supervisors.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Json, Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::StatusCode;
use serde_json::json;
use tautline_api::Problem;

use crate::state::GatewayState;

pub(crate) fn routes() -> Router<Arc<GatewayState>> {
    Router::new()
        .route("/health/live", get(async || Json(json!({"status": "live"}))))
        .route("/health/ready", get(ready))
        .method_not_allowed_fallback(wrong_method)
}

async fn wrong_method(request: Request) -> Problem {
    let words = format!("this path takes no {}", request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", words)
}

async fn ready(State(state): State<Arc<GatewayState>>) -> Response {
    if state.not_ready.load(Ordering::Acquire) {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "draining", "this node is draining")
            .into_response();
    }
    if !state.hub.takes_appends() {
        let words = "the engine stores no publications at present";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", words).into_response();
    }
    Json(json!({"status": "ready"})).into_response()
}
