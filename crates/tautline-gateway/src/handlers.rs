//! Async functions of the embedding app that answer logins, permissions and calls.

use std::{future::Future, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::to_raw_value;
use tautline_backend::{Backend, Handlers, LoginAttempt, LoginResult};
use tautline_hub::{Authorization, AuthorizeQuestion};

use crate::{Call, CallError, GatewayBuilder, methods::CallFuture};

type Add = Box<dyn FnOnce(Handlers) -> Handlers>;

/// The functions of a builder, added to its back end when that is known.
#[derive(Default)]
pub(crate) struct HandlersToAdd(Vec<Add>);

impl HandlersToAdd {
    /// The back end that asks these functions first.
    pub(crate) fn around(self, environment: &str, backend: Box<dyn Backend>) -> Box<dyn Backend> {
        if self.0.is_empty() {
            return backend;
        }
        let handlers = Handlers::new(environment, backend);
        Box::new(self.0.into_iter().fold(handlers, |handlers, add| add(handlers)))
    }
}

impl GatewayBuilder {
    /// Asks this function about each login; `None` leaves the login to the builder's other settings. Default: none.
    ///
    /// ```
    /// use tautline_gateway::{Auth, Gateway, Identity, UserId};
    ///
    /// async fn user_of(session: &str) -> Option<UserId> {
    ///     # let _ = session;
    ///     UserId::parse("ali").ok() // a real app asks its database
    /// }
    ///
    /// let gateway = Gateway::builder()
    ///     .on_login(|login| async move {
    ///         let Auth::Token { token } = login.auth else { return None };
    ///         let user = user_of(&token).await?;
    ///         Some(Ok(Identity { user: Some(user), ..Identity::default() }))
    ///     })
    ///     .build()?;
    /// # Ok::<(), tautline_gateway::BuildError>(())
    /// ```
    pub fn on_login<F, R>(mut self, handler: F) -> Self
    where
        F: Fn(LoginAttempt) -> R + Send + Sync + 'static,
        R: Future<Output = Option<LoginResult>> + Send + 'static,
    {
        self.handlers.0.push(Box::new(move |handlers| handlers.on_login(handler)));
        self
    }

    /// Asks this function what clients may do in channels whose rule says [`crate::Access::Backend`]. Default: the
    /// back end decides, and without one nobody may.
    pub fn on_permission<F, R>(mut self, handler: F) -> Self
    where
        F: Fn(AuthorizeQuestion) -> R + Send + Sync + 'static,
        R: Future<Output = Authorization> + Send + 'static,
    {
        self.handlers.0.push(Box::new(move |handlers| handlers.on_permission(handler)));
        self
    }

    /// A method whose payload and answer are JSON of these types, as [`GatewayBuilder::call`] has them as text. A payload
    /// of another form is answered `bad_request`.
    ///
    /// ```
    /// # use tautline_gateway::{CallError, Gateway};
    /// #[derive(serde::Deserialize)]
    /// struct Sum { of: Vec<i64> }
    ///
    /// let gateway = Gateway::builder()
    ///     .call_json("sum", |_, sum: Sum| async move { Ok::<_, CallError>(sum.of.iter().sum::<i64>()) })
    ///     .build()?;
    /// # Ok::<(), tautline_gateway::BuildError>(())
    /// ```
    pub fn call_json<F, R, T, A>(self, method: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Call, T) -> R + Send + Sync + 'static,
        R: Future<Output = Result<A, CallError>> + Send + 'static,
        T: DeserializeOwned + Send + 'static,
        A: Serialize + Send + 'static,
    {
        self.call(method, typed(handler))
    }

    /// The same for a method that may run again under the same [`Call::key`], see [`GatewayBuilder::call_idempotent`].
    pub fn call_json_idempotent<F, R, T, A>(self, method: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Call, T) -> R + Send + Sync + 'static,
        R: Future<Output = Result<A, CallError>> + Send + 'static,
        T: DeserializeOwned + Send + 'static,
        A: Serialize + Send + 'static,
    {
        self.call_idempotent(method, typed(handler))
    }
}

/// A handler whose payload and answer are JSON of these types.
fn typed<F, R, T, A>(handler: F) -> impl Fn(Call) -> CallFuture + Send + Sync + 'static
where
    F: Fn(Call, T) -> R + Send + Sync + 'static,
    R: Future<Output = Result<A, CallError>> + Send + 'static,
    T: DeserializeOwned + Send + 'static,
    A: Serialize + Send + 'static,
{
    let handler = Arc::new(handler);
    move |call| {
        let handler = Arc::clone(&handler);
        Box::pin(async move {
            let payload = serde_json::from_str(call.data.get()).map_err(|error| {
                CallError::new("bad_request", format!("the payload of this method: {error}"))
            })?;
            let answer = handler(call, payload).await?;
            to_raw_value(&answer).map_err(|error| CallError::new("internal", error.to_string()))
        })
    }
}
