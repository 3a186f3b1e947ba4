//! Questions that only the app's back end can answer: is this login good, may this user do this?
//!
//! Start at [`Reply`]. A peer hands a question to its shell and goes on; the answer comes back through the
//! connection's mailbox, at any time and from any thread.

use std::{net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tautline_engine::budget::Holder;
use tautline_protocol::{
    ByeCode, ChannelName, ErrorCode, Now,
    packet::{Auth, client::ClientInfo, server::Published},
};

use crate::{CallKey, Identity, LoginRefused, Permission};

/// The result of a checked login.
pub type LoginResult = Result<Identity, LoginRefused>;

/// Is this login good?
#[derive(Debug)]
pub struct AuthenticateQuestion {
    /// The login.
    pub auth: Auth,
    /// The client's software, as its `hello` says; for a refresh without its version.
    pub client: Option<Arc<ClientInfo>>,
    /// The session whose login is refreshed, and its login so far; `None` for a `hello`.
    pub refreshes: Option<(CallKey, Arc<Identity>)>,
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
    /// The client's address; the shell knows it.
    pub address: Option<IpAddr>,
    /// The client's software, where it is known; without its version.
    pub client: Option<Arc<ClientInfo>>,
    /// The holder whose share of the node's questions this one uses: the user, or the address of a guest.
    pub holder: Holder,
    /// Identifies the request and its session; stays the same when the request is repeated.
    pub key: CallKey,
}

impl AuthorizeQuestion {
    /// The client's session.
    #[must_use]
    pub fn session(&self) -> String {
        self.key.session()
    }
}

/// The back end ends the connection of whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disconnect {
    /// [`ByeCode::Kicked`] ends the session, too; after any other code the client may come back as the code says.
    pub code: ByeCode,
    /// The text of the `bye`.
    pub message: String,
}

/// The back end's answer to an [`AuthorizeQuestion`].
#[derive(Clone, Debug)]
pub enum Authorization {
    /// The client may.
    Allow {
        /// For how long the answer holds for the same session, channel and permission, in milliseconds. `None`:
        /// for a `subscribe` until the client unsubscribes or its session ends, for anything else this once.
        valid_ms: Option<u64>,
    },
    /// The client may publish this once, and what is published is this.
    Rewrite {
        /// In place of the client's payload; `None`: as the client sent it.
        data: Option<Box<RawValue>>,
        /// Labels that travel with the publication; a JSON object.
        tags: Option<Box<RawValue>>,
    },
    /// The publication is taken, and nothing is appended: the client is told so by offset 0.
    Skip,
    /// The client may not, and its connection ends.
    Disconnect(Disconnect),
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

/// The reply to a publication that the back end has taken and that no log has.
pub(crate) fn skipped(now: Now) -> Published {
    Published { epoch: String::new(), offset: 0, at: now.wall_ms }
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
        assert!(matches!(told.iter().collect::<Vec<_>>()[..], [Authorization::Allow { valid_ms: None }]));
    }
}
