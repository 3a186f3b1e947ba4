//! Runs the methods that the embedder registered. Each call is settled once, whatever its handler does.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use serde_json::value::RawValue;
use tautline_hub::{
    CallKey, CallRequest, ReplyTo,
    budget::{Claim, Claimant, Holder},
};
use tautline_protocol::{ErrorCode, UserId, packet::ErrorBody};

use crate::gateway::GatewayState;

/// What a client asks a method.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// The method's name.
    pub method: String,
    /// The payload, to the letter as the client sent it.
    pub data: Box<RawValue>,
    /// Who asks; none for a guest.
    pub user: Option<UserId>,
    /// Which call it is: the same however often it is sent, and no other call's, for methods that may be run once more. As
    /// text by `to_string()`; it names its session, too.
    pub key: CallKey,
}

/// Why a method has no answer. The client gets both parts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct CallError {
    /// For programs: one of the protocol's own codes, or one of the app's.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}

impl CallError {
    /// An error with a code of the protocol's (`"not_found"`) or of the app's own (`"sold_out"`).
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

type CallResult = Result<Box<RawValue>, CallError>;
type Running = Pin<Box<dyn Future<Output = CallResult> + Send>>;
type Handler = Box<dyn Fn(Call) -> Running + Send + Sync>;

/// The methods of a gateway, by name.
#[derive(Default)]
pub(crate) struct Methods(HashMap<String, Handler>);

impl Methods {
    /// False where the name is taken.
    pub(crate) fn insert<F, R>(&mut self, method: String, handler: F) -> bool
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = CallResult> + Send + 'static,
    {
        self.0.insert(method, Box::new(move |call| Box::pin(handler(call)))).is_none()
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Starts a method. One that answers at once is settled before this returns and costs no task.
pub(crate) fn start(gateway: &Arc<GatewayState>, cx: &mut Context<'_>, request: CallRequest) {
    let CallRequest { reply_to, method, data, timeout_ms, user, holder, key } = request;
    let Some(handler) = gateway.methods.0.get(&method) else {
        return refuse(gateway, reply_to, ErrorCode::NotFound, "there is no such method");
    };
    let Some(place) = Place::take(gateway, holder) else {
        return refuse(gateway, reply_to, ErrorCode::Overloaded, "too many methods are running on this node");
    };
    let call = Call { method, data, user, key };
    let Ok(running) = catch_unwind(AssertUnwindSafe(|| handler(call))) else {
        return settle(gateway, reply_to, Err(panicked()));
    };
    let mut running = CatchUnwind(running);
    match Pin::new(&mut running).poll(cx) {
        Poll::Ready(result) => settle(gateway, reply_to, result),
        Poll::Pending => drop(tokio::spawn(finish(place, reply_to, timeout_ms, running))),
    }
}

async fn finish(place: Place, reply_to: ReplyTo, timeout_ms: u64, running: CatchUnwind) {
    let result = tokio::time::timeout(Duration::from_millis(timeout_ms), running).await;
    let late =
        |_| Err(CallError { code: ErrorCode::Timeout, message: "the method took too long".to_owned() });
    settle(&place.gateway, reply_to, result.unwrap_or_else(late));
}

fn settle(gateway: &GatewayState, reply_to: ReplyTo, result: CallResult) {
    match result {
        Ok(data) => gateway.hub.answer(reply_to, Ok(&data)),
        Err(CallError { code, message }) => gateway.hub.answer(reply_to, Err(ErrorBody::new(code, message))),
    }
}

fn refuse(gateway: &GatewayState, reply_to: ReplyTo, code: ErrorCode, message: &str) {
    gateway.hub.answer(reply_to, Err(ErrorBody::new(code, message)));
}

fn panicked() -> CallError {
    CallError { code: ErrorCode::Internal, message: "the method failed".to_owned() }
}

/// A method whose panic is an answer too: it concerns one call, not its connection.
struct CatchUnwind(Running);

impl Future for CatchUnwind {
    type Output = CallResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CallResult> {
        catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx)))
            .unwrap_or_else(|_| Poll::Ready(Err(panicked())))
    }
}

/// One of the places that [`crate::GatewayConfig::calls_running_max`] counts.
struct Place {
    gateway: Arc<GatewayState>,
    _claim: Claim,
}

impl Place {
    fn take(gateway: &Arc<GatewayState>, holder: Holder) -> Option<Self> {
        let Some(claim) = gateway.calls.claim(holder, 1, Claimant::Ordinary) else {
            let running = gateway.counters.calls.load(Ordering::Relaxed);
            gateway.warnings.calls.note(gateway.clock.now(), || format!("{running} run"));
            return None;
        };
        gateway.counters.calls.fetch_add(1, Ordering::Relaxed);
        Some(Self { gateway: Arc::clone(gateway), _claim: claim })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let counters = &self.gateway.counters;
        if counters.calls.fetch_sub(1, Ordering::AcqRel) == 1 {
            counters.gone.notify_waiters();
        }
    }
}
