//! What the app's back end has answered.
//!
//! Start at [`read`]. docs/guide/hooks.md has the same as a table.

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::value::RawValue;
use tautline_hub::Disconnect;
use tautline_protocol::{ByeCode, ErrorCode, is_bidi_control};

/// The longest code and message of an error. A longer code is `internal`, and of a message the rest is left out.
const CODE_BYTES_MAX: usize = 64;
const MESSAGE_CHARS_MAX: usize = 1_000;
/// The largest integer that every client can read.
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// What comes of a question.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The answer's `result`.
    Result(Box<RawValue>),
    /// An answer without a body: yes, unless more has to be said.
    Empty,
    /// The back end refuses, in its own words.
    Error(HookError),
    /// The back end ends the connection.
    Disconnect(Disconnect),
    /// There is no answer that could be used.
    Failed(Failure),
}

/// An error of the back end's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HookError {
    pub(super) code: ErrorCode,
    pub(super) message: String,
    pub(super) retry_after_ms: Option<u64>,
}

/// Why there is no answer. The texts are for clients: they name no address and no status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// The queue is full, or the wait for a turn was too long.
    #[error("too many requests wait for the back end")]
    Busy,
    /// It was not asked, because it has failed of late.
    #[error("the back end fails: it is left alone for a while")]
    Resting {
        /// When it is asked again, in milliseconds.
        retry_after_ms: u64,
    },
    /// Nothing was sent.
    #[error("the back end cannot be reached")]
    Unreachable,
    /// The connection was lost, or a gateway before the back end lost its own: it may have done what it was asked.
    #[error("the connection to the back end was lost")]
    Lost,
    #[error("the back end took too long")]
    Timeout,
    /// It does not serve at present.
    #[error("the back end is not available")]
    Unavailable {
        /// As `Retry-After` says, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// It answered with a status that says nothing of the request.
    #[error("the back end failed")]
    Status(u16),
    /// It answered with something else than the format of answers.
    #[error("the back end's answer is not valid")]
    Unusable(&'static str),
}

impl Failure {
    /// Whether asking again may help at once.
    pub(super) fn is_transient(self) -> bool {
        matches!(self, Self::Unreachable | Self::Lost | Self::Unavailable { .. })
    }

    /// Whether the back end cannot have done what it was asked.
    pub(super) fn is_unsent(self) -> bool {
        matches!(self, Self::Busy | Self::Resting { .. } | Self::Unreachable)
    }

    pub(super) fn retry_after_ms(self) -> Option<u64> {
        match self {
            Self::Resting { retry_after_ms } => Some(retry_after_ms),
            Self::Unavailable { retry_after_ms } => retry_after_ms,
            Self::Busy => Some(1_000),
            _ => None,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    result: Option<Box<RawValue>>,
    error: Option<ErrorMember>,
    disconnect: Option<DisconnectMember>,
}

/// `error`; numbers are codes as well.
#[derive(Deserialize)]
struct ErrorMember {
    code: Option<Word>,
    #[serde(default)]
    message: String,
    retry_after_ms: Option<u64>,
}

#[derive(Deserialize)]
struct DisconnectMember {
    code: Option<Word>,
    #[serde(default, alias = "reason")]
    message: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Text(String),
    Number(i64),
}

impl Word {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

/// RFC 9457.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    #[serde(rename = "type")]
    kind: Option<String>,
    title: Option<String>,
    detail: Option<String>,
    code: Option<String>,
    retry_after_ms: Option<u64>,
}

/// Reads a whole answer.
pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Outcome {
    match status.as_u16() {
        200..=299 => read_success(status, headers, body),
        300..=399 => Outcome::Failed(Failure::Unusable("a redirect, which is not followed")),
        502 | 504 => Outcome::Failed(Failure::Lost),
        503 => Outcome::Failed(Failure::Unavailable { retry_after_ms: retry_after(headers) }),
        // Most often the signature was refused, which is between the two servers.
        status @ (401 | 407 | 500..) => Outcome::Failed(Failure::Status(status)),
        status => read_refusal(status, headers, body),
    }
}

fn read_success(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Outcome {
    // Without its length, an empty body is that of a back end that has died before it wrote one.
    let says_empty = || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0");
    if body.is_empty() && (status == StatusCode::NO_CONTENT || says_empty()) {
        return Outcome::Empty;
    }
    let body = body.trim_ascii();
    // serde would take a list for the members in their order.
    let answer = body.starts_with(b"{").then(|| serde_json::from_slice::<Answer>(body).ok()).flatten();
    let unusable = || Outcome::Failed(Failure::Unusable("no object with `result`, `error` or `disconnect`"));
    let Some(answer) = answer else { return unusable() };
    if let Some(disconnect) = answer.disconnect {
        let is_login = disconnect.code.is_some_and(|code| code.into_text() == ByeCode::TokenExpired.as_str());
        let code = if is_login { ByeCode::TokenExpired } else { ByeCode::Kicked };
        return Outcome::Disconnect(Disconnect { code, message: plain(&disconnect.message) });
    }
    if let Some(ErrorMember { code, message, retry_after_ms }) = answer.error {
        let code = code.map_or_else(|| "internal".to_owned(), Word::into_text);
        return Outcome::Error(HookError::new(&code, &message, retry_after_ms));
    }
    answer.result.map_or_else(unusable, Outcome::Result)
}

impl HookError {
    /// The back end's words, within what clients and logs take.
    fn new(code: &str, message: &str, retry_after_ms: Option<u64>) -> Self {
        let is_code =
            (1..=CODE_BYTES_MAX).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_graphic());
        Self {
            code: if is_code { ErrorCode::from(code) } else { ErrorCode::Internal },
            message: plain(message),
            retry_after_ms: retry_after_ms.map(|ms| ms.min(INTEGER_MAX)),
        }
    }
}

/// A text without what changes how the text around it is shown, and no longer than one is read.
fn plain(text: &str) -> String {
    let is_plain = |c: char| !c.is_control() && !is_bidi_control(c);
    text.chars().take(MESSAGE_CHARS_MAX).map(|c| if is_plain(c) { c } else { ' ' }).collect()
}

/// A status 4xx, with a problem document or without one.
fn read_refusal(status: u16, headers: &HeaderMap, body: &[u8]) -> Outcome {
    let is_problem = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.to_str().is_ok_and(|value| value.starts_with("application/problem+json")));
    let problem = is_problem.then(|| serde_json::from_slice(body).ok()).flatten();
    let Problem { kind, title, detail, code, retry_after_ms } = problem.unwrap_or_default();
    let of_kind = kind.as_deref().and_then(|kind| kind.rsplit('/').next());
    let of_kind = of_kind.filter(|word| !word.is_empty() && *word != "about:blank").map(str::to_owned);
    let Some(code) = code.or(of_kind).or_else(|| code_of(status).map(str::to_owned)) else {
        return Outcome::Failed(Failure::Status(status));
    };
    let message = detail.or(title).unwrap_or_else(|| "the back end refuses this".to_owned());
    Outcome::Error(HookError::new(&code, &message, retry_after_ms.or_else(|| retry_after(headers))))
}

fn code_of(status: u16) -> Option<&'static str> {
    Some(match status {
        400 | 422 => "bad_request",
        403 => "permission_denied",
        404 => "not_found",
        409 => "conflict",
        413 => "too_large",
        429 => "rate_limited",
        _ => return None,
    })
}

/// `Retry-After` in milliseconds; as a date it is not read.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(seconds.saturating_mul(1000).min(INTEGER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Outcome {
        let pairs = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        });
        read(StatusCode::from_u16(status).unwrap(), &pairs.collect(), body.as_bytes())
    }

    fn failure(status: u16, body: &str) -> Failure {
        match answered(status, &[("retry-after", "7")], body) {
            Outcome::Failed(failure) => failure,
            other => panic!("{status} {body}: {other:?}"),
        }
    }

    fn error(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &str,
    ) -> (String, String, Option<u64>) {
        match answered(status, headers, body) {
            Outcome::Error(error) => (error.code.to_string(), error.message, error.retry_after_ms),
            other => panic!("{status} {body}: {other:?}"),
        }
    }

    #[test]
    fn result_is_passed_as_it_is() {
        for (body, result) in [
            (r#"{"result":{"data":[1, 2]}}"#, r#"{"data":[1, 2]}"#),
            (r#"{"more":1,"result":{},"error":null}"#, "{}"),
        ] {
            let Outcome::Result(read) = answered(200, &[], body) else { panic!("{body}") };
            assert_eq!(read.get(), result);
        }
    }

    #[test]
    fn empty_answer_has_to_be_meant() {
        assert!(matches!(answered(204, &[], ""), Outcome::Empty));
        assert!(matches!(answered(200, &[("content-length", "0")], ""), Outcome::Empty));
        for (status, length, body) in [(200, "7", ""), (202, "2", "{}"), (200, "2", " \n"), (204, "2", "{}")]
        {
            let answer = answered(status, &[("content-length", length)], body);
            assert!(matches!(answer, Outcome::Failed(Failure::Unusable(_))), "{status} {body:?}: {answer:?}");
        }
        // The connection has ended before the body.
        assert!(matches!(answered(200, &[], ""), Outcome::Failed(_)));
        assert!(matches!(answered(200, &[("content-type", "text/html")], ""), Outcome::Failed(_)));
    }

    #[test]
    fn words_of_a_back_end_are_bounded() {
        let long = format!(
            r#"{{"error":{{"code":"a\nb","message":"x\n\u202e{}","retry_after_ms":18446744073709551615}}}}"#,
            "é".repeat(60_000)
        );
        let (code, message, retry_after_ms) = error(200, &[], &long);
        assert_eq!(
            (code.as_str(), message.chars().count(), retry_after_ms),
            ("internal", 1_000, Some(INTEGER_MAX))
        );
        assert!(message.starts_with("x  é"), "no line breaks, and no change of direction");
        for code in ["", r"ab\u0000", &"c".repeat(65)] {
            assert_eq!(error(200, &[], &format!(r#"{{"error":{{"code":"{code}"}}}}"#)).0, "internal");
        }
        let disconnect = format!(r#"{{"disconnect":{{"message":"{}"}}}}"#, "y".repeat(5_000));
        let Outcome::Disconnect(disconnect) = answered(200, &[], &disconnect) else { panic!() };
        assert_eq!(disconnect.message.len(), 1_000);
    }

    #[test]
    fn error_has_code_message_and_delay() {
        let full = r#"{"error":{"code":"sold_out","message":"tomorrow","retry_after_ms":9}}"#;
        assert_eq!(error(200, &[], full), ("sold_out".into(), "tomorrow".into(), Some(9)));
        // As Centrifugo's back ends answer.
        let numbered = r#"{"error":{"code":1000,"message":"no","temporary":true}}"#;
        assert_eq!(error(200, &[], numbered), ("1000".into(), "no".into(), None));
    }

    #[test]
    fn problem_document_is_an_error() {
        let problem = [("content-type", "application/problem+json; charset=utf-8"), ("retry-after", "2")];
        let body = r#"{"type":"https://shop.example/problems/sold_out","title":"t","detail":"d"}"#;
        assert_eq!(error(409, &problem, body), ("sold_out".into(), "d".into(), Some(2_000)));
        let body = r#"{"type":"about:blank","title":"t","code":"gone"}"#;
        assert_eq!(error(410, &problem, body), ("gone".into(), "t".into(), Some(2_000)));
    }

    #[test]
    fn bare_status_has_a_code_of_the_protocol() {
        for (status, code) in [
            (400, "bad_request"),
            (403, "permission_denied"),
            (404, "not_found"),
            (409, "conflict"),
            (413, "too_large"),
            (422, "bad_request"),
            (429, "rate_limited"),
        ] {
            assert_eq!(error(status, &[], "<html>").0, code);
        }
    }

    #[test]
    fn disconnect_kicks_unless_it_asks_for_a_login() {
        for (body, code) in [
            (r#"{"disconnect":{"code":4501,"reason":"bye"}}"#, ByeCode::Kicked),
            (r#"{"disconnect":{"message":"bye"}}"#, ByeCode::Kicked),
            (r#"{"disconnect":{"code":"token_expired","message":"bye"}}"#, ByeCode::TokenExpired),
        ] {
            let Outcome::Disconnect(disconnect) = answered(200, &[], body) else { panic!("{body}") };
            assert_eq!(disconnect, Disconnect { code, message: "bye".to_owned() });
        }
    }

    #[test]
    fn answer_without_sense_is_a_failure_of_its_kind() {
        assert!(matches!(failure(302, ""), Failure::Unusable(_)));
        let no_member = [r#"{"status":"maintenance"}"#, r#"{"errors":{}}"#, r#"{"Error":{"code":"x"}}"#];
        let null = [r#"{"error":null}"#, r#"{"result":null}"#, "{}"];
        let garbage = ["<html>", "[]", "7", r#"{"error":7}"#, r#"{"result":"#];
        for garbage in [&no_member[..], &null, &garbage].concat() {
            assert!(matches!(failure(200, garbage), Failure::Unusable(_)), "{garbage}");
        }
        assert_eq!(failure(503, ""), Failure::Unavailable { retry_after_ms: Some(7_000) });
        assert_eq!((failure(502, ""), failure(504, "")), (Failure::Lost, Failure::Lost));
        for status in [401, 402, 405, 418, 500, 501, 599] {
            assert_eq!(failure(status, r#"{"error":{"code":"x"}}"#), Failure::Status(status));
        }
    }
}
