//! The questions that only the app's back end can answer.

use std::{
    future::{Future, ready},
    net::IpAddr,
    pin::Pin,
    sync::Arc,
};

use tautline_hub::{
    AuthenticateQuestion, Authorization, AuthorizeQuestion, CallKey, Hub, Identity, budget::Holder,
};
use tautline_protocol::{
    Now,
    packet::{Auth, client::ClientInfo},
};

pub use tautline_hub::LoginResult;

use crate::{
    call::{Call, CallError, CallResult},
    figures::BackendFigures,
};

/// An answer, at once or later.
pub type BackendFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A login to be checked.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Login<'a> {
    /// The time of the question.
    pub now: Now,
    /// What the client shows.
    pub auth: &'a Auth,
    /// The client's address, where it is known.
    pub address: Option<IpAddr>,
    /// The client's software, where it is known.
    pub client: Option<&'a ClientInfo>,
    /// The request that refreshes the login of a session, and the login so far; `None` for a new connection.
    pub refreshes: Option<&'a (CallKey, Arc<Identity>)>,
    /// The owner of the question: a user, or an address.
    pub holder: Holder,
    /// The hub that will take the answer, where it is known.
    pub hub: Option<&'a Hub>,
}

impl<'a> Login<'a> {
    /// A login from an unknown address.
    #[must_use]
    pub fn new(now: Now, auth: &'a Auth) -> Self {
        Self {
            now,
            auth,
            address: None,
            client: None,
            refreshes: None,
            holder: Holder::of_hash(1),
            hub: None,
        }
    }

    /// The login of a question.
    #[must_use]
    pub fn of(now: Now, question: &'a AuthenticateQuestion) -> Self {
        let AuthenticateQuestion { auth, client, refreshes, holder } = question;
        let (client, refreshes) = (client.as_deref(), refreshes.as_ref());
        Self { client, refreshes, holder: *holder, ..Self::new(now, auth) }
    }

    /// The same login from this address.
    #[must_use]
    pub fn with_address(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// The same login for this hub.
    #[must_use]
    pub fn to_hub(self, hub: &'a Hub) -> Self {
        Self { hub: Some(hub), ..self }
    }

    /// True if the hub would refuse this answer, because the back end has revoked it.
    #[must_use]
    pub fn is_revoked(&self, identity: &Identity) -> bool {
        self.hub.is_some_and(|hub| hub.is_revoked(identity))
    }
}

/// Answers a gateway's questions.
///
/// A question never holds up anything but what depends on its answer. The gateway limits how many run at
/// once, and drops one that takes too long or panics; the client is then told `unavailable`
/// ([`tautline_hub::LoginRefused::Unavailable`]) and when to come again.
///
/// ```
/// use tautline_backend::{Backend, BackendFuture, Login, LoginResult};
/// use tautline_hub::{Identity, LoginRefused};
/// use tautline_protocol::{UserId, packet::Auth};
///
/// struct OneUser;
///
/// impl Backend for OneUser {
///     fn authenticate<'a>(&'a self, login: Login<'a>) -> BackendFuture<'a, LoginResult> {
///         Box::pin(async move {
///             match login.auth {
///                 Auth::Token { token } if token == "open sesame" => {
///                     Ok(Identity { user: UserId::parse("ali").ok(), source: 1, ..Identity::default() })
///                 }
///                 _ => Err(LoginRefused::Unauthorized("only Ali may enter".to_owned())),
///             }
///         })
///     }
///
///     fn sources(&self) -> Vec<u64> {
///         vec![1]
///     }
/// }
/// ```
pub trait Backend: Send + Sync {
    /// Checks a login. The text of a refusal is sent to the client: it must not repeat a secret, nor what
    /// the client sent.
    fn authenticate<'a>(&'a self, login: Login<'a>) -> BackendFuture<'a, LoginResult>;

    /// Decides whether a client may do something in a channel whose rule leaves that to the back end
    /// ([`tautline_hub::Access::Backend`]). By default it may not.
    fn authorize<'a>(
        &'a self,
        now: Now,
        question: &'a AuthorizeQuestion,
    ) -> BackendFuture<'a, Authorization> {
        let (_, _) = (now, question);
        Box::pin(ready(Authorization::deny("nobody decides about this channel")))
    }

    /// Runs a method that the gateway itself does not have. By default there is none.
    fn call<'a>(&'a self, now: Now, call: Call) -> BackendFuture<'a, CallResult> {
        let (_, _) = (now, call);
        Box::pin(ready(Err(CallError::no_such_method())))
    }

    /// Whether a method that the gateway itself does not have may run again under the same
    /// [`Call::key`]. By default it may not.
    fn is_idempotent(&self, method: &str) -> bool {
        let _ = method;
        false
    }

    /// What it counts, for operators. By default nothing.
    fn figures(&self, now: Now) -> BackendFigures {
        let _ = now;
        BackendFigures::default()
    }

    /// The sources of the logins that it accepts ([`tautline_hub::Identity::source`]), asked when it is put to use: tickets of other
    /// sources are not valid.
    fn sources(&self) -> Vec<u64>;
}

/// Many may hold it.
impl<B: Backend + ?Sized> Backend for Arc<B> {
    fn authenticate<'a>(&'a self, login: Login<'a>) -> BackendFuture<'a, LoginResult> {
        (**self).authenticate(login)
    }

    fn authorize<'a>(
        &'a self,
        now: Now,
        question: &'a AuthorizeQuestion,
    ) -> BackendFuture<'a, Authorization> {
        (**self).authorize(now, question)
    }

    fn call<'a>(&'a self, now: Now, call: Call) -> BackendFuture<'a, CallResult> {
        (**self).call(now, call)
    }

    fn is_idempotent(&self, method: &str) -> bool {
        (**self).is_idempotent(method)
    }

    fn figures(&self, now: Now) -> BackendFigures {
        (**self).figures(now)
    }

    fn sources(&self) -> Vec<u64> {
        (**self).sources()
    }
}
