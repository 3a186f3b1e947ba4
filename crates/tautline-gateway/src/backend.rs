//! The app's back end, as the gateway asks it: questions that only it can answer, at once or later.

use std::{future::Future, pin::Pin};

use tautline_hub::{Identity, LoginRefused};
use tautline_protocol::{Now, packet::Auth};

pub(crate) type LoginResult = Result<Identity, LoginRefused>;
pub(crate) type BackendFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Answers questions. The gateway refuses a question without an answer as [`LoginRefused::Unavailable`].
pub(crate) trait Backend: Send + Sync {
    /// Checks a login.
    fn authenticate<'a>(&'a self, now: Now, auth: &'a Auth) -> BackendFuture<'a, LoginResult>;

    /// The sources of the logins that it accepts ([`Identity::source`]): tickets of other sources are not
    /// valid.
    fn sources(&self) -> Vec<u64>;
}
