//! HTTP error responses: `{"error":{"code":…,"message":…}}`.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header::RETRY_AFTER};
use serde_json::{Value, json};

/// A refused request.
#[derive(Debug)]
pub(crate) struct HttpError {
    status: StatusCode,
    code: String,
    message: String,
    retry_after_ms: Option<u64>,
    headers: Vec<(HeaderName, &'static str)>,
}

impl HttpError {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            retry_after_ms: None,
            headers: Vec::new(),
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// When a retry may succeed.
    pub(crate) fn retry_after(mut self, ms: Option<u64>) -> Self {
        self.retry_after_ms = ms;
        self
    }

    pub(crate) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// The body of every error response.
pub(crate) fn body(code: &str, message: &str, retry_after_ms: Option<u64>) -> Value {
    let mut error = json!({"code": code, "message": message});
    if let Some(ms) = retry_after_ms {
        error["retry_after_ms"] = json!(ms);
    }
    json!({"error": error})
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let body = body(&self.code, &self.message, self.retry_after_ms);
        let mut response = (self.status, Json(body)).into_response();
        if let Some(ms) = self.retry_after_ms {
            // RFC 9110 §10.2.3: whole seconds.
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
        }
        let headers = self.headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value)));
        response.headers_mut().extend(headers);
        response
    }
}
