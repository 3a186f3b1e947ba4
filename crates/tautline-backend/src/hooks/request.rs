//! A question as the app's back end gets it: JSON, and headers beside it.
//!
//! Start at [`HookRequest`]. docs/guide/hooks.md describes the same for those who write back ends.

use std::{collections::BTreeMap, fmt::Write as _, net::IpAddr};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tautline_hub::{AuthorizeQuestion, CallKey, Identity};
use tautline_protocol::{
    TraceId,
    packet::{Auth, client::ClientInfo},
};

use super::selector::HookKind;
use crate::{
    Login,
    call::Call,
    standard_webhooks::{ID_HEADER, SIGNATURE_HEADER, Signer, TIMESTAMP_HEADER},
};

/// The most characters of a method's name in the log.
const ABOUT_CHARS_MAX: usize = 128;

/// A question, ready to be sent however often.
#[derive(Debug)]
pub(super) struct HookRequest {
    pub(super) kind: HookKind,
    /// Names the question: the same when it is repeated, and different from every other.
    pub(super) key: String,
    pub(super) trace_id: TraceId,
    pub(super) body: Bytes,
    /// The channel or the method, for logs.
    pub(super) about: String,
    /// Asking again has the same effect as asking once.
    pub(super) is_idempotent: bool,
}

/// Headers of one attempt.
pub(super) struct Attempt<'a> {
    pub(super) url: &'a Uri,
    pub(super) signer: &'a Signer,
    /// The hook's own headers.
    pub(super) headers: &'a HeaderMap,
    pub(super) hook: &'a str,
    /// Names the attempt in traces; not 0.
    pub(super) span_id: u64,
    pub(super) wall_ms: u64,
    /// What is left until nobody waits for the answer any more.
    pub(super) left_ms: u64,
}

#[derive(Serialize)]
struct Body<'a> {
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<&'a Auth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(flatten)]
    caller: Option<Caller<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a ClientInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

/// A login that was accepted.
#[derive(Serialize)]
struct Caller<'a> {
    /// `null` for a guest.
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a BTreeMap<Box<str>, Box<str>>>,
}

impl<'a> Body<'a> {
    fn new(kind: HookKind, id: &'a str) -> Self {
        Self {
            kind: kind.as_str(),
            id,
            login: None,
            session: None,
            caller: None,
            address: None,
            client: None,
            channel: None,
            method: None,
            data: None,
        }
    }

    fn of(kind: HookKind, id: &'a str, key: CallKey, identity: &'a Identity) -> Self {
        Self { session: Some(key.session()), caller: Some(Caller::of(identity)), ..Self::new(kind, id) }
    }

    fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).expect("names and values serialize").into()
    }
}

impl<'a> Caller<'a> {
    fn of(identity: &'a Identity) -> Self {
        let details = identity.details.as_ref();
        Self {
            user: identity.user.as_ref().map(|user| user.as_str()),
            info: details.and_then(|details| details.info.as_ref()).map(|info| info.as_raw()),
            labels: details.map(|details| &details.labels).filter(|labels| !labels.is_empty()),
        }
    }
}

impl HookRequest {
    /// Is this login good? `number` names the question.
    pub(super) fn login(kind: HookKind, login: &Login<'_>, number: u128) -> Self {
        let (key, trace_id) = match login.refreshes {
            Some((of, _)) => (format!("{number:032x}"), of.trace_id()),
            None => (format!("{number:032x}"), TraceId::new(number)),
        };
        let body = match login.refreshes {
            Some((of, identity)) => Body::of(kind, &key, *of, identity),
            None => Body::new(kind, &key),
        };
        let body = Body { login: Some(login.auth), address: login.address, client: login.client, ..body };
        let body = body.to_bytes();
        Self { kind, key, trace_id, body, about: String::new(), is_idempotent: true }
    }

    /// May this client do this in this channel? `number` names the question, but for a publication: that has the key of
    /// the client's request, as a back end may record it under that, and a digest of what is published. Clients
    /// choose the ids of their requests, and may choose one twice.
    pub(super) fn authorize(question: &AuthorizeQuestion, number: u128) -> Self {
        let AuthorizeQuestion { identity, channel, permission, data, address, client, key: of, .. } =
            question;
        let kind = HookKind::of(*permission);
        let key = match data {
            Some(data) => format!("{of}:{}", digest(&[channel.as_str(), data.get()])),
            None => format!("{number:032x}"),
        };
        let body = Body {
            channel: Some(channel.as_str()),
            data: data.as_deref(),
            address: *address,
            client: client.as_deref(),
            ..Body::of(kind, &key, *of, identity)
        };
        let body = body.to_bytes();
        Self { kind, key, trace_id: of.trace_id(), body, about: channel.to_string(), is_idempotent: true }
    }

    /// Run this method.
    pub(super) fn call(call: &Call, is_idempotent: bool) -> Self {
        let (kind, key) = (HookKind::Call, call.key.to_string());
        let body = Body {
            method: Some(&call.method),
            data: Some(&call.data),
            address: call.address,
            client: call.client.as_deref(),
            ..Body::of(kind, &key, call.key, &call.identity)
        };
        let body = body.to_bytes();
        Self {
            kind,
            key,
            trace_id: call.key.trace_id(),
            body,
            about: call.method.chars().take(ABOUT_CHARS_MAX).collect(),
            is_idempotent,
        }
    }

    /// The HTTP request of one attempt.
    pub(super) fn to_http(&self, attempt: &Attempt<'_>) -> Request<Full<Bytes>> {
        let seconds = attempt.wall_ms / 1000;
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = attempt.url.clone();
        let headers = request.headers_mut();
        *headers = attempt.headers.clone();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("tautline-hook", HeaderValue::from_static(self.kind.as_str()));
        let texts = [
            ("tautline-hook-name", attempt.hook.to_owned()),
            ("tautline-deadline-ms", attempt.left_ms.to_string()),
            ("idempotency-key", self.key.clone()),
            (TraceId::HEADER, self.trace_id.header(attempt.span_id)),
            (ID_HEADER, self.key.clone()),
            (TIMESTAMP_HEADER, seconds.to_string()),
            (SIGNATURE_HEADER, attempt.signer.sign(&self.key, seconds, &self.body)),
        ];
        for (name, text) in texts {
            headers.insert(name, HeaderValue::try_from(text).expect("visible ASCII characters"));
        }
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static("tautline"));
        request
    }
}

/// Tells texts apart from others: 16 hexadecimal digits.
fn digest(texts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().iter().take(8).fold(String::new(), |mut digits, byte| {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}
