//! The back end in use, in whose place another one can be put while questions run.

use std::sync::Arc;

use tautline_backend::{Backend, BackendFigures, BackendFuture, Call, CallResult, Login, LoginResult};
use tautline_hub::{Authorization, AuthorizeQuestion};
use tautline_protocol::Now;

use crate::swap::Swap;

/// Each question is answered by the back end that was in use when it was asked. Clones are the same one.
#[derive(Clone)]
pub(crate) struct CurrentBackend(Arc<Swap<dyn Backend>>);

impl CurrentBackend {
    pub(crate) fn new(backend: Box<dyn Backend>) -> Self {
        Self(Arc::new(Swap::new(backend.into())))
    }

    pub(crate) fn replace(&self, backend: Box<dyn Backend>) {
        self.0.set(backend.into());
    }
}

impl Backend for CurrentBackend {
    fn authenticate<'a>(&'a self, login: Login<'a>) -> BackendFuture<'a, LoginResult> {
        let backend = self.0.get();
        Box::pin(async move { backend.authenticate(login).await })
    }

    fn authorize<'a>(
        &'a self,
        now: Now,
        question: &'a AuthorizeQuestion,
    ) -> BackendFuture<'a, Authorization> {
        let backend = self.0.get();
        Box::pin(async move { backend.authorize(now, question).await })
    }

    fn call<'a>(&'a self, now: Now, call: Call) -> BackendFuture<'a, CallResult> {
        let backend = self.0.get();
        Box::pin(async move { backend.call(now, call).await })
    }

    fn is_idempotent(&self, method: &str) -> bool {
        self.0.get().is_idempotent(method)
    }

    fn figures(&self, now: Now) -> BackendFigures {
        self.0.get().figures(now)
    }

    fn sources(&self) -> Vec<u64> {
        self.0.get().sources()
    }
}
