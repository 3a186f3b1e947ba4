//! `/metrics`, for Prometheus and what reads its format.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::header::CONTENT_TYPE;
use tautline_api::{Host, Scope, authorized};

use crate::{listener::Serves, metrics, state::GatewayState};

/// Open on a listener for operators alone; where clients or back ends come as well it takes a key that may read.
pub(crate) fn routes(serves: Serves) -> Router<Arc<GatewayState>> {
    let is_open = !serves.public && !serves.api;
    Router::new().route(
        "/metrics",
        get(async move |State(state): State<Arc<GatewayState>>, request: Request| {
            scrape(state, &request, is_open)
        }),
    )
}

fn scrape(state: Arc<GatewayState>, request: &Request, is_open: bool) -> Response {
    let host: Arc<dyn Host> = Arc::<GatewayState>::clone(&state);
    if !is_open && let Err(problem) = authorized(&host, request, Scope::Read) {
        return problem.into_response();
    }
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::scrape(&state)).into_response()
}
