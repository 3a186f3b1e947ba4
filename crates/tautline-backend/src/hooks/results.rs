//! What an answer means for a call, a permission and a login.
//!
//! Start at [`call`], [`authorization`] and [`login`].

use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};
use tautline_hub::{Authorization, Identity, LoginRefused};
use tautline_protocol::{ErrorCode, Now, UserId};

use super::{
    HookKind,
    answer::{Failure, HookError, Outcome},
};
use crate::{
    LoginResult,
    call::{CallError, CallResult},
    token::{DATE_MS_MAX, LoginMembers},
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct CallAnswer {
    data: Option<Box<RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuthorizeAnswer {
    valid_ms: Option<u64>,
    /// `null` is a payload, too.
    #[serde(deserialize_with = "some")]
    data: Option<Box<RawValue>>,
    tags: Option<Box<RawValue>>,
    skip: bool,
}

/// `user`, and its expiry: `expires_at` in milliseconds since 1970, or `expire_at` in seconds.
#[derive(Default, Deserialize)]
#[serde(default)]
struct LoginAnswer {
    user: Option<String>,
    expires_at: Option<u64>,
    expire_at: Option<u64>,
    channels: Value,
    subs: Value,
    info: Option<Box<RawValue>>,
    labels: Value,
}

/// What comes of a call.
pub(super) fn call(outcome: Outcome) -> CallResult {
    match outcome {
        Outcome::Empty => Ok(RawValue::NULL.to_owned()),
        Outcome::Result(result) => match read::<CallAnswer>(&result) {
            Some(answer) => Ok(answer.data.unwrap_or_else(|| RawValue::NULL.to_owned())),
            None => Err(CallError::of(ErrorCode::Internal, UNREADABLE)),
        },
        Outcome::Error(HookError { code, message, retry_after_ms }) => {
            Err(CallError { retry_after_ms, ..CallError::of(code, message) })
        }
        Outcome::Disconnect(disconnect) => {
            let error = CallError::of(ErrorCode::PermissionDenied, disconnect.message.clone());
            Err(error.and_disconnect(disconnect))
        }
        Outcome::Failed(failure) => {
            let code = match failure {
                Failure::Busy => ErrorCode::Overloaded,
                Failure::Resting { .. } | Failure::Unreachable | Failure::Unavailable { .. } => {
                    ErrorCode::Unavailable
                }
                Failure::Lost => ErrorCode::InDoubt,
                Failure::Timeout => ErrorCode::Timeout,
                Failure::Status(_) | Failure::Unusable(_) => ErrorCode::Internal,
            };
            let error = CallError::of(code, failure.to_string());
            Err(CallError { retry_after_ms: failure.retry_after_ms(), ..error })
        }
    }
}

/// What comes of a question about a channel.
pub(super) fn authorization(kind: HookKind, outcome: Outcome) -> Authorization {
    match outcome {
        Outcome::Empty => Authorization::Allow { valid_ms: None },
        Outcome::Result(result) => match read::<AuthorizeAnswer>(&result) {
            // The other members are about publications.
            Some(AuthorizeAnswer { valid_ms, .. }) if kind != HookKind::Publish => {
                Authorization::Allow { valid_ms }
            }
            Some(AuthorizeAnswer { skip: true, .. }) => Authorization::Skip,
            Some(AuthorizeAnswer { valid_ms, data: None, tags: None, .. }) => {
                Authorization::Allow { valid_ms }
            }
            Some(AuthorizeAnswer { data, tags, .. }) => Authorization::Rewrite { data, tags },
            None => Authorization::unavailable(UNREADABLE),
        },
        Outcome::Error(HookError { code, message, retry_after_ms }) if is_temporary(&code) => {
            Authorization::Unavailable { message, retry_after_ms }
        }
        Outcome::Error(HookError { code, message, .. }) => Authorization::Deny { code, message },
        Outcome::Disconnect(disconnect) => Authorization::Disconnect(disconnect),
        Outcome::Failed(failure) => Authorization::Unavailable {
            message: failure.to_string(),
            retry_after_ms: failure.retry_after_ms(),
        },
    }
}

/// What comes of a question about a login. `source` is the hook's.
pub(super) fn login(now: Now, outcome: Outcome, source: u64) -> LoginResult {
    match outcome {
        // Whose login it is has to be said.
        Outcome::Empty => Err(LoginRefused::Unavailable(UNREADABLE.to_owned())),
        Outcome::Result(result) => {
            let unreadable = || LoginRefused::Unavailable(UNREADABLE.to_owned());
            identity(now, read::<LoginAnswer>(&result).ok_or_else(unreadable)?, source)
        }
        Outcome::Error(HookError { code, message, retry_after_ms }) => Err(match code.as_str() {
            "token_expired" => LoginRefused::Expired,
            "rate_limited" => LoginRefused::RateLimited { retry_after_ms: retry_after_ms.unwrap_or(60_000) },
            "banned" => LoginRefused::Banned(message),
            _ if is_temporary(&code) => LoginRefused::Unavailable(message),
            _ => LoginRefused::Unauthorized(message),
        }),
        Outcome::Disconnect(disconnect) => Err(LoginRefused::Disconnect(disconnect)),
        Outcome::Failed(failure) => Err(LoginRefused::Unavailable(failure.to_string())),
    }
}

const UNREADABLE: &str = "the back end's answer is not valid";

fn identity(now: Now, answer: LoginAnswer, source: u64) -> LoginResult {
    let LoginAnswer { user, expires_at, expire_at, channels, subs, info, labels } = answer;
    let wrong = |why: &dyn std::fmt::Display| LoginRefused::Unavailable(format!("{UNREADABLE}: {why}"));
    let user = match user.as_deref() {
        None | Some("") => None,
        Some(id) => Some(UserId::parse(id).map_err(|why| wrong(&format_args!("`user`: {why}")))?),
    };
    let expires_at = expires_at.or_else(|| expire_at.filter(|at| *at > 0).map(|at| at.saturating_mul(1000)));
    if expires_at.is_some_and(|expires_at| expires_at <= now.wall_ms) {
        return Err(LoginRefused::Expired);
    }
    let members = LoginMembers { channels: &channels, subs: &names_of(subs), info, labels: &labels };
    let (channels, details) = members.read().map_err(|why| wrong(&why))?;
    let identity = Identity {
        user,
        channels,
        source,
        expires_at: expires_at.map(|expires_at| expires_at.min(DATE_MS_MAX)),
        // As old as the question: a revocation since then ends it, also where the answer was remembered.
        issued_at_ms: Some(now.wall_ms),
        details: details.shared(),
    };
    identity.check_bounds().map_err(|why| wrong(&why))?;
    Ok(identity)
}

/// A list of channels, or an object with their names as Centrifugo's back ends answer.
fn names_of(subs: Value) -> Value {
    match subs {
        Value::Object(by_name) => by_name.into_iter().map(|(name, _)| Value::String(name)).collect(),
        list => list,
    }
}

fn is_temporary(code: &ErrorCode) -> bool {
    use ErrorCode::{Overloaded, RateLimited, Timeout, Unavailable};
    matches!(code, Unavailable | Overloaded | RateLimited | Timeout)
}

fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::deserialize(deserializer).map(Some)
}

fn read<T: for<'de> Deserialize<'de>>(result: &RawValue) -> Option<T> {
    // serde would take a list for the members in their order.
    result.get().starts_with('{').then(|| serde_json::from_str(result.get()).ok()).flatten()
}
