//! The HTTP API: publishing for back ends, and health for load balancers.

use std::{borrow::Cow, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use sha2::{Digest as _, Sha256};
use tautline_protocol::{
    ChannelName, ErrorCode,
    packet::{ErrorBody, server::Published},
};

use crate::{gateway::Shared, reject::Reject};

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

#[derive(Deserialize)]
struct PublishBody<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
}

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v1/publish", post(publish))
        .route("/health/live", get(async || Json(json!({"status": "live"}))))
        .route("/health/ready", get(ready))
}

async fn ready(State(gateway): State<Arc<Shared>>) -> Response {
    if *gateway.draining.borrow() {
        return Reject::new(StatusCode::SERVICE_UNAVAILABLE, "draining", "this node is going down")
            .into_response();
    }
    Json(json!({"status": "ready"})).into_response()
}

async fn publish(State(gateway): State<Arc<Shared>>, request: Request) -> Result<Json<Published>, Reject> {
    authorize(&gateway.api_keys, request.headers())?;
    let body = read(&gateway, request.into_body()).await?;
    let PublishBody { channel, data, tags } = serde_json::from_slice(&body)
        .map_err(|error| Reject::bad_request(format!("the body is not {{channel, data, tags?}}: {error}")))?;
    let channel = ChannelName::parse(&channel)
        .map_err(|error| Reject::bad_request(format!("`channel` is no channel's name: {error}")))?;
    if tags.is_some_and(|tags| !tags.get().starts_with('{')) {
        return Err(Reject::bad_request("`tags` is no object"));
    }
    gateway.hub.publish(gateway.clock.now(), &channel, data, tags).map(Json).map_err(refused)
}

fn authorize(keys: &ApiKeys, headers: &HeaderMap) -> Result<(), Reject> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = header
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if key.is_some_and(|(_, key)| keys.contain(key.trim())) {
        return Ok(());
    }
    let words = "this takes `Authorization: Bearer` and one of the keys that the gateway was given";
    Err(Reject::new(StatusCode::UNAUTHORIZED, "unauthorized", words).with(WWW_AUTHENTICATE, "Bearer"))
}

async fn read(gateway: &Shared, body: Body) -> Result<Bytes, Reject> {
    let bytes_max = gateway.config.api_body_bytes_max;
    let read = axum::body::to_bytes(body, bytes_max);
    match tokio::time::timeout(gateway.config.http_request_timeout, read).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => {
            let words = format!("the body broke off, or is larger than {bytes_max} bytes");
            Err(Reject::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", words))
        }
        Err(_) => Err(Reject::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body took too long")),
    }
}

fn refused(error: ErrorBody) -> Reject {
    let status = match error.code {
        ErrorCode::Overloaded | ErrorCode::Limit | ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::BadRequest => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Reject::new(status, error.code.as_str(), error.message)
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
