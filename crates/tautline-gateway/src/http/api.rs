//! The HTTP API: publishing for back ends, and health for load balancers.

use std::{
    borrow::Cow,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
};

use axum::{
    Json, Router,
    body::{Body, HttpBody as _},
    extract::{Path, Request, State, rejection::PathRejection},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::{Bytes, BytesMut};
use http::{
    Extensions, HeaderMap, StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tautline_hub::{Inbox, PublishOptions, RevokeLogins, Revoked};
use tautline_protocol::{
    ChannelName, DATA_DEPTH_MAX, ErrorCode, InvalidName, UserId,
    json::is_too_deep,
    packet::{ErrorBody, server::Published},
};

use super::error::HttpError;
use crate::state::GatewayState;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
const NO_SUCH_PATH: &str = "there is no such path";

/// `POST /api/v1/publish`
#[derive(Deserialize)]
struct PublishBody<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
}

/// `POST /api/v1/push`
#[derive(Deserialize)]
struct PushBody<'a> {
    #[serde(borrow)]
    user: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
}

/// `POST /api/v1/revoke`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevokeBody<'a> {
    #[serde(borrow)]
    session: Option<Cow<'a, str>>,
    #[serde(borrow)]
    user: Option<Cow<'a, str>>,
    #[serde(borrow)]
    token: Option<Cow<'a, str>>,
    issued_before: Option<u64>,
    until: Option<u64>,
}

pub(crate) fn routes() -> Router<Arc<GatewayState>> {
    Router::new()
        .route("/api/v1/publish", post(publish))
        .route("/api/v1/push", post(push))
        .route("/api/v1/revoke", post(revoke))
        .route("/api/v1/users/{id}/inbox", get(inbox))
        .method_not_allowed_fallback(wrong_method)
}

pub(crate) fn health_routes() -> Router<Arc<GatewayState>> {
    Router::new()
        .route("/health/live", get(async || Json(json!({"status": "live"}))))
        .route("/health/ready", get(ready))
        .method_not_allowed_fallback(wrong_method)
}

/// Checks the key first: a request without one learns nothing about the API.
async fn wrong_method(State(state): State<Arc<GatewayState>>, request: Request) -> HttpError {
    let words = format!("this path takes no {}", request.method());
    refuse_path(&state, &request, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", words)
}

/// A path that no route matches, where the gateway has the whole port.
pub(crate) async fn unknown_path(state: Arc<GatewayState>, request: Request) -> HttpError {
    refuse_path(&state, &request, StatusCode::NOT_FOUND, "not_found", NO_SUCH_PATH.to_owned())
}

/// The same on a listener without the API.
pub(crate) async fn not_found() -> HttpError {
    HttpError::new(StatusCode::NOT_FOUND, "not_found", NO_SUCH_PATH)
}

fn refuse_path(
    state: &GatewayState,
    request: &Request,
    status: StatusCode,
    code: &str,
    words: String,
) -> HttpError {
    let is_api = request.uri().path() == "/api" || request.uri().path().starts_with("/api/");
    let unauthorized =
        is_api.then(|| authorize(state, request.headers(), request.extensions()).err()).flatten();
    unauthorized.unwrap_or_else(|| HttpError::new(status, code, words))
}

async fn ready(State(state): State<Arc<GatewayState>>) -> Response {
    if state.not_ready.load(Ordering::Acquire) {
        return HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "draining", "this node is draining")
            .into_response();
    }
    if !state.hub.takes_appends() {
        let words = "the engine stores no publications at present";
        return HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", words).into_response();
    }
    Json(json!({"status": "ready"})).into_response()
}

async fn publish(
    State(state): State<Arc<GatewayState>>,
    request: Request,
) -> Result<Json<Published>, HttpError> {
    let (headers, body) = authorize_and_read(&state, request).await?;
    let PublishBody { channel, data, tags } = serde_json::from_slice(&body).map_err(|error| {
        HttpError::bad_request(format!("the body is not {{channel, data, tags?}}: {error}"))
    })?;
    let channel = ChannelName::parse(&channel)
        .map_err(|error| HttpError::bad_request(format!("`channel` is no channel's name: {error}")))?;
    append(&state, &headers, &channel, data, tags).await
}

/// Publishes to a user's inbox, whether or not the user is online.
async fn push(
    State(state): State<Arc<GatewayState>>,
    request: Request,
) -> Result<Json<Published>, HttpError> {
    let (headers, body) = authorize_and_read(&state, request).await?;
    let PushBody { user, data, tags } = serde_json::from_slice(&body)
        .map_err(|error| HttpError::bad_request(format!("the body is not {{user, data, tags?}}: {error}")))?;
    let channel = ChannelName::of_user(&parse_user(&user)?).map_err(|error| no_user(&error))?;
    append(&state, &headers, &channel, data, tags).await
}

/// Revokes the logins of a session, of a user, or by a token.
async fn revoke(
    State(state): State<Arc<GatewayState>>,
    request: Request,
) -> Result<Json<Revoked>, HttpError> {
    const FORM: &str = "the body is {session}, {user, issued_before?, until?} or {token, until?}";
    let (_, body) = authorize_and_read(&state, request).await?;
    let body: RevokeBody<'_> =
        serde_json::from_slice(&body).map_err(|error| HttpError::bad_request(format!("{FORM}: {error}")))?;
    let RevokeBody { session, user, token, issued_before, until } = body;
    let logins = match (session, user, token, issued_before, until) {
        (Some(session), None, None, None, None) => RevokeLogins::Session(session.into_owned()),
        (None, Some(user), None, issued_before_ms, _) => {
            RevokeLogins::User { user: parse_user(&user)?, issued_before_ms }
        }
        (None, None, Some(token), None, _) => RevokeLogins::Token(token.into_owned()),
        _ => return Err(HttpError::bad_request(FORM)),
    };
    state.revoke(&logins, until).await.map(Json).map_err(refused)
}

/// Reports how far an inbox is sent, delivered and acknowledged, which are three different things.
async fn inbox(
    State(state): State<Arc<GatewayState>>,
    user: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Json<Inbox>, HttpError> {
    let key = authorize(&state, &headers, &extensions)?;
    state.hub.charge_api_key(state.clock.now(), key, None).map_err(refused)?;
    let Path(user) = user.map_err(|_| HttpError::bad_request("the user's id in the path is no UTF-8"))?;
    state.inbox(&parse_user(&user)?).await.map(Json).map_err(refused)
}

fn parse_user(user: &str) -> Result<UserId, HttpError> {
    UserId::parse(user).map_err(|error| no_user(&error))
}

fn no_user(error: &InvalidName) -> HttpError {
    HttpError::bad_request(format!("`user` is no user's id: {error}"))
}

/// Checks the key, reads the body, and charges the key for it.
async fn authorize_and_read(state: &GatewayState, request: Request) -> Result<(HeaderMap, Bytes), HttpError> {
    let key = authorize(state, request.headers(), request.extensions())?.to_owned();
    let (parts, body) = request.into_parts();
    let body = read(state, body).await?;
    state.hub.charge_api_key(state.clock.now(), &key, Some(body.len())).map_err(refused)?;
    Ok((parts.headers, body))
}

async fn append(
    state: &GatewayState,
    headers: &HeaderMap,
    channel: &ChannelName,
    data: &RawValue,
    tags: Option<&RawValue>,
) -> Result<Json<Published>, HttpError> {
    if tags.is_some_and(|tags| !tags.get().starts_with('{')) {
        return Err(HttpError::bad_request("`tags` is no object"));
    }
    if is_too_deep(data.get()) || tags.is_some_and(|tags| is_too_deep(tags.get())) {
        let words = format!("`data` and `tags` are nested at most {DATA_DEPTH_MAX} deep");
        return Err(HttpError::bad_request(words));
    }
    let options = PublishOptions { tags, idempotency_key: idempotency_key(headers)? };
    state.publish(channel, data, options).await.map(Json).map_err(refused)
}

/// The key that makes repeating harmless (IETF draft of the HTTP header field `Idempotency-Key`).
fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, HttpError> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match key.to_str() {
        Ok(key) if (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) => Ok(Some(key)),
        _ => {
            let words =
                format!("`Idempotency-Key` is 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters");
            Err(HttpError::bad_request(words))
        }
    }
}

/// The key of the request, if it is one of the gateway's.
fn authorize<'h>(
    state: &GatewayState,
    headers: &'h HeaderMap,
    extensions: &Extensions,
) -> Result<&'h str, HttpError> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = header
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if let Some(key) = key.map(|(_, key)| key.trim()).filter(|key| state.access.api_keys.get().contain(key)) {
        return Ok(key);
    }
    let reason = if key.is_some() { "unknown key" } else { "no bearer key" };
    let address = state.clients.address(extensions, headers);
    state.refusals.log_api_key(state.clock.now(), reason, address);
    let words = "send `Authorization: Bearer` with an API key of this gateway";
    Err(HttpError::new(StatusCode::UNAUTHORIZED, "unauthorized", words).with(WWW_AUTHENTICATE, "Bearer"))
}

async fn read(state: &GatewayState, body: Body) -> Result<Bytes, HttpError> {
    let bytes_max = state.config.api_body_bytes_max;
    let read = collect(body, bytes_max);
    let late = |_| Err(HttpError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body took too long"));
    tokio::time::timeout(state.config.http_body_timeout, read).await.unwrap_or_else(late)
}

async fn collect(mut body: Body, bytes_max: usize) -> Result<Bytes, HttpError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| HttpError::bad_request("the body is incomplete or malformed"))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > bytes_max {
            let words = format!("the body is larger than {bytes_max} bytes");
            return Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", words));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

fn refused(error: ErrorBody) -> HttpError {
    let status = match error.code {
        ErrorCode::Overloaded | ErrorCode::Limit | ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::BadRequest => StatusCode::BAD_REQUEST,
        _ if error.code.as_str() == "conflict" => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    HttpError::new(status, error.code.as_str(), error.message).retry_after(error.retry_after_ms)
}
