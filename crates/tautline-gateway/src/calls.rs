//! Runs calls of methods. Each call is settled once, whatever its handler does.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tautline_hub::{
    CallRequest, ReplyTo,
    budget::{Claim, Claimant, Holder},
};
use tautline_protocol::{ErrorCode, packet::ErrorBody};

use crate::{
    methods::{Call, CallError, CallFuture, CallResult},
    permit::Permit,
    state::{Calls, GatewayState},
};

/// A place among [`crate::GatewayConfig::calls_running_max`], and the caller's share of it.
struct CallPermit {
    permit: Permit<Calls>,
    _share: Claim,
}

/// A method's future; a panic becomes the call's answer and does not reach the connection.
struct CatchUnwind(CallFuture);

/// Starts a method. One that answers at once is settled before this returns and costs no task.
pub(crate) fn start(state: &Arc<GatewayState>, cx: &mut Context<'_>, request: CallRequest) {
    let CallRequest { reply_to, method, data, timeout_ms, user, holder, key } = request;
    let Some(handler) = state.methods.get(&method) else {
        return refuse(state, reply_to, ErrorCode::NotFound, "there is no such method");
    };
    let Some(permit) = CallPermit::try_acquire(state, holder) else {
        return refuse(state, reply_to, ErrorCode::Overloaded, "too many methods are running on this node");
    };
    let call = Call { method, data, user, key };
    let Ok(future) = catch_unwind(AssertUnwindSafe(|| handler(call))) else {
        return settle(state, reply_to, Err(panicked()));
    };
    let mut future = CatchUnwind(future);
    match Pin::new(&mut future).poll(cx) {
        Poll::Ready(result) => settle(state, reply_to, result),
        Poll::Pending => drop(tokio::spawn(run(permit, reply_to, timeout_ms, future))),
    }
}

async fn run(permit: CallPermit, reply_to: ReplyTo, timeout_ms: u64, future: CatchUnwind) {
    let result = tokio::time::timeout(Duration::from_millis(timeout_ms), future).await;
    let timed_out =
        |_| Err(CallError { code: ErrorCode::Timeout, message: "the method took too long".to_owned() });
    settle(permit.permit.state(), reply_to, result.unwrap_or_else(timed_out));
}

fn settle(state: &GatewayState, reply_to: ReplyTo, result: CallResult) {
    match result {
        Ok(data) => state.hub.answer(reply_to, Ok(&data)),
        Err(CallError { code, message }) => state.hub.answer(reply_to, Err(ErrorBody::new(code, message))),
    }
}

fn refuse(state: &GatewayState, reply_to: ReplyTo, code: ErrorCode, message: &str) {
    state.hub.answer(reply_to, Err(ErrorBody::new(code, message)));
}

fn panicked() -> CallError {
    CallError { code: ErrorCode::Internal, message: "the method failed".to_owned() }
}

impl Future for CatchUnwind {
    type Output = CallResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CallResult> {
        catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx)))
            .unwrap_or_else(|_| Poll::Ready(Err(panicked())))
    }
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
