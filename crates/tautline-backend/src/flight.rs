//! Work that runs once, whoever asks for it meanwhile.

use std::{future::Future, sync::Arc};

use tokio::sync::watch;

/// Work in a task of its own: it ends even if all who asked are gone.
#[derive(Debug)]
pub(crate) struct Flight<T>(watch::Receiver<Option<Arc<T>>>);

impl<T> Clone for Flight<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send + Sync + 'static> Flight<T> {
    /// Starts the work. Needs a tokio runtime.
    pub(crate) fn start(work: impl Future<Output = T> + Send + 'static) -> Self {
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(async move { sender.send_replace(Some(Arc::new(work.await))) });
        Self(receiver)
    }

    /// Its result; `None` if it panicked.
    pub(crate) async fn result(mut self) -> Option<Arc<T>> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// True until there is a result, or there will be none.
    pub(crate) fn is_running(&self) -> bool {
        self.0.borrow().is_none() && self.0.has_changed().is_ok()
    }
}
