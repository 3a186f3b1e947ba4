//! Answers from async functions of the embedding app; what they leave open is answered by another back end.
//!
//! Start at [`Handlers`].

use std::{future::Future, net::IpAddr, pin::Pin};

use tautline_hub::{Authorization, AuthorizeQuestion, Identity};
use tautline_protocol::{
    Now,
    packet::{Auth, client::ClientInfo},
};

use crate::{
    backend::{Backend, BackendFuture, Login, LoginResult},
    call::{Call, CallResult},
    figures::BackendFigures,
    source::source_of,
};

/// A login that an app's function is asked about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoginAttempt {
    /// The time of the question.
    pub now: Now,
    /// What the client shows.
    pub auth: Auth,
    /// The client's address, where it is known.
    pub address: Option<IpAddr>,
    /// The client's software, where it is known.
    pub client: Option<ClientInfo>,
}

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type OnLogin = Box<dyn Fn(LoginAttempt) -> Answer<Option<LoginResult>> + Send + Sync>;
type OnPermission = Box<dyn Fn(AuthorizeQuestion) -> Answer<Authorization> + Send + Sync>;

/// A back end made of functions. Without any, it answers as the other one does.
pub struct Handlers {
    rest: Box<dyn Backend>,
    source: u64,
    on_login: Option<OnLogin>,
    on_permission: Option<OnPermission>,
}

impl Handlers {
    /// No functions yet: all is answered by `rest`. `environment` separates the logins of one deployment from those
    /// of another.
    #[must_use]
    pub fn new(environment: &str, rest: Box<dyn Backend>) -> Self {
        let source = source_of(environment, "handler", b"");
        Self { rest, source, on_login: None, on_permission: None }
    }

    /// Asks this function about each login. `None` leaves the login to the other back end. The function need not
    /// set [`Identity::source`]. The text of a refusal is sent to the client: it must not repeat a secret.
    #[must_use]
    pub fn on_login<F, R>(mut self, handler: F) -> Self
    where
        F: Fn(LoginAttempt) -> R + Send + Sync + 'static,
        R: Future<Output = Option<LoginResult>> + Send + 'static,
    {
        self.on_login = Some(Box::new(move |login| Box::pin(handler(login))));
        self
    }

    /// Asks this function what clients may do in channels whose rule says [`tautline_hub::Access::Backend`].
    #[must_use]
    pub fn on_permission<F, R>(mut self, handler: F) -> Self
    where
        F: Fn(AuthorizeQuestion) -> R + Send + Sync + 'static,
        R: Future<Output = Authorization> + Send + 'static,
    {
        self.on_permission = Some(Box::new(move |question| Box::pin(handler(question))));
        self
    }
}

impl Backend for Handlers {
    fn authenticate<'a>(&'a self, login: Login<'a>) -> BackendFuture<'a, LoginResult> {
        let Some(on_login) = &self.on_login else { return self.rest.authenticate(login) };
        let Login { now, auth, address, client, .. } = login;
        let answer = on_login(LoginAttempt { now, auth: auth.clone(), address, client: client.cloned() });
        Box::pin(async move {
            match answer.await {
                None => self.rest.authenticate(login).await,
                Some(result) => result.map(|identity| Identity { source: self.source, ..identity }),
            }
        })
    }

    fn authorize<'a>(
        &'a self,
        now: Now,
        question: &'a AuthorizeQuestion,
    ) -> BackendFuture<'a, Authorization> {
        match &self.on_permission {
            Some(on_permission) => on_permission(question.clone()),
            None => self.rest.authorize(now, question),
        }
    }

    fn call<'a>(&'a self, now: Now, call: Call) -> BackendFuture<'a, CallResult> {
        self.rest.call(now, call)
    }

    fn is_idempotent(&self, method: &str) -> bool {
        self.rest.is_idempotent(method)
    }

    fn figures(&self, now: Now) -> BackendFigures {
        self.rest.figures(now)
    }

    fn sources(&self) -> Vec<u64> {
        let own = self.on_login.is_some().then_some(self.source);
        self.rest.sources().into_iter().chain(own).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::ready,
        task::{Context, Poll, Waker},
    };

    use tautline_hub::LoginRefused;
    use tautline_protocol::UserId;

    use super::*;
    use crate::{Authenticator, AuthenticatorOptions};

    fn handlers() -> Handlers {
        let guests = AuthenticatorOptions { guests: true, ..AuthenticatorOptions::default() };
        Handlers::new("test", Box::new(Authenticator::new(&guests).unwrap()))
    }

    fn login(backend: &Handlers, auth: &Auth) -> LoginResult {
        match backend
            .authenticate(Login::new(Now::new(0, 0), auth))
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(result) => result,
            Poll::Pending => panic!("these answer at once"),
        }
    }

    fn with_login() -> Handlers {
        handlers().on_login(|login| {
            ready(match login.auth {
                Auth::Token { token } if token == "ali's" => {
                    Some(Ok(Identity { user: UserId::parse("ali").ok(), ..Identity::default() }))
                }
                Auth::Token { .. } => Some(Err(LoginRefused::Unauthorized("no such session".to_owned()))),
                _ => None,
            })
        })
    }

    fn token(token: &str) -> Auth {
        Auth::Token { token: token.to_owned() }
    }

    #[test]
    fn function_decides_and_its_logins_are_a_source() {
        let backend = with_login();
        let identity = login(&backend, &token("ali's")).unwrap();
        assert_eq!(identity.user.as_ref().map(UserId::as_str), Some("ali"));
        assert!(backend.sources().contains(&identity.source));
        assert!(matches!(login(&backend, &token("else")), Err(LoginRefused::Unauthorized(_))));
    }

    #[test]
    fn login_that_is_left_open_is_answered_by_the_rest() {
        let backend = with_login();
        let guest = login(&backend, &Auth::Guest { guest: true }).unwrap();
        assert_eq!(guest.user, None);
        assert!(backend.sources().contains(&guest.source));
        assert_ne!(guest.source, login(&backend, &token("ali's")).unwrap().source);
    }

    #[test]
    fn without_functions_the_rest_answers_all() {
        assert!(login(&handlers(), &token("ali's")).is_err());
        assert_eq!(handlers().sources().len(), 1, "guests alone");
    }
}
