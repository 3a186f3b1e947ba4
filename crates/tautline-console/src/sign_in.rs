//! Signing in and out.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{CONTENT_TYPE, ORIGIN, SET_COOKIE},
    request::Parts,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tautline_api::{PROBLEM_JSON, Problem};
use tracing::{info, warn};

use crate::{
    NAME_BYTES_MAX, PASSWORD_BYTES_MAX,
    gate::{self, COOKIE_NAME},
    origin,
    passwords::PasswordError,
    routes::Console,
    sessions::Visitor,
};

/// A name and a password.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    name: String,
    password: String,
}

/// Who is signed in.
#[derive(Serialize)]
struct SignedIn<'a> {
    name: &'a str,
    scopes: Vec<&'static str>,
    csrf: &'a str,
    expires_at: u64,
}

impl<'a> SignedIn<'a> {
    fn of(visitor: &'a Visitor) -> Json<Self> {
        let Visitor { name, scope, csrf, expires_at } = visitor;
        Json(Self { name, scopes: scope.contained(), csrf, expires_at: *expires_at })
    }
}

/// `GET /session`: who is signed in. Before there is any account it says so.
pub(crate) async fn session(State(console): State<Arc<Console>>, headers: HeaderMap) -> Response {
    match gate::find(&console, &headers) {
        Ok(visitor) => SignedIn::of(&visitor).into_response(),
        Err(problem) => {
            let has_accounts = console.accounts().is_ok_and(|accounts| !accounts.is_empty());
            if has_accounts { problem.into_response() } else { setup() }
        }
    }
}

/// Nobody can sign in yet: the page shows the command.
fn setup() -> Response {
    let words = "there is no account yet: run `tautline admin set-password <name>` on the gateway's machine";
    let body = json!({
        "type": "/api/docs#unauthorized",
        "title": "No account yet",
        "status": 401,
        "code": "unauthorized",
        "detail": words,
        "setup": true,
    });
    (StatusCode::UNAUTHORIZED, [(CONTENT_TYPE, PROBLEM_JSON)], body.to_string()).into_response()
}

/// `POST /session`: signs in.
pub(crate) async fn sign_in(
    State(console): State<Arc<Console>>,
    request: Request,
) -> Result<Response, Problem> {
    let (Parts { headers, extensions, .. }, body) = request.into_parts();
    gate::check_origin(&console, &headers)?;
    let body = gate::read(&console, body).await?;
    let fit = serde_json::from_slice(&body).ok().filter(|SignIn { name, password }| {
        name.len() <= NAME_BYTES_MAX && password.len() <= PASSWORD_BYTES_MAX
    });
    let SignIn { name, password } =
        fit.ok_or_else(|| Problem::bad_request("the body is {\"name\": …, \"password\": …}"))?;
    let address = console.node.address(&extensions, &headers);
    let taken = console.limits.take(console.host.now().mono_ms, address, &name);
    taken.map_err(|wait_ms| {
        Problem::of_kind("rate_limited", "too many attempts to sign in").retry_after(Some(wait_ms))
    })?;
    let accounts = console.accounts()?;
    let account = accounts.iter().find(|account| account.name == name);
    let hash = account.map(|account| account.hash.as_str());
    let is_right = console.passwords.check(hash, password).await.map_err(refused)?;
    // What was typed may be a password: only names of accounts are logged.
    let known = account.map(|account| account.name.as_str());
    let Some(account) = account.filter(|_| is_right) else {
        warn!(
            event = "console_sign_in_refused",
            ?address,
            name = known,
            "somebody could not sign in at the console"
        );
        return Err(Problem::of_kind("unauthorized", "this name and this password do not belong together"));
    };
    let opened = console.sessions.open(console.host.now(), account);
    let (id, visitor) = opened.ok_or_else(|| Problem::unavailable("the system gives no random bytes"))?;
    info!(event = "console_signed_in", ?address, ?name, "signed in at the console");
    let at = console.host.now().wall_ms;
    let recorded = gate::record(&console, at, [&*name, "sign_in", "", ""]).await;
    let entry = recorded.inspect_err(|_| console.sessions.close(&id))?;
    let mut response = SignedIn::of(&visitor).into_response();
    response.headers_mut().insert(SET_COOKIE, cookie(&id, &headers, None));
    gate::settle(&console, entry, gate::outcome(&response)).await;
    Ok(response)
}

fn refused(error: PasswordError) -> Problem {
    match error {
        PasswordError::Busy => Problem::of_kind("rate_limited", error.to_string()).retry_after(Some(1_000)),
        _ => Problem::unavailable(error.to_string()),
    }
}

/// `DELETE /session`: signs out.
pub(crate) async fn sign_out(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    gate::enter(&console, &Method::DELETE, &headers)?;
    gate::cookies(&headers).for_each(|id| console.sessions.close(id));
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie("", &headers, Some(0)))]).into_response())
}

/// Without `Path`: browsers then take the folder in which they see `session`, whatever prefix a proxy has put before it.
fn cookie(id: &str, headers: &HeaderMap, max_age: Option<u64>) -> HeaderValue {
    // A proxy may have changed the host; browsers say where their page is from.
    let is_https = headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let secure = if origin::is_loopback(headers) && !is_https { "" } else { "; Secure" };
    let age = max_age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    let text = format!("{COOKIE_NAME}={id}; HttpOnly; SameSite=Strict{secure}{age}");
    HeaderValue::from_str(&text).expect("a session's id is base64")
}
