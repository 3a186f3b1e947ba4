//! The trace of a request: taken from its header, or begun; in the answer, in the log, and in what it publishes.
//!
//! Start at [`traced`].

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use tautline_protocol::TraceId;
use tracing::{Level, debug, enabled};

use crate::request::SharedHost;

const TRACEPARENT: HeaderName = HeaderName::from_static(TraceId::HEADER);

/// Runs around every route.
pub(crate) async fn traced(State(host): State<SharedHost>, mut request: Request, next: Next) -> Response {
    let trace_id = trace_of(request.headers()).unwrap_or_else(|| host.hub().new_trace());
    request.extensions_mut().insert(trace_id);
    let logged = enabled!(Level::DEBUG).then(|| (request.method().clone(), request.uri().path().to_owned()));
    let begun = host.now();
    let mut response = next.run(request).await;
    // The number of the gateway's step: the second half of a trace that it has begun, else a part of the caller's.
    let step = u64::try_from(trace_id.get() & u128::from(u64::MAX)).unwrap_or_default();
    let header = HeaderValue::try_from(trace_id.header(step)).expect("hexadecimal digits");
    response.headers_mut().insert(TRACEPARENT, header);
    if let Some((method, path)) = logged {
        let ms = host.now().mono_ms.saturating_sub(begun.mono_ms);
        let status = response.status().as_u16();
        debug!(%method, path, status, ms, %trace_id, "API answered");
    }
    response
}

fn trace_of(headers: &HeaderMap) -> Option<TraceId> {
    TraceId::parse(headers.get(TRACEPARENT)?.to_str().ok()?)
}

/// The routes, traced.
pub(crate) fn layer(host: &SharedHost, router: axum::Router<SharedHost>) -> axum::Router<SharedHost> {
    router.layer(axum::middleware::from_fn_with_state(Arc::clone(host), traced))
}
