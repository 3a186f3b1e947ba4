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
    catch_unwind::CatchUnwind,
    methods::{Call, CallError, CallFuture, CallResult},
    permit::Permit,
    state::{Calls, GatewayState},
};

/// A place among [`crate::GatewayConfig::calls_running_max`], and the caller's share of it.
struct CallPermit {
    permit: Permit<Calls>,
    _share: Claim,
}

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
        return settle(state, reply_to, panicked());
    };
    let mut future = CatchUnwind(future);
    match Pin::new(&mut future).poll(cx) {
        Poll::Ready(result) => settle(state, reply_to, result.unwrap_or_else(panicked)),
        Poll::Pending => drop(tokio::spawn(run(permit, reply_to, timeout_ms, future))),
    }
}

async fn run(permit: CallPermit, reply_to: ReplyTo, timeout_ms: u64, future: CatchUnwind<CallFuture>) {
    let result = match tokio::time::timeout(Duration::from_millis(timeout_ms), future).await {
        Ok(result) => result.unwrap_or_else(panicked),
        Err(_) => Err(CallError { code: ErrorCode::Timeout, message: "the method took too long".to_owned() }),
    };
    settle(permit.permit.state(), reply_to, result);
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

fn panicked() -> CallResult {
    Err(CallError { code: ErrorCode::Internal, message: "the method failed".to_owned() })
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
