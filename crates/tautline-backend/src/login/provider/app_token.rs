//! Logins at a vendor that wants a token of the app with each code.

use std::sync::Arc;

use tautline_files::secret::Secret;
use tokio::time::{Instant, timeout_at};

use super::{Clock, CodeResult, Provider};
use crate::{
    flight::Flight,
    login::{
        app_tokens::Step,
        vendor::{AppToken, CodeError},
    },
};

impl Provider {
    /// Asks with a token of the app, and once again with a new one where the vendor calls it ended.
    pub(super) async fn redeem_with_token(
        self: &Arc<Self>,
        clock: Clock,
        code: &str,
        until: Instant,
    ) -> CodeResult {
        let token = self.app_token(clock, None, until).await?;
        match self.redeem(clock, code, token.expose(), until).await {
            Err(CodeError::TokenEnded) => {}
            result => return result,
        }
        let token = self.app_token(clock, Some(&token), until).await?;
        match self.redeem(clock, code, token.expose(), until).await {
            Err(CodeError::TokenEnded) => {
                let error = CodeError::operator("the token that the app has just got is refused");
                Err(self.without_token(clock, error))
            }
            result => result,
        }
    }

    /// The token of the app: the one that is kept, or a new one, which is fetched once for all who wait.
    async fn app_token(
        self: &Arc<Self>,
        clock: Clock,
        refused: Option<&Secret>,
        until: Instant,
    ) -> Result<Secret, CodeError> {
        let (fetch, meanwhile) = {
            let mut state = self.state();
            let meanwhile = match state.app_tokens.step(clock.mono_ms(), refused) {
                Step::Use(token) => return Ok(token),
                Step::Fail(error) => {
                    drop(state);
                    return Err(self.without_token(clock, error));
                }
                Step::Fetch { meanwhile } => meanwhile,
            };
            let running = state.token_fetch.take().filter(Flight::is_running);
            let fetch = running.unwrap_or_else(|| {
                let provider = Arc::clone(self);
                Flight::start(async move { provider.fetch_token(clock).await })
            });
            (state.token_fetch.insert(fetch).clone(), meanwhile)
        };
        if let Some(token) = meanwhile {
            return Ok(token);
        }
        match timeout_at(until, fetch.result()).await.ok().flatten().as_deref() {
            Some(Ok(AppToken { token, .. })) => Ok(token.clone()),
            Some(Err(error)) => Err(self.without_token(clock, error.clone())),
            None => Err(CodeError::Temporary),
        }
    }

    async fn fetch_token(&self, clock: Clock) -> Result<AppToken, CodeError> {
        let source = || self.vendor.token_source().expect("only those with a source are asked");
        let request = source().request();
        let body = self.send(clock, request, Instant::now() + self.timeout).await;
        let result = body.and_then(|body| source().token(&body));
        self.state().app_tokens.fetched(clock.mono_ms(), &result);
        result
    }

    /// Why there is no token. The code was not used: what is the operator's error is told to the log, and the
    /// client may come again with the same code.
    fn without_token(&self, clock: Clock, error: CodeError) -> CodeError {
        match error {
            CodeError::Operator(hint) => {
                self.log_operator_error(clock.now, &hint);
                CodeError::Temporary
            }
            error => error,
        }
    }
}
