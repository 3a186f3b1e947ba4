//! Runs calls of methods. Each call is settled once, whatever its handler does.

use std::{
    future::Future,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tautline_backend::{Call, CallError, CallResult};
use tautline_hub::{
    CallKey, CallRequest, ReplyTo,
    budget::{Claim, Claimant, Holder},
};
use tautline_protocol::{ErrorCode, Now, packet::ErrorBody};
use tracing::debug;

use crate::{
    catch_unwind::CatchUnwind,
    figures::Timing,
    methods::CallFuture,
    permit::Permit,
    state::{Calls, GatewayState},
};

/// A place among [`crate::GatewayConfig::calls_running_max`], and the caller's share of it.
struct CallPermit {
    permit: Permit<Calls>,
    _share: Claim,
}

/// Starts a method: a registered one, or else one of the back end's. One that answers at once is settled before
/// this returns and costs no task.
pub(crate) fn start(
    state: &Arc<GatewayState>,
    now: Now,
    cx: &mut Context<'_>,
    request: CallRequest,
    address: Option<IpAddr>,
) {
    let CallRequest { reply_to, method, data, timeout_ms, identity, client, holder, key } = request;
    let Some(permit) = CallPermit::try_acquire(state, holder) else {
        state.timings.record(Timing::Call, 0, Some(&ErrorCode::Overloaded));
        let error = ErrorBody::new(ErrorCode::Overloaded, "too many methods are running on this node");
        return state.hub.answer_at(state.clock.now(), reply_to, Err(error));
    };
    let call = Call::new(method, data, identity, key).with(address, timeout_ms).with_client(client);
    let call = call.with_holder(holder);
    let Ok(future) = catch_unwind(AssertUnwindSafe(|| begin(state, now, call))) else {
        return settle(state, reply_to, key, 0, panicked());
    };
    let mut future = CatchUnwind(future);
    match Pin::new(&mut future).poll(cx) {
        Poll::Ready(result) => settle(state, reply_to, key, 0, result.unwrap_or_else(panicked)),
        Poll::Pending => drop(tokio::spawn(run(permit, now, (reply_to, key), timeout_ms, future))),
    }
}

fn begin(state: &Arc<GatewayState>, now: Now, call: Call) -> CallFuture {
    match state.methods.get(&call.method) {
        Some(handler) => handler(call),
        None => {
            let state = Arc::clone(state);
            Box::pin(async move { state.access.backend.call(now, call).await })
        }
    }
}

async fn run(
    permit: CallPermit,
    since: Now,
    (reply_to, key): (ReplyTo, CallKey),
    timeout_ms: u64,
    future: CatchUnwind<CallFuture>,
) {
    let result = match tokio::time::timeout(Duration::from_millis(timeout_ms), future).await {
        Ok(result) => result.unwrap_or_else(panicked),
        Err(_) => Err(CallError::of(ErrorCode::Timeout, "the method took too long")),
    };
    let state = permit.permit.state();
    settle(state, reply_to, key, state.clock.now().mono_ms.saturating_sub(since.mono_ms), result);
}

/// `ms`: how long it ran; one that answers at once took no time.
fn settle(state: &GatewayState, reply_to: ReplyTo, key: CallKey, ms: u64, result: CallResult) {
    state.timings.record(Timing::Call, ms, result.as_ref().err().map(|error| &error.code));
    let trace_id = key.trace_id();
    match result {
        Ok(data) => {
            debug!(%key, %trace_id, "call answered");
            state.hub.answer_at(state.clock.now(), reply_to, Ok(&data));
        }
        Err(mut error) => {
            debug!(%key, %trace_id, code = %error.code, "call refused");
            let disconnect = error.disconnect.take();
            state.hub.answer_at(state.clock.now(), reply_to, Err(error.into()));
            if let Some(disconnect) = disconnect {
                state.hub.on_disconnect(state.clock.now(), &key.session(), &disconnect);
            }
        }
    }
}

fn panicked() -> CallResult {
    Err(CallError::of(ErrorCode::Internal, "the method failed"))
}

impl CallPermit {
    /// `None`: the ceiling is reached, or the caller has its share of it.
    fn try_acquire(state: &Arc<GatewayState>, holder: Holder) -> Option<Self> {
        let share = state.call_shares.claim(holder, 1, Claimant::Ordinary);
        let permit = share.and_then(|_share| Some(Self { permit: Permit::try_acquire(state)?, _share }));
        if permit.is_none() {
            state.warnings.calls.note(state.clock.now(), || format!("{} run", state.calls.in_use()));
        }
        permit
    }
}
