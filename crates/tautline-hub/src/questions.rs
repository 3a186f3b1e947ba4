//! Questions that only the app's back end can answer: is this login good, may this user do this?
//!
//! Start at [`Reply`]. A peer hands a question to its shell and goes on; the answer comes back through the
//! connection's mailbox, at any time and from any thread.

use std::sync::Arc;

use serde_json::value::RawValue;
use tautline_engine::budget::Holder;
use tautline_protocol::{ChannelName, ErrorCode, packet::Auth};

use crate::{Identity, LoginRefused, Permission, session::id::SessionId};

/// The result of a checked login.
pub type LoginResult = Result<Identity, LoginRefused>;

/// Is this login good?
#[derive(Debug)]
pub struct AuthenticateQuestion {
    /// The login.
    pub auth: Auth,
    /// The holder whose share of the node's questions this one uses: the client's address, or the user of a
    /// session.
    pub holder: Holder,
}

/// May this client do this in this channel?
#[derive(Clone, Debug)]
pub struct AuthorizeQuestion {
    /// The client.
    pub identity: Arc<Identity>,
    /// The channel.
    pub channel: ChannelName,
    /// The permission that the client needs.
    pub permission: Permission,
    /// The payload of a publication.
    pub data: Option<Box<RawValue>>,
    /// The holder whose share of the node's questions this one uses: the user, or the address of a guest.
    pub holder: Holder,
    pub(crate) session: SessionId,
}

impl AuthorizeQuestion {
    /// The client's session.
    #[must_use]
    pub fn session(&self) -> String {
        self.session.to_string()
    }
}

/// The back end's answer to an [`AuthorizeQuestion`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// The client may.
    Allow {
        /// For how long the answer holds for the same session, channel and permission, in milliseconds. `None`:
        /// for a `subscribe` until the client unsubscribes or its session ends, for anything else this once.
        valid_ms: Option<u64>,
    },
    /// The client may not.
    Deny {
        /// The code of the error; a back end may have codes of its own.
        code: ErrorCode,
        /// The text of the error.
        message: String,
    },
    /// The back end cannot tell now.
    Unavailable {
        /// The text of the error.
        message: String,
        /// When a retry may help, in milliseconds; `None`: the hub chooses.
        retry_after_ms: Option<u64>,
    },
}

impl Authorization {
    /// The client may, this once or for as long as it is subscribed.
    pub const ALLOW: Self = Self::Allow { valid_ms: None };

    /// The client may not.
    #[must_use]
    pub fn deny(message: impl Into<String>) -> Self {
        Self::Deny { code: ErrorCode::PermissionDenied, message: message.into() }
    }

    /// The back end cannot tell now.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable { message: message.into(), retry_after_ms: None }
    }
}

/// The reply handle of one question. It answers once; dropped unused, it answers that the back end is
/// unavailable: no client waits forever.
pub struct Reply<A> {
    deliver: Option<Box<dyn FnOnce(A) + Send>>,
    dropped: fn() -> A,
}

impl<A> Reply<A> {
    fn new(deliver: impl FnOnce(A) + Send + 'static, dropped: fn() -> A) -> Self {
        Self { deliver: Some(Box::new(deliver)), dropped }
    }

    /// Answers the question. A connection that no longer waits for the answer ignores it.
    pub fn answer(mut self, answer: A) {
        if let Some(deliver) = self.deliver.take() {
            deliver(answer);
        }
    }
}

impl Reply<LoginResult> {
    pub(crate) fn to_login(deliver: impl FnOnce(LoginResult) + Send + 'static) -> Self {
        let dropped = || Err(LoginRefused::Unavailable("the check was dropped".to_owned()));
        Self::new(deliver, dropped)
    }
}

impl Reply<Authorization> {
    pub(crate) fn to_authorization(deliver: impl FnOnce(Authorization) + Send + 'static) -> Self {
        Self::new(deliver, || Authorization::unavailable("the question to the back end was dropped"))
    }
}

impl<A> Drop for Reply<A> {
    fn drop(&mut self) {
        if let Some(deliver) = self.deliver.take() {
            deliver((self.dropped)());
        }
    }
}

impl<A> std::fmt::Debug for Reply<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reply(…)")
    }
}

/// An answer on its way to the connection that asked.
pub(crate) enum QuestionAnswer {
    Login(LoginResult),
    Authorization(Authorization),
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn dropped_reply_answers_unavailable() {
        let (tell, told) = channel();
        drop(Reply::to_authorization(move |decision| drop(tell.send(decision))));
        assert!(matches!(told.try_recv(), Ok(Authorization::Unavailable { .. })));
        let (tell, told) = channel();
        drop(Reply::to_login(move |login| drop(tell.send(login))));
        assert!(matches!(told.try_recv(), Ok(Err(LoginRefused::Unavailable(_)))));
    }

    #[test]
    fn reply_answers_once() {
        let (tell, told) = channel();
        Reply::to_authorization(move |decision| drop(tell.send(decision))).answer(Authorization::ALLOW);
        assert_eq!(told.iter().collect::<Vec<_>>(), [Authorization::ALLOW]);
    }
}
