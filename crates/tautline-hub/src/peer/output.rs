//! What a peer asks its shell to do.
//!
//! Start at [`Output`].

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use tautline_engine::budget::{Claim, Holder};
use tautline_protocol::{
    ErrorCode, Now, RequestId,
    packet::{ErrorBody, client::ClientInfo},
};

use crate::{
    Hub, Identity,
    questions::{AuthenticateQuestion, Authorization, AuthorizeQuestion, LoginResult, Reply},
    reply,
    session::Session,
    session::id::CallKey,
    story::{StoryKind, cut},
};

/// An action for the shell.
#[derive(Debug)]
pub enum Output {
    /// Send one WebSocket message: text, or binary where [`crate::Peer::format`] is msgpack.
    Message(Bytes),
    /// Check this login. Until the reply is given or dropped, [`crate::Peer::wants_input`] is false.
    Authenticate(AuthenticateQuestion, Reply<LoginResult>),
    /// Ask the app's back end whether the client may do this. Only a request that depends on the answer waits.
    Authorize(AuthorizeQuestion, Reply<Authorization>),
    /// Run this method and settle it with [`Hub::answer`].
    Call(CallRequest),
    /// Send a close frame with this code and close the socket once everything before it is written. This is
    /// the last output.
    Close {
        /// RFC 6455 §7.4.
        code: u16,
        /// A word or two.
        reason: &'static str,
    },
}

/// A method call for the shell to run.
#[derive(Debug)]
pub struct CallRequest {
    /// Handle for the result.
    pub reply_to: ReplyTo,
    /// The method's name.
    pub method: String,
    /// The payload.
    pub data: Box<RawValue>,
    /// How long the client waits, in milliseconds.
    pub timeout_ms: u64,
    /// The caller.
    pub identity: Arc<Identity>,
    /// The caller's software, where it is known; without its version.
    pub client: Option<Arc<ClientInfo>>,
    /// The holder whose budget shares the call uses.
    pub holder: Holder,
    /// Identifies the call and its session; stays the same when the call is repeated.
    pub key: CallKey,
}

/// Reply handle of one call. Dropped unused, it settles the call as `in_doubt`: a request never hangs.
pub struct ReplyTo {
    pub(super) hub: Hub,
    pub(super) session: Arc<Session>,
    pub(super) id: RequestId,
    pub(super) settled: bool,
    /// Method and beginning, where stories are kept.
    pub(super) told: Option<(Box<str>, u64)>,
    /// Reserves the bytes of the call while it runs.
    pub(super) _claim: Claim,
}

impl ReplyTo {
    fn settle(mut self, result: Result<&RawValue, ErrorBody>) {
        self.settled = true;
        self.tell(result.as_ref().err());
        let reply_bytes_max = self.hub.limits().replies_unseen_bytes_max;
        let result = match &result {
            Ok(data) if data.get().len() > reply_bytes_max => Err(&ErrorBody::new(
                ErrorCode::TooLarge,
                "the method's answer is larger than a session may keep",
            )),
            Ok(data) => Ok(data.get()),
            Err(error) => Err(error),
        };
        settle(&self.hub, &self.session, self.id, result);
    }
}

impl ReplyTo {
    /// The call is over.
    fn tell(&self, error: Option<&ErrorBody>) {
        let Some((method, began_ms)) = &self.told else { return };
        let (now, outcome) = (self.hub.last_now(), error.map_or("ok", |error| error.code.as_str()));
        let ms = now.mono_ms.saturating_sub(*began_ms);
        let detail = || serde_json::json!({"method": method, "ms": ms, "outcome": cut(outcome)});
        self.hub.tell_of(now, &self.session, StoryKind::Call, detail);
    }

    /// The shell never received the call: the ledger counts it as not received, unless a newer connection
    /// waits for it. In that case the drop settles it.
    pub(super) fn take_back(mut self, connection: u64) {
        let delivery = self.session.live().map(|mut living| living.take_back(&self.hub, self.id, connection));
        self.settled = delivery.unwrap_or(true);
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        if !self.settled {
            let error = ErrorBody::new(ErrorCode::InDoubt, "the method was dropped before it completed");
            self.tell(Some(&error));
            settle(&self.hub, &self.session, self.id, Err(&error));
        }
    }
}

impl std::fmt::Debug for ReplyTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReplyTo({} of {})", self.id, self.session.id)
    }
}

impl Hub {
    /// Settles a call that [`Output::Call`] handed out.
    pub fn answer(&self, to: ReplyTo, result: Result<&RawValue, ErrorBody>) {
        to.settle(result);
    }

    /// The same at this moment: then the user's story has the time that the call took.
    pub fn answer_at(&self, now: Now, to: ReplyTo, result: Result<&RawValue, ErrorBody>) {
        if to.told.is_some() {
            self.observe_time(now);
        }
        to.settle(result);
    }
}

/// Settles one request of a session.
pub(super) fn settle(hub: &Hub, session: &Session, id: RequestId, result: Result<&str, &ErrorBody>) {
    hub.0.counters.count_refused(result.err());
    let mut line = Vec::new();
    reply::write(&mut line, id, result);
    settle_line(hub, session, id, &line);
}

/// Settles one request of a session: keeps the reply and sends it to the connection that asked last. An ended
/// session keeps nothing.
pub(super) fn settle_line(hub: &Hub, session: &Session, id: RequestId, line: &[u8]) {
    hub.reclaim_replies();
    if let Some(mut living) = session.live() {
        living.settle(hub, id, line);
    }
}
