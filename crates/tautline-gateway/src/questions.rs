//! Asks the back end, below a ceiling and with a deadline.
//!
//! A question holds up only what depends on its answer: the connection polls it beside its other work, and
//! dropping the connection drops the question.

use std::{future::poll_fn, net::SocketAddr, pin::pin, sync::Arc, task::Poll};

use tautline_backend::{Login, LoginResult};
use tautline_hub::LoginRefused;
use tautline_protocol::{Now, packet::Auth};

use crate::{
    catch_unwind::CatchUnwind,
    permit::Permit,
    state::{GatewayState, Questions},
};

/// Asks the back end about a login, and logs a refusal.
pub(crate) async fn authenticate(
    state: Arc<GatewayState>,
    now: Now,
    auth: Auth,
    address: Option<SocketAddr>,
) -> LoginResult {
    let result = ask(&state, Login::new(now, &auth).with_address(address.map(|it| it.ip()))).await;
    if let Err(refused) = &result {
        state.refusals.log_login(now, &auth, refused, address);
    }
    result
}

async fn ask(state: &Arc<GatewayState>, login: Login<'_>) -> LoginResult {
    let failed = || Err(unavailable("the check failed"));
    let mut answer = pin!(CatchUnwind(state.access.backend.authenticate(login)));
    // An answer at once, as to a token, takes no place: logins that wait for a vendor hold up no others.
    if let Poll::Ready(result) = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await {
        return result.unwrap_or_else(failed);
    }
    let Some(_permit) = Permit::<Questions>::try_acquire(state) else {
        return Err(unavailable("too many are being checked"));
    };
    match tokio::time::timeout(state.config.backend_timeout, answer).await {
        Ok(result) => result.unwrap_or_else(failed),
        Err(_) => Err(unavailable("the check took too long")),
    }
}

fn unavailable(words: &str) -> LoginRefused {
    LoginRefused::Unavailable(words.to_owned())
}
