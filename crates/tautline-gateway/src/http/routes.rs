//! The gateway's routes, put together.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use tautline_api::{Host, Problem};

use super::{
    health,
    hosts::{self, Hosts},
    metrics, upgrade,
};
use crate::{listener::Serves, state::GatewayState};

pub(crate) fn router(state: &Arc<GatewayState>, serves: Serves) -> Router {
    let groups = [
        (serves.public, upgrade::routes(&state.plain)),
        (serves.api, tautline_api::router(host(state))),
        (serves.internal, health::routes()),
        (serves.internal, metrics::routes(serves)),
    ];
    let served = groups.into_iter().filter(|(is_served, _)| *is_served);
    served.fold(Router::new(), |all, (_, group)| all.merge(group)).with_state(Arc::clone(state))
}

/// The same, and for every other path an answer in JSON.
pub(crate) fn with_fallback(state: &Arc<GatewayState>, router: Router, serves: Serves) -> Router {
    if !serves.api {
        return router
            .fallback(async || Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such path"));
    }
    let host = host(state);
    router.fallback(async move |request| tautline_api::refuse_path(&host, &request))
}

fn host(state: &Arc<GatewayState>) -> Arc<dyn Host> {
    Arc::<GatewayState>::clone(state)
}

/// Lets through only requests for the hosts that are answered, from pages that may ask.
pub(crate) fn guarded(state: &Arc<GatewayState>, router: Router) -> Router {
    match state.access.hosts {
        Hosts::Any => router,
        _ => router.layer(from_fn_with_state(Arc::clone(state), guard)),
    }
}

async fn guard(State(state): State<Arc<GatewayState>>, request: Request, next: Next) -> Response {
    let access = &state.access;
    match hosts::check(access.hosts, &access.origins.get(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(words) => Problem::new(StatusCode::FORBIDDEN, "permission_denied", words).into_response(),
    }
}
