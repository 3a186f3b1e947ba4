//! Asks the back end, below a ceiling with shares and with a deadline.
//!
//! A question holds up only what depends on its answer: the connection polls it beside its other work, and
//! dropping the connection drops the question.

use std::{
    future::{Future, poll_fn},
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use tautline_backend::{BackendFuture, Login};
use tautline_hub::{
    AuthenticateQuestion, Authorization, AuthorizeQuestion, LoginRefused, LoginResult, Reply,
    budget::{Claim, Claimant, Holder},
};
use tautline_protocol::{ErrorCode, Now};

use crate::{
    catch_unwind::CatchUnwind,
    figures::Timing,
    permit::Permit,
    state::{GatewayState, Questions},
};

/// A question on its way. It gives its reply itself.
pub(crate) type RunningQuestion = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A place among [`crate::GatewayConfig::backend_questions_max`], and the share of whoever asks.
struct QuestionPermit {
    _permit: Permit<Questions>,
    _share: Claim,
}

/// Asks the back end about a login, and logs a refusal. `counted` is the address for budgets: a proxy is not one client.
pub(crate) async fn authenticate(
    state: Arc<GatewayState>,
    now: Now,
    question: AuthenticateQuestion,
    reply: Reply<LoginResult>,
    (counted, address): (Option<IpAddr>, Option<SocketAddr>),
) {
    let login = Login::of(now, &question).with_address(counted).to_hub(&state.hub);
    let answer = ask(&state, question.holder, state.access.backend.authenticate(login)).await;
    let result = answer.unwrap_or_else(|words| Err(LoginRefused::Unavailable(words.to_owned())));
    let error = result.as_ref().err().map(|refused| match refused {
        LoginRefused::Unavailable(_) => ErrorCode::Unavailable,
        _ => ErrorCode::PermissionDenied,
    });
    record(&state, now, Timing::Login, error.as_ref());
    if let Err(refused) = &result {
        state.refusals.log_login(now, &question.auth, refused, address);
    }
    reply.answer(result);
}

/// Asks the back end about a permission.
pub(crate) async fn authorize(
    state: Arc<GatewayState>,
    now: Now,
    question: AuthorizeQuestion,
    reply: Reply<Authorization>,
) {
    let answer = ask(&state, question.holder, state.access.backend.authorize(now, &question)).await;
    let answer = answer.unwrap_or_else(Authorization::unavailable);
    let error = match &answer {
        Authorization::Deny { .. } | Authorization::Disconnect(_) => Some(ErrorCode::PermissionDenied),
        Authorization::Unavailable { .. } => Some(ErrorCode::Unavailable),
        Authorization::Allow { .. } | Authorization::Rewrite { .. } | Authorization::Skip => None,
    };
    record(&state, now, Timing::Permission, error.as_ref());
    reply.answer(answer);
}

fn record(state: &GatewayState, since: Now, timing: Timing, error: Option<&ErrorCode>) {
    let ms = state.clock.now().mono_ms.saturating_sub(since.mono_ms);
    state.timings.record(timing, ms, error);
}

async fn ask<T>(
    state: &Arc<GatewayState>,
    holder: Holder,
    answer: BackendFuture<'_, T>,
) -> Result<T, &'static str> {
    const FAILED: &str = "the check failed";
    let mut answer = pin!(CatchUnwind(answer));
    // An answer at once, as to a token, takes no place: logins that wait for a vendor hold up no others.
    if let Poll::Ready(result) = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await {
        return result.ok_or(FAILED);
    }
    let Some(_permit) = QuestionPermit::try_acquire(state, holder) else {
        return Err("too many are being checked");
    };
    match tokio::time::timeout(state.config.backend_timeout, answer).await {
        Ok(result) => result.ok_or(FAILED),
        Err(_) => Err("the check took too long"),
    }
}

impl QuestionPermit {
    fn try_acquire(state: &Arc<GatewayState>, holder: Holder) -> Option<Self> {
        let _share = state.question_shares.claim(holder, 1, Claimant::Ordinary)?;
        Some(Self { _permit: Permit::try_acquire(state)?, _share })
    }
}

#[cfg(test)]
mod tests {
    use std::{task::Waker, time::Duration};

    use tautline_backend::Backend;
    use tautline_hub::{Access, ChannelRule, Identity, Output, Peer, RulePattern};
    use tautline_protocol::Format;

    use super::*;
    use crate::{Gateway, GatewayConfig};

    /// A back end that decides by the channel's name.
    struct ByName;

    impl Backend for ByName {
        fn authenticate<'a>(&'a self, _: Login<'a>) -> BackendFuture<'a, LoginResult> {
            Box::pin(std::future::ready(Ok(Identity::default())))
        }

        fn authorize<'a>(
            &'a self,
            _: Now,
            question: &'a AuthorizeQuestion,
        ) -> BackendFuture<'a, Authorization> {
            Box::pin(async move {
                match question.channel.as_str() {
                    "asks:open" => Authorization::ALLOW,
                    "asks:panic" => panic!("part of the test"),
                    "asks:hang" => std::future::pending().await,
                    _ => Authorization::deny("no"),
                }
            })
        }

        fn sources(&self) -> Vec<u64> {
            vec![0]
        }
    }

    /// A back end that decides about nothing.
    struct Silent;

    impl Backend for Silent {
        fn authenticate<'a>(&'a self, _: Login<'a>) -> BackendFuture<'a, LoginResult> {
            Box::pin(std::future::ready(Ok(Identity::default())))
        }

        fn sources(&self) -> Vec<u64> {
            vec![0]
        }
    }

    fn gateway(backend: impl Backend + 'static, questions_max: usize) -> Gateway {
        let pattern = RulePattern::parse("asks:*").unwrap();
        let asks = ChannelRule { publish: Access::Backend, ..ChannelRule::closed(pattern) };
        let config = GatewayConfig {
            backend_questions_max: questions_max,
            backend_timeout: Duration::from_millis(10),
            ..GatewayConfig::default()
        };
        Gateway::builder().config(config).backend(backend).rules(vec![asks]).build().unwrap()
    }

    /// The question of a client at this address about a publish in this channel, and what answers it.
    fn question(gateway: &Gateway, address: &str, channel: &str) -> (Peer, RunningQuestion) {
        let (state, now) = (Arc::clone(gateway.state()), Now::new(0, 0));
        let holder = state.hub.holder(address.as_bytes());
        let mut peer = state.hub.peer_of(holder, Format::Json, now, Waker::noop().clone());
        let publish = format!(r#"{{"id":1,"publish":{{"channel":"{channel}","data":1}}}}"#);
        peer.handle_message(now, r#"{"hello":{"v":1,"auth":{"guest":true}}}"#);
        peer.handle_message(now, &publish);
        // Many hellos of one millisecond wait for their turn.
        while state.hub.pump() {}
        loop {
            match peer.poll_output(now).expect("a question follows") {
                Output::Authenticate(_, reply) => reply.answer(Ok(Identity::default())),
                Output::Authorize(question, reply) => {
                    return (peer, Box::pin(authorize(state, now, question, reply)));
                }
                _ => {}
            }
        }
    }

    fn reply(mut peer: Peer) -> String {
        match peer.poll_output(Now::new(0, 0)) {
            Some(Output::Message(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
            other => panic!("no reply, but {other:?}"),
        }
    }

    async fn answer(gateway: &Gateway, channel: &str) -> String {
        let (peer, question) = question(gateway, "a", channel);
        question.await;
        reply(peer)
    }

    #[tokio::test]
    async fn back_end_decides_about_each_publish() {
        let gateway = gateway(ByName, 9);
        assert!(answer(&gateway, "asks:open").await.contains(r#""ok""#));
        assert!(answer(&gateway, "asks:else").await.contains(r#""permission_denied","message":"no""#));
    }

    #[tokio::test]
    async fn back_end_that_decides_nothing_denies() {
        assert!(answer(&gateway(Silent, 9), "asks:open").await.contains("permission_denied"));
    }

    #[tokio::test]
    async fn question_without_answer_is_unavailable() {
        let gateway = gateway(ByName, 9);
        let hung = answer(&gateway, "asks:hang").await;
        assert!(hung.contains("unavailable") && hung.contains("retry_after_ms"), "{hung}");
        let panicked = answer(&gateway, "asks:panic").await;
        assert!(panicked.contains("unavailable") && panicked.contains("the check failed"), "{panicked}");
        assert_eq!((gateway.state().questions.in_use(), gateway.state().question_shares.used()), (0, 0));
    }

    #[tokio::test]
    async fn greedy_address_gets_half_of_the_questions() {
        let gateway = gateway(ByName, 8);
        let mut asked = Vec::new();
        let is_pending = |question: &mut RunningQuestion| {
            let mut cx = std::task::Context::from_waker(Waker::noop());
            question.as_mut().poll(&mut cx).is_pending()
        };
        while let (peer, mut question) = question(&gateway, "greedy", "asks:hang")
            && is_pending(&mut question)
        {
            asked.push((peer, question));
        }
        assert_eq!(asked.len(), 5);
        let (_peer, mut other) = question(&gateway, "other", "asks:hang");
        assert!(is_pending(&mut other));
    }
}
