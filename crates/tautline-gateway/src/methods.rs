//! The methods that the embedder registered, by name.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
};

use tautline_backend::{Backend, Call, CallResult};
use tautline_hub::IdempotentMethods;

pub(crate) type CallFuture = Pin<Box<dyn Future<Output = CallResult> + Send>>;
type Handler = Box<dyn Fn(Call) -> CallFuture + Send + Sync>;

/// The methods of a gateway.
#[derive(Default)]
pub(crate) struct Methods {
    handlers: HashMap<String, Handler>,
    /// Those that may run again under the same key.
    idempotent: HashSet<String>,
}

impl Methods {
    /// False where the name is taken.
    pub(crate) fn insert<F, R>(&mut self, method: String, handler: F) -> bool
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = CallResult> + Send + 'static,
    {
        self.handlers.insert(method, Box::new(move |call| Box::pin(handler(call)))).is_none()
    }

    pub(crate) fn mark_idempotent(&mut self, method: String) {
        self.idempotent.insert(method);
    }

    /// Which methods may run again: of those without a handler here the back end decides.
    pub(crate) fn idempotent(&self, backend: &Arc<dyn Backend>) -> IdempotentMethods {
        let here: HashSet<_> = self.handlers.keys().cloned().collect();
        let (idempotent, backend) = (self.idempotent.clone(), Arc::clone(backend));
        IdempotentMethods::new(move |method| match here.contains(method) {
            true => idempotent.contains(method),
            false => backend.is_idempotent(method),
        })
    }

    pub(crate) fn get(&self, method: &str) -> Option<&(dyn Fn(Call) -> CallFuture + Send + Sync)> {
        self.handlers.get(method).map(|handler| &**handler)
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.handlers.keys()).finish()
    }
}
