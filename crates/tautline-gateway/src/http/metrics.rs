//! `/metrics`, for Prometheus and what reads its format.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{StatusCode, header::CONTENT_TYPE};
use tautline_api::{Host, Problem, Scope, authorized};
use tokio::task::spawn_blocking;

use crate::{listener::Serves, metrics, state::GatewayState};

/// Open on a listener for operators alone; where clients or back ends come as well it takes a key that may read.
pub(crate) fn routes(serves: Serves) -> Router<Arc<GatewayState>> {
    let is_open = !serves.public && !serves.api;
    Router::new().route(
        "/metrics",
        get(async move |State(state): State<Arc<GatewayState>>, request: Request| {
            let host: Arc<dyn Host> = Arc::<GatewayState>::clone(&state);
            if !is_open && let Err(problem) = authorized(&host, &request, Scope::Read) {
                return problem.into_response();
            }
            scrape(state).await
        }),
    )
}

/// Away from the connections' threads: it reads files, one of them a folder with an entry for each socket.
async fn scrape(state: Arc<GatewayState>) -> Response {
    match spawn_blocking(move || metrics::scrape(&state)).await {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "a source of metrics failed")
            .into_response(),
    }
}
