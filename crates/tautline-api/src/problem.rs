//! Refused requests as RFC 9457 problems: `application/problem+json`.
//!
//! [`KINDS`] lists every code with its status, its title and what helps; the page of the API shows the same list, and the
//! `type` of a problem is a link to its line.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;
use tautline_protocol::{Cursor, packet::ErrorBody};
use utoipa::ToSchema;

use crate::names::Position;

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A kind of problem.
pub(crate) struct Kind {
    pub(crate) code: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
    /// What the caller can do.
    pub(crate) help: &'static str,
}

const fn kind(code: &'static str, status: StatusCode, title: &'static str, help: &'static str) -> Kind {
    Kind { code, status, title, help }
}

/// All kinds of problems.
pub(crate) const KINDS: [Kind; 17] = [
    kind(
        "bad_request",
        StatusCode::BAD_REQUEST,
        "The request is malformed",
        "Correct the member that `field` points at, or what `detail` names. Repeating the same does not help.",
    ),
    kind(
        "unauthorized",
        StatusCode::UNAUTHORIZED,
        "No valid API key",
        "Send `Authorization: Bearer` with a key of this gateway.",
    ),
    kind(
        "permission_denied",
        StatusCode::FORBIDDEN,
        "Not permitted",
        "The key lacks the scope that `detail` names: use another key, or give it the scope.",
    ),
    kind("not_found", StatusCode::NOT_FOUND, "Not found", "The path, or what it names, is not on this node."),
    kind(
        "method_not_allowed",
        StatusCode::METHOD_NOT_ALLOWED,
        "Method not allowed",
        "Use a method that the header `Allow` lists.",
    ),
    kind(
        "upgrade_required",
        StatusCode::UPGRADE_REQUIRED,
        "Only for WebSockets",
        "Open a WebSocket, version 13.",
    ),
    kind(
        "timeout",
        StatusCode::REQUEST_TIMEOUT,
        "The body took too long",
        "Send the whole body at once. Nothing was done.",
    ),
    kind(
        "conflict",
        StatusCode::CONFLICT,
        "Conflict",
        "The idempotency key belongs to another publication, or the channel's head is not the expected one. Nothing was \
         published.",
    ),
    kind(
        "gap",
        StatusCode::CONFLICT,
        "The position is not in the log",
        "The log cannot prove what follows the position: it belongs to another epoch, or was not kept so long. Read from \
         the oldest publication that is kept.",
    ),
    kind(
        "too_large",
        StatusCode::PAYLOAD_TOO_LARGE,
        "Too large",
        "Send less at once; `api_body_bytes_max` is the limit of a body.",
    ),
    kind(
        "rate_limited",
        StatusCode::TOO_MANY_REQUESTS,
        "Too many requests",
        "Repeat after `retry_after_ms`. Nothing was done.",
    ),
    kind(
        "limit",
        StatusCode::SERVICE_UNAVAILABLE,
        "A limit of the node is reached",
        "`detail` names the limit. Raise it, or free what it counts.",
    ),
    kind(
        "overloaded",
        StatusCode::SERVICE_UNAVAILABLE,
        "Overloaded",
        "Repeat after `retry_after_ms`. Nothing was done.",
    ),
    kind(
        "unavailable",
        StatusCode::SERVICE_UNAVAILABLE,
        "The engine is unavailable",
        "Repeat later. The gateway's log says why.",
    ),
    kind(
        "draining",
        StatusCode::SERVICE_UNAVAILABLE,
        "Draining",
        "This node is about to stop: use another one.",
    ),
    kind(
        "in_doubt",
        StatusCode::INTERNAL_SERVER_ERROR,
        "The outcome is unknown",
        "Repeat it with the same idempotency key: then it happens once.",
    ),
    kind(
        "internal",
        StatusCode::INTERNAL_SERVER_ERROR,
        "Internal error",
        "A fault of the gateway: its log says more.",
    ),
];

/// The code of a problem, in the extensions of its response: for those who keep records of outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProblemCode(pub Cow<'static, str>);

/// A refused request.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: Box<str>,
    field: Option<Box<str>>,
    retry_after_ms: Option<u64>,
    head: Option<Box<Cursor>>,
    headers: Vec<(HeaderName, &'static str)>,
}

/// The body of a problem.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// A link to what helps.
    #[schema(format = "uri-reference")]
    r#type: String,
    /// The same for every problem of a code.
    title: Cow<'static, str>,
    /// The status of the response.
    #[schema(minimum = 100, maximum = 599)]
    status: u16,
    /// What is wrong with this request, for people.
    detail: String,
    /// Machine-readable.
    code: Cow<'static, str>,
    /// The member of the request's body at fault, as a JSON pointer (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<String>,
    /// When a retry may succeed, in milliseconds from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after_ms: Option<u64>,
    /// With `conflict`: the head of the log at present, where another one was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    head: Option<Position>,
    /// `code`, `detail` and `retry_after_ms` again, as older versions wrote them.
    #[schema(deprecated)]
    error: ErrorMember,
}

/// The older form of a problem.
#[derive(Debug, Serialize, ToSchema)]
struct ErrorMember {
    code: Cow<'static, str>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after_ms: Option<u64>,
}

impl Problem {
    /// With a status, a code and words for people.
    pub fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            detail: detail.into().into(),
            field: None,
            retry_after_ms: None,
            head: None,
            headers: Vec::new(),
        }
    }

    /// `bad_request`.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// `unavailable`.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::of_kind("unavailable", detail)
    }

    /// With the status of one of the codes that the page of the API lists.
    pub fn of_kind(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(status_of(code), code, detail)
    }

    /// The member of the request's body at fault, as a JSON pointer.
    #[must_use]
    pub(crate) fn at(mut self, field: String) -> Self {
        self.field = Some(field.into());
        self
    }

    /// When a retry may succeed.
    #[must_use]
    pub fn retry_after(mut self, ms: Option<u64>) -> Self {
        self.retry_after_ms = ms;
        self
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn into_body(self) -> ProblemBody {
        let title = KINDS.iter().find(|kind| kind.code == self.code).map(|kind| kind.title);
        let title = title.or_else(|| self.status.canonical_reason()).unwrap_or("Refused");
        ProblemBody {
            r#type: format!("/api/docs#{}", self.code),
            title: title.into(),
            status: self.status.as_u16(),
            field: self.field.map(String::from),
            retry_after_ms: self.retry_after_ms,
            head: self.head.map(|head| Position::from(*head)),
            error: ErrorMember {
                code: self.code.clone(),
                message: self.detail.to_string(),
                retry_after_ms: self.retry_after_ms,
            },
            detail: self.detail.into(),
            code: self.code,
        }
    }

    /// The body, for responses that are written without axum.
    #[must_use]
    pub fn into_json(self) -> Vec<u8> {
        serde_json::to_vec(&self.into_body()).expect("a problem is text and numbers")
    }
}

fn status_of(code: &str) -> StatusCode {
    let kind = KINDS.iter().find(|kind| kind.code == code);
    kind.map_or(StatusCode::INTERNAL_SERVER_ERROR, |kind| kind.status)
}

/// The hub's refusal.
impl From<ErrorBody> for Problem {
    fn from(error: ErrorBody) -> Self {
        let code = error.code.as_str();
        let problem = Self::new(status_of(code), code.to_owned(), error.message);
        Self { head: error.head, ..problem.retry_after(error.retry_after_ms) }
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let (status, headers) = (self.status, std::mem::take(&mut self.headers));
        let (retry_after_ms, code) = (self.retry_after_ms, ProblemCode(self.code.clone()));
        let mut response = (status, [(CONTENT_TYPE, PROBLEM_JSON)], self.into_json()).into_response();
        if let Some(ms) = retry_after_ms {
            // RFC 9110 §10.2.3: whole seconds.
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
        }
        let headers = headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value)));
        response.headers_mut().extend(headers);
        response.extensions_mut().insert(code);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_a_reply_has_a_kind() {
        use tautline_protocol::ErrorCode;
        for code in [
            ErrorCode::BadRequest,
            ErrorCode::TooLarge,
            ErrorCode::RateLimited,
            ErrorCode::Limit,
            ErrorCode::Overloaded,
            ErrorCode::Unavailable,
            ErrorCode::InDoubt,
            ErrorCode::Gap,
            ErrorCode::Internal,
        ] {
            assert!(KINDS.iter().any(|kind| kind.code == code.as_str()), "{code:?}");
        }
    }

    #[test]
    fn problem_links_its_help_and_keeps_the_older_form() {
        let problem = Problem::from(ErrorBody {
            retry_after_ms: Some(1500),
            ..ErrorBody::new(tautline_protocol::ErrorCode::Overloaded, "full")
        });
        let response = problem.into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        let body =
            serde_json::json!(Problem::of_kind("conflict", "other data").at("/data".into()).into_body());
        assert_eq!(body["type"], "/api/docs#conflict");
        assert_eq!((&body["status"], &body["field"]), (&409.into(), &"/data".into()));
        assert_eq!(body["error"], serde_json::json!({"code": "conflict", "message": "other data"}));
    }
}
