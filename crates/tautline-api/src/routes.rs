//! The routes, each with its part of the document.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Host, acting, channels, document, page,
    problem::Problem,
    publishing,
    request::{SharedHost, authorize},
    sessions, stats, traced, users, webhooks,
};

/// The routes of the API on a host.
pub fn router<S: Clone + Send + Sync + 'static>(host: Arc<dyn Host>) -> Router<S> {
    let (router, _) = documented().split_for_parts();
    traced::layer(&host, router.method_not_allowed_fallback(wrong_method)).with_state(host)
}

/// The routes, with what the document says of each.
pub(crate) fn documented() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::with_openapi(document::base())
        .routes(routes!(publishing::publish))
        .routes(routes!(publishing::push))
        .routes(routes!(publishing::broadcast))
        .routes(routes!(publishing::push_many))
        .routes(routes!(publishing::batch))
        .routes(routes!(users::inbox))
        .routes(routes!(channels::history))
        .routes(routes!(channels::standing))
        .routes(routes!(channels::presence))
        .routes(routes!(sessions::sessions))
        .routes(routes!(sessions::session))
        .routes(routes!(users::online))
        .routes(routes!(users::bans))
        .routes(routes!(stats::stats))
        .routes(routes!(acting::kick))
        .routes(routes!(acting::disconnect))
        .routes(routes!(acting::subscribe))
        .routes(routes!(acting::unsubscribe))
        .routes(routes!(acting::ban))
        .routes(routes!(acting::unban))
        .routes(routes!(acting::forget))
        .routes(routes!(acting::revoke))
        .routes(routes!(webhooks::webhooks))
        .routes(routes!(webhooks::replay_webhook))
        .routes(routes!(webhooks::enable_webhook))
        .routes(routes!(webhooks::disable_webhook))
        .routes(routes!(document::document))
        .routes(routes!(page::page))
}

async fn wrong_method(State(host): State<SharedHost>, request: Request) -> Problem {
    let problem = Problem::of_kind("method_not_allowed", format!("this path takes no {}", request.method()));
    refused(&host, &request, problem)
}

/// The answer for a path that no route matches. Checks the key first: a request without one learns nothing about the API.
#[must_use]
pub fn refuse_path(host: &Arc<dyn Host>, request: &Request) -> Problem {
    refused(host, request, Problem::of_kind("not_found", "there is no such path"))
}

fn refused(host: &SharedHost, request: &Request, problem: Problem) -> Problem {
    let path = request.uri().path();
    let is_api = path == "/api" || path.starts_with("/api/");
    let unauthorized =
        is_api.then(|| authorize(host, request.headers(), request.extensions(), None).err()).flatten();
    unauthorized.unwrap_or(problem)
}
