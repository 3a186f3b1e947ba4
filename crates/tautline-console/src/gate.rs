//! What every request passes behind the pages: whose it is, whether our page sent it, and what it may do.
//!
//! Start at [`pass`]. An act goes into the audit log before it is done, also where it is refused.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::{HeaderMap, Method, header::COOKIE, request::Parts};
use serde_json::{Map, Value};
use tautline_api::{Caller, Problem, ProblemCode, Scope};
use tokio::task::spawn_blocking;
use tracing::error;

use crate::{
    ConsoleScope,
    operations::{self, Operation},
    origin, random,
    routes::Console,
    sessions::Visitor,
};

/// The cookie with a session's id.
pub(crate) const COOKIE_NAME: &str = "tautline_console";
pub(crate) const CSRF_HEADER: &str = "x-csrf-token";
const REASON_HEADER: &str = "x-reason";
/// The most characters of a reason.
const REASON_CHARS_MAX: usize = 200;
/// The members of a body that say what an act is about.
const TARGETS: [&str; 9] =
    ["target", "subject", "channel", "channels", "user", "users", "session", "token", "webhook"];

/// Lets a request through to its operation, or answers why not.
pub(crate) async fn pass(State(console): State<Arc<Console>>, mut request: Request, next: Next) -> Response {
    let (path, method) = (request.uri().path().to_owned(), request.method().clone());
    let visitor = match enter(&console, &method, request.headers()) {
        Ok(visitor) => visitor,
        Err(problem) => return problem.into_response(),
    };
    let Some(operation) = operations::find(&method, &path) else {
        return Problem::of_kind("not_found", "there is no such path").into_response();
    };
    request.extensions_mut().insert(visitor.clone());
    if operation.scope == ConsoleScope::Read {
        request.extensions_mut().insert(caller(&visitor));
        return next.run(request).await;
    }
    act(&console, operation, visitor, request, next).await
}

/// Whose request it is, and that our page sent it.
pub(crate) fn enter(console: &Console, method: &Method, headers: &HeaderMap) -> Result<Visitor, Problem> {
    let changes = method != Method::GET;
    if changes {
        check_origin(console, headers)?;
    }
    let visitor = find(console, headers)?;
    let token = headers.get(CSRF_HEADER).and_then(|token| token.to_str().ok()).unwrap_or_default();
    if changes && !random::same(token, &visitor.csrf) {
        let words = "the header `X-CSRF-Token` does not have this session's token";
        return Err(Problem::of_kind("permission_denied", words));
    }
    Ok(visitor)
}

pub(crate) fn check_origin(console: &Console, headers: &HeaderMap) -> Result<(), Problem> {
    let checked = origin::check(headers, &console.options.origins);
    checked.map_err(|words| Problem::of_kind("permission_denied", words))
}

/// Whose session the cookie names.
pub(crate) fn find(console: &Console, headers: &HeaderMap) -> Result<Visitor, Problem> {
    let accounts = console.accounts()?;
    let found = cookies(headers).find_map(|id| console.sessions.find(console.host.now(), id, &accounts));
    found.ok_or_else(|| Problem::of_kind("unauthorized", "nobody is signed in here"))
}

/// The ids in the request's cookies. A neighbour on the same host may have set one of the same name.
pub(crate) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE_NAME).map(|(_, id)| id).take(4)
}

/// Runs an act between its two lines of the audit log.
async fn act(
    console: &Arc<Console>,
    operation: &'static Operation,
    visitor: Visitor,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let (body, reason) = (read(console, body).await, reason(&parts.headers));
    let target = body.as_ref().map(|body| target(body)).unwrap_or_default();
    let words = reason.as_deref().unwrap_or_default();
    let at = console.host.now().wall_ms;
    let id = match record(console, at, [&*visitor.name, &*operation.id, &*target, words]).await {
        Ok(id) => id,
        Err(problem) => return problem.into_response(),
    };
    let response = match check(operation, &visitor, body, reason) {
        Err(problem) => problem.into_response(),
        Ok(body) => {
            parts.extensions.insert(caller(&visitor));
            next.run(Request::from_parts(parts, Body::from(body))).await
        }
    };
    settle(console, id, outcome(&response)).await;
    response
}

/// The last words on an act: the scope first, so that nobody learns more than that it lacks.
fn check(
    operation: &Operation,
    visitor: &Visitor,
    body: Result<Bytes, Problem>,
    reason: Result<String, Problem>,
) -> Result<Bytes, Problem> {
    if visitor.scope < operation.scope {
        let words = format!("this account lacks the scope `{}`", operation.scope);
        return Err(Problem::of_kind("permission_denied", words));
    }
    let body = body?;
    reason?;
    Ok(body)
}

/// The operation's scope was checked here: the server API need not know those of the console.
fn caller(visitor: &Visitor) -> Caller {
    let scopes = match visitor.scope {
        ConsoleScope::Read => [Scope::Read].into_iter().collect(),
        ConsoleScope::Act | ConsoleScope::Admin => Scope::ALL.into_iter().collect(),
    };
    Caller { name: format!("console:{}", visitor.name).into(), scopes }
}

pub(crate) async fn read(console: &Console, body: Body) -> Result<Bytes, Problem> {
    let limits = console.host.body_limits();
    let read = tokio::time::timeout(limits.timeout, to_bytes(body, limits.bytes_max)).await;
    let read = read.map_err(|_| Problem::of_kind("timeout", "the body took too long"))?;
    read.map_err(|_| Problem::of_kind("too_large", "the body is too large, or was cut off"))
}

/// Why an account acts: from a header that is percent-encoded, because headers are ASCII.
fn reason(headers: &HeaderMap) -> Result<String, Problem> {
    let words = "the header `X-Reason` says why: 1 to 200 characters, percent-encoded";
    let refused = || Problem::bad_request(words);
    let text = headers.get(REASON_HEADER).and_then(|header| header.to_str().ok()).ok_or_else(refused)?;
    let reason = percent_decoded(text).ok_or_else(refused)?;
    let reason = reason.trim();
    let is_fit = (1..=REASON_CHARS_MAX).contains(&reason.chars().count());
    if is_fit { Ok(reason.to_owned()) } else { Err(refused()) }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// What an act is about, without its payload.
fn target(body: &[u8]) -> String {
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else { return String::new() };
    let about = body.into_iter().filter(|(name, _)| TARGETS.contains(&name.as_str()));
    let about: Map<String, Value> = about.collect();
    if about.is_empty() { String::new() } else { Value::Object(about).to_string() }
}

/// Writes that an act begins. [`Problem`]: it cannot be written, and must not happen.
pub(crate) async fn record(
    console: &Arc<Console>,
    at: u64,
    [name, act, target, reason]: [&str; 4],
) -> Result<u64, Problem> {
    let log = Arc::clone(console);
    let [name, act, target, reason] = [name, act, target, reason].map(str::to_owned);
    let written = spawn_blocking(move || log.audit.begin(at, &name, &act, &target, &reason)).await;
    written.map_err(std::io::Error::other).flatten().map_err(|fault| {
        error!(event = "console_audit_failed", %fault, "the console's audit log cannot be written: acts are refused");
        Problem::unavailable("the audit log cannot be written: nothing was done")
    })
}

/// What came of an act, in a word.
pub(crate) fn outcome(response: &Response) -> String {
    let (status, problem) = (response.status(), response.extensions().get::<ProblemCode>());
    match problem {
        Some(problem) => problem.0.to_string(),
        None if status.is_success() => "ok".to_owned(),
        None => status.as_str().to_owned(),
    }
}

/// Writes what came of an act.
pub(crate) async fn settle(console: &Arc<Console>, id: u64, outcome: String) {
    let log = Arc::clone(console);
    if let Ok(Err(fault)) = spawn_blocking(move || log.audit.end(id, &outcome)).await {
        error!(event = "console_audit_failed", %fault, "the outcome of an act is not in the console's audit log");
    }
}

/// The visitor that [`pass`] has put into a request.
impl<S: Sync> axum::extract::FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let visitor = parts.extensions.get::<Self>().cloned();
        visitor.ok_or_else(|| Problem::of_kind("unauthorized", "nobody is signed in here"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_is_percent_encoded_and_short() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REASON_HEADER, text.parse().unwrap());
            reason(&headers).ok()
        };
        assert_eq!(of("spam in %E6%88%BF%E9%97%B4").as_deref(), Some("spam in 房间"));
        assert_eq!(of(&"x".repeat(200)).map(|reason| reason.len()), Some(200));
        for refused in ["", "%20", "%", "%4", "%zz", "%ff", &"x".repeat(201)] {
            assert_eq!(of(refused), None, "{refused}");
        }
        assert!(reason(&HeaderMap::new()).is_err());
    }

    #[test]
    fn target_of_an_act_has_no_payload() {
        assert_eq!(target(br#"{"channel":"room:1","data":{"card":"4111"}}"#), r#"{"channel":"room:1"}"#);
        assert_eq!(target(br#"{"target":{"user":"42"},"message":"bye"}"#), r#"{"target":{"user":"42"}}"#);
        assert_eq!(target(b"no json"), "");
        assert_eq!(target(br#"[1]"#), "");
    }

    #[test]
    fn only_the_cookie_of_the_console_is_read() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=1; tautline_console=one;tautline_console=two".parse().unwrap());
        headers.append(COOKIE, "xtautline_console=three".parse().unwrap());
        assert_eq!(cookies(&headers).collect::<Vec<_>>(), ["one", "two"]);
    }
}
