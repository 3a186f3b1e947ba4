//! `/metrics`, for Prometheus and what reads its format.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{
    StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use tautline_api::{Host, Problem, Scope, authorized};
use tokio::task::spawn_blocking;

use crate::{
    listener::Serves,
    metrics::{self, Format},
    state::GatewayState,
};

/// Open on a listener for operators alone; where clients or back ends come as well it takes a key that may read.
pub(crate) fn routes(serves: Serves) -> Router<Arc<GatewayState>> {
    let is_open = !serves.public && !serves.api;
    let answer = move |scrape: fn(&GatewayState, Format) -> String| {
        get(async move |State(state): State<Arc<GatewayState>>, request: Request| {
            let host: Arc<dyn Host> = Arc::<GatewayState>::clone(&state);
            if !is_open && let Err(problem) = authorized(&host, &request, Scope::Read) {
                return problem.into_response();
            }
            let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
            answer(state, scrape, Format::accepted(accept.unwrap_or_default())).await
        })
    };
    Router::new()
        .route("/metrics", answer(metrics::scrape))
        .route("/metrics/channels", answer(metrics::scrape_channels))
}

/// Away from the connections' threads: it reads files, one of them a folder with an entry for each socket.
async fn answer(
    state: Arc<GatewayState>,
    scrape: fn(&GatewayState, Format) -> String,
    format: Format,
) -> Response {
    match spawn_blocking(move || scrape(&state, format)).await {
        Ok(text) => ([(CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "a source of metrics failed")
            .into_response(),
    }
}
