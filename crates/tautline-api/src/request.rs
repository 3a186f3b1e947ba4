//! A request: its key first, then its body, then what it costs.
//!
//! Start at [`Posted`] and [`Asked`], with which every handler begins. In place of a key there may be a [`Caller`].

use std::{future::poll_fn, marker::PhantomData, pin::Pin, sync::Arc};

use axum::{
    body::{Body, HttpBody as _},
    extract::{FromRequest, FromRequestParts, Request},
};
use bytes::{Bytes, BytesMut};
use http::{
    Extensions, HeaderMap,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
    request::Parts,
};
use serde::Deserialize;
use tautline_protocol::TraceId;

use crate::{Host, Scope, Scopes, idempotency::idempotency_key, objects::Object, problem::Problem};

pub(crate) type SharedHost = Arc<dyn Host>;

/// A caller whom the server around the API knows by other means than a key, such as somebody who is signed in. In a
/// request's extensions it stands for a key with these scopes; nothing that a client sends becomes one.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What is charged to it, and which idempotency keys are its own, go by this name.
    pub name: Arc<str>,
    /// What it may do.
    pub scopes: Scopes,
}

/// The scope that a handler asks for, as a type.
pub(crate) trait Scoped: Send + 'static {
    const SCOPE: Scope;
}

pub(crate) enum ToRead {}
pub(crate) enum ToPublish {}
pub(crate) enum ToAdmin {}

impl Scoped for ToRead {
    const SCOPE: Scope = Scope::Read;
}

impl Scoped for ToPublish {
    const SCOPE: Scope = Scope::Publish;
}

impl Scoped for ToAdmin {
    const SCOPE: Scope = Scope::Admin;
}

/// A request with a body, whose key has the scope.
pub(crate) struct Posted<S> {
    pub(crate) host: SharedHost,
    headers: HeaderMap,
    caller: Option<Caller>,
    body: Bytes,
    /// The trace of the request.
    pub(crate) trace: Option<TraceId>,
    scope: PhantomData<S>,
}

/// A request without a body, whose key has the scope.
pub(crate) struct Asked<S> {
    pub(crate) host: SharedHost,
    scope: PhantomData<S>,
}

impl<S> Posted<S> {
    /// The body as what the operation takes.
    pub(crate) fn parse<'de, T: Deserialize<'de>>(&'de self) -> Result<T, Problem> {
        let read = serde_json::from_slice(&self.body).map(|Object(body)| body);
        read.map_err(|_| fault_in::<T>(&self.body))
    }

    /// The key that makes repeating harmless, from the header.
    pub(crate) fn idempotency_key(&self) -> Result<Option<&str>, Problem> {
        idempotency_key(&self.headers)
    }
}

impl Posted<ToPublish> {
    /// Charges so many publications to the key, all at once: the wait that is told is then that of the whole request.
    pub(crate) fn charge(&self, publications: usize) -> Result<(), Problem> {
        let caller = self.caller.as_ref().map(|caller| &*caller.name);
        let key = caller.or_else(|| bearer(&self.headers)).unwrap_or_default();
        Ok(self.host.hub().charge_publications(self.host.now(), key, publications)?)
    }
}

/// Reads a refused body again, this time noting the way to the fault: what is right is read only once.
fn fault_in<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Problem {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let Err(fault) = serde_path_to_error::deserialize::<_, Object<T>>(&mut reader) else {
        return Problem::bad_request("the body goes on behind its JSON");
    };
    let field = pointer(fault.path());
    match field.as_str() {
        "" => Problem::bad_request(format!("the body does not fit: {}", fault.inner())),
        _ => Problem::bad_request(format!("`{field}`: {}", fault.inner())).at(field),
    }
}

/// A path as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } | Segment::Enum { variant: key } => {
            format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
        }
        Segment::Unknown => pointer,
    })
}

impl<S: Scoped> FromRequest<SharedHost> for Posted<S> {
    type Rejection = Problem;

    async fn from_request(request: Request, host: &SharedHost) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let key = authorize(host, &parts.headers, &parts.extensions, Some(S::SCOPE))?;
        let body = read(host, body).await?;
        let publish_bytes = (S::SCOPE == Scope::Publish).then_some(body.len());
        host.hub().charge_api_key(host.now(), key, publish_bytes)?;
        let (headers, mut extensions) = (parts.headers, parts.extensions);
        let (caller, trace) = (extensions.remove(), extensions.remove());
        Ok(Self { host: Arc::clone(host), headers, caller, body, trace, scope: PhantomData })
    }
}

impl<S: Scoped> FromRequestParts<SharedHost> for Asked<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, host: &SharedHost) -> Result<Self, Problem> {
        let key = authorize(host, &parts.headers, &parts.extensions, Some(S::SCOPE))?;
        host.hub().charge_api_key(host.now(), key, None)?;
        Ok(Self { host: Arc::clone(host), scope: PhantomData })
    }
}

/// Checks that a request has a key of the host's with this scope, and charges it: for routes beside the API's.
///
/// # Errors
/// The answer for a request that has none, or that comes too fast.
pub fn authorized(host: &Arc<dyn Host>, request: &Request, scope: Scope) -> Result<(), Problem> {
    let key = authorize(host, request.headers(), request.extensions(), Some(scope))?;
    Ok(host.hub().charge_api_key(host.now(), key, None)?)
}

/// The key of the request, or the name of its caller, if it is one of the host's and has the scope.
pub(crate) fn authorize<'h>(
    host: &SharedHost,
    headers: &'h HeaderMap,
    extensions: &'h Extensions,
    scope: Option<Scope>,
) -> Result<&'h str, Problem> {
    let key = bearer(headers);
    let caller = extensions.get::<Caller>().map(|caller| (&*caller.name, caller.scopes));
    let known = || key.and_then(|key| Some((key, host.keys().scopes_of(key)?)));
    let Some((key, scopes)) = caller.or_else(known) else {
        let reason = if key.is_some() { "unknown key" } else { "no bearer key" };
        host.key_refused(reason, headers, extensions);
        let words = "send `Authorization: Bearer` with an API key of this gateway";
        return Err(Problem::of_kind("unauthorized", words).with(WWW_AUTHENTICATE, "Bearer"));
    };
    match scope.filter(|scope| !scopes.contain(*scope)) {
        None => Ok(key),
        Some(scope) => {
            let words = format!("this key lacks the scope `{}`", scope.as_str());
            Err(Problem::of_kind("permission_denied", words))
        }
    }
}

/// The key in the headers.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

async fn read(host: &SharedHost, body: Body) -> Result<Bytes, Problem> {
    let limits = host.body_limits();
    let late = |_| Err(Problem::of_kind("timeout", "the body took too long"));
    tokio::time::timeout(limits.timeout, collect(body, limits.bytes_max)).await.unwrap_or_else(late)
}

async fn collect(mut body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut whole = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| Problem::bad_request("the body is incomplete or malformed"))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > bytes_max {
            let words = format!("the body is larger than {bytes_max} bytes");
            return Err(Problem::of_kind("too_large", words));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}
