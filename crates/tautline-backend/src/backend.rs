//! The questions that only the app's back end can answer.

use std::{future::Future, net::IpAddr, pin::Pin};

use tautline_hub::{Authorization, AuthorizeQuestion};
use tautline_protocol::{Now, packet::Auth};

pub use tautline_hub::LoginResult;

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
}

impl<'a> Login<'a> {
    /// A login from an unknown address.
    #[must_use]
    pub fn new(now: Now, auth: &'a Auth) -> Self {
        Self { now, auth, address: None }
    }

    /// The same login from this address.
    #[must_use]
    pub fn with_address(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
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
        Box::pin(std::future::ready(Authorization::deny("nobody decides about this channel")))
    }

    /// The sources of the logins that it accepts ([`tautline_hub::Identity::source`]), asked once: tickets of other
    /// sources are not valid.
    fn sources(&self) -> Vec<u64>;
}
