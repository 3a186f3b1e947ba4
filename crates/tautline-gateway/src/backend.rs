//! Questions that only the app's back end can answer, each below a ceiling and with a deadline.
//!
//! A question never holds up anything but what depends on its answer: the connection polls it beside its other
//! work, and dropping the connection drops the question.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc};

use tautline_hub::{Identity, LoginRefused};
use tautline_protocol::{Now, packet::Auth};

use crate::{
    catch_unwind::CatchUnwind,
    permit::Permit,
    state::{GatewayState, Questions},
};

pub(crate) type LoginResult = Result<Identity, LoginRefused>;
pub(crate) type BackendFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Answers questions, at once or later. A question without an answer counts as refused with `unavailable`.
pub(crate) trait Backend: Send + Sync {
    /// Checks a login.
    fn authenticate<'a>(&'a self, now: Now, auth: &'a Auth) -> BackendFuture<'a, LoginResult>;

    /// The sources of the logins that it accepts ([`Identity::source`]): tickets of other sources are not valid.
    fn sources(&self) -> Vec<u64>;
}

/// Asks the back end about a login, and logs a refusal.
pub(crate) async fn authenticate(
    state: Arc<GatewayState>,
    now: Now,
    auth: Auth,
    address: Option<SocketAddr>,
) -> LoginResult {
    let result = ask(&state, now, &auth).await;
    if let Err(refused) = &result {
        state.refusals.log_login(now, &auth, refused, address);
    }
    result
}

async fn ask(state: &Arc<GatewayState>, now: Now, auth: &Auth) -> LoginResult {
    let Some(_permit) = Permit::<Questions>::try_acquire(state) else {
        return Err(unavailable("too many are being checked"));
    };
    let answer = CatchUnwind(state.access.backend.authenticate(now, auth));
    match tokio::time::timeout(state.config.backend_timeout, answer).await {
        Ok(Some(result)) => result,
        Ok(None) => Err(unavailable("the check failed")),
        Err(_) => Err(unavailable("the check took too long")),
    }
}

fn unavailable(words: &str) -> LoginRefused {
    LoginRefused::Unavailable(words.to_owned())
}
