//! The HTTP API: publishing for back ends, and health for load balancers.

use std::{
    borrow::Cow,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, Path, Request, State, rejection::PathRejection},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http::{
    Extensions, HeaderMap, StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use sha2::{Digest as _, Sha256};
use tautline_hub::{Inbox, PublishOptions};
use tautline_protocol::{
    ChannelName, DATA_DEPTH_MAX, ErrorCode, InvalidName, UserId,
    json::is_too_deep,
    packet::{ErrorBody, server::Published},
};

use crate::{gateway::GatewayState, http::error::HttpError};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// The keys that back ends may come with, as digests: what is compared then has one length, and tells nothing by the
/// time that comparing takes.
#[derive(Default)]
pub(crate) struct ApiKeys(Vec<[u8; 32]>);

impl ApiKeys {
    pub(crate) fn insert(&mut self, key: &str) {
        self.0.push(Sha256::digest(key).into());
    }

    /// Looks at every key, whichever is right.
    fn contain(&self, key: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let differs = |known: &[u8; 32]| known.iter().zip(digest).fold(0, |sum, (a, b)| sum | (a ^ b));
        self.0.iter().fold(false, |found, known| found | (differs(known) == 0))
    }
}

/// What is published, and where.
#[derive(Deserialize)]
struct PublishBody<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
}

/// What is pushed, and to whom.
#[derive(Deserialize)]
struct PushBody<'a> {
    #[serde(borrow)]
    user: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
}

pub(crate) fn routes() -> Router<Arc<GatewayState>> {
    Router::new()
        .route("/api/v1/publish", post(publish))
        .route("/api/v1/push", post(push))
        .route("/api/v1/users/{id}/inbox", get(inbox))
        .route("/health/live", get(async || Json(json!({"status": "live"}))))
        .route("/health/ready", get(ready))
        .method_not_allowed_fallback(wrong_method)
}

/// Asks for the key first: who has none learns nothing about the API.
async fn wrong_method(State(gateway): State<Arc<GatewayState>>, request: Request) -> HttpError {
    let words = format!("this path takes no {}", request.method());
    refuse_path(&gateway, &request, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", words)
}

/// What no route matches, where the whole port is the gateway's.
pub(crate) async fn unknown_path(gateway: Arc<GatewayState>, request: Request) -> HttpError {
    let words = "there is nothing at this path";
    refuse_path(&gateway, &request, StatusCode::NOT_FOUND, "not_found", words.to_owned())
}

fn refuse_path(
    gateway: &GatewayState,
    request: &Request,
    status: StatusCode,
    code: &str,
    words: String,
) -> HttpError {
    let is_api = request.uri().path() == "/api" || request.uri().path().starts_with("/api/");
    let stranger =
        is_api.then(|| authorize(gateway, request.headers(), request.extensions()).err()).flatten();
    stranger.unwrap_or_else(|| HttpError::new(status, code, words))
}

async fn ready(State(gateway): State<Arc<GatewayState>>) -> Response {
    if gateway.not_ready.load(Ordering::Acquire) {
        return HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "draining", "this node is going down")
            .into_response();
    }
    if !gateway.hub.takes_appends() {
        let words = "publications cannot be stored just now";
        return HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", words).into_response();
    }
    Json(json!({"status": "ready"})).into_response()
}

async fn publish(
    State(gateway): State<Arc<GatewayState>>,
    request: Request,
) -> Result<Json<Published>, HttpError> {
    let (headers, body) = accept(&gateway, request).await?;
    let PublishBody { channel, data, tags } = serde_json::from_slice(&body).map_err(|error| {
        HttpError::bad_request(format!("the body is not {{channel, data, tags?}}: {error}"))
    })?;
    let channel = ChannelName::parse(&channel)
        .map_err(|error| HttpError::bad_request(format!("`channel` is no channel's name: {error}")))?;
    append(&gateway, &headers, &channel, data, tags).await
}

/// Publishes to a user's inbox, whether or not they are online.
async fn push(
    State(gateway): State<Arc<GatewayState>>,
    request: Request,
) -> Result<Json<Published>, HttpError> {
    let (headers, body) = accept(&gateway, request).await?;
    let PushBody { user, data, tags } = serde_json::from_slice(&body)
        .map_err(|error| HttpError::bad_request(format!("the body is not {{user, data, tags?}}: {error}")))?;
    let channel = ChannelName::of_user(&parse_user(&user)?).map_err(|error| no_user(&error))?;
    append(&gateway, &headers, &channel, data, tags).await
}

/// Tells what became of what was pushed: sent is not delivered, and delivered is not acknowledged.
async fn inbox(
    State(gateway): State<Arc<GatewayState>>,
    user: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Json<Inbox>, HttpError> {
    authorize(&gateway, &headers, &extensions)?;
    let Path(user) = user.map_err(|_| HttpError::bad_request("the user's id in the path is no UTF-8"))?;
    gateway.inbox(&parse_user(&user)?).await.map(Json).map_err(refused)
}

fn parse_user(user: &str) -> Result<UserId, HttpError> {
    UserId::parse(user).map_err(|error| no_user(&error))
}

fn no_user(error: &InvalidName) -> HttpError {
    HttpError::bad_request(format!("`user` is no user's id: {error}"))
}

/// Lets the back end in, and reads what it has to say.
async fn accept(gateway: &GatewayState, request: Request) -> Result<(HeaderMap, Bytes), HttpError> {
    authorize(gateway, request.headers(), request.extensions())?;
    let (parts, body) = request.into_parts();
    Ok((parts.headers, read(gateway, body).await?))
}

async fn append(
    gateway: &GatewayState,
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
    gateway.publish(channel, data, options).await.map(Json).map_err(refused)
}

/// The key that makes repeating harmless, as the draft of the HTTP header field `Idempotency-Key` has it.
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

fn authorize(gateway: &GatewayState, headers: &HeaderMap, extensions: &Extensions) -> Result<(), HttpError> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = header
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if key.is_some_and(|(_, key)| gateway.api_keys.contain(key.trim())) {
        return Ok(());
    }
    let reason = if key.is_some() { "the key is not known" } else { "there is no bearer key" };
    let address = extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
    gateway.refusals.of_key(gateway.clock.now(), reason, address);
    let words = "this takes `Authorization: Bearer` and one of the keys that the gateway was given";
    Err(HttpError::new(StatusCode::UNAUTHORIZED, "unauthorized", words).with(WWW_AUTHENTICATE, "Bearer"))
}

async fn read(gateway: &GatewayState, body: Body) -> Result<Bytes, HttpError> {
    let bytes_max = gateway.config.api_body_bytes_max;
    let read = axum::body::to_bytes(body, bytes_max);
    match tokio::time::timeout(gateway.config.http_body_timeout, read).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => {
            let words = format!("the body broke off, or is larger than {bytes_max} bytes");
            Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", words))
        }
        Err(_) => Err(HttpError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body took too long")),
    }
}

fn refused(error: ErrorBody) -> HttpError {
    let status = match error.code {
        ErrorCode::Overloaded | ErrorCode::Limit | ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::BadRequest => StatusCode::BAD_REQUEST,
        _ if error.code.as_str() == "conflict" => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    HttpError::new(status, error.code.as_str(), error.message).retry_after(error.retry_after_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_several_keys_is_good_and_no_other() {
        let mut keys = ApiKeys::default();
        assert!(!keys.contain(""), "without keys nothing is open");
        keys.insert("old");
        keys.insert("new");
        assert!(keys.contain("old") && keys.contain("new"));
        assert!(!keys.contain("ne") && !keys.contain("newer") && !keys.contain(""));
    }
}
