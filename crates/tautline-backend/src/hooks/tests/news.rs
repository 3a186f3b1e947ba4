//! Remembered logins, and news of their users.

use tautline_hub::{Authorization, AuthorizeQuestion, Disconnect, budget::Holder};
use tautline_protocol::{ByeCode, ChannelName};

use super::*;

/// A hook on these kinds that remembers logins.
fn remembering(on: &[HookKind], url: &str) -> HookOptions {
    HookOptions { cache: Some(Duration::from_secs(60)), ..options(on, url) }
}

/// Ali refreshes its login by this token.
async fn refresh(hooks: &Hooks, text: &str) -> LoginResult {
    let (auth, present) = (token(text), (key(9), ali()));
    hooks.authenticate(Login { refreshes: Some(&present), ..Login::new(now(), &auth) }).await
}

/// Answers `connect` with Ali, and all else with this.
async fn back_end(otherwise: Value) -> BackEnd {
    BackEnd::new(move |_, seen| {
        let is_connect = seen.json()["kind"] == "connect";
        Reply::Json(200, if is_connect { json!({"result": {"user": "ali"}}) } else { otherwise.clone() })
    })
    .await
}

/// Whether a remembered login of Ali is let in without a question after this.
async fn is_remembered_after(answer: Value, act: impl AsyncFn(&Hooks)) -> bool {
    let back_end = back_end(answer).await;
    let hooks = hooks(&[
        remembering(&[HookKind::Connect], &back_end.url),
        options([HookKind::Refresh, HookKind::Call, HookKind::Publish], &back_end.url),
    ]);
    log_in(&hooks, &token("old")).await.unwrap();
    act(&hooks).await;
    let asked = back_end.seen().len();
    log_in(&hooks, &token("old")).await.unwrap();
    back_end.seen().len() == asked
}

#[tokio::test]
async fn user_whose_refresh_is_refused_is_asked_about_again() {
    let act = async |hooks: &Hooks| drop(refresh(hooks, "new").await.unwrap_err());
    for code in ["banned", "not_paid", "token_expired"] {
        assert!(!is_remembered_after(json!({"error": {"code": code}}), act).await, "{code}");
    }
    assert!(!is_remembered_after(json!({"disconnect": {"message": "out"}}), act).await);
}

#[tokio::test]
async fn refresh_without_an_answer_is_no_news() {
    let act = async |hooks: &Hooks| drop(refresh(hooks, "new").await.unwrap_err());
    assert!(is_remembered_after(json!({"error": {"code": "unavailable"}}), act).await);
    assert!(is_remembered_after(json!({"error": {"code": "rate_limited"}}), act).await);
}

#[tokio::test]
async fn refreshed_login_takes_the_place_of_what_was_remembered() {
    let act = async |hooks: &Hooks| drop(refresh(hooks, "new").await.unwrap());
    assert!(
        !is_remembered_after(json!({"result": {"user": "ali"}}), act).await,
        "it may say less than before"
    );
}

#[tokio::test]
async fn user_whom_the_back_end_disconnects_is_asked_about_again() {
    let out = json!({"disconnect": {"message": "out"}});
    let calls = async |hooks: &Hooks| drop(call(hooks, 1, "buy").await.unwrap_err());
    assert!(!is_remembered_after(out.clone(), calls).await);
    let publishes = async |hooks: &Hooks| {
        let question = AuthorizeQuestion {
            identity: ali(),
            channel: ChannelName::parse("room:7").unwrap(),
            permission: Permission::Publish,
            data: None,
            address: None,
            client: None,
            holder: Holder::of_hash(1),
            key: key(3),
        };
        assert!(matches!(hooks.authorize(now(), &question).await, Authorization::Disconnect(_)));
    };
    assert!(!is_remembered_after(out, publishes).await);
    let refusal = json!({"error": {"code": "sold_out"}});
    assert!(is_remembered_after(refusal, calls).await, "a refusal is about the request alone");
}

#[tokio::test]
async fn disconnected_login_is_told_how_it_may_come_again() {
    for (code, expected) in [("kicked", ByeCode::Kicked), ("token_expired", ByeCode::TokenExpired)] {
        let answer = json!({"disconnect": {"code": code, "message": "out"}});
        let back_end = BackEnd::always(Reply::Json(200, answer)).await;
        let hooks = hooks(&[options([HookKind::Connect], &back_end.url)]);
        let refused = LoginRefused::Disconnect(Disconnect { code: expected, message: "out".into() });
        assert_eq!(log_in(&hooks, &token("t")).await, Err(refused));
    }
}

#[tokio::test]
async fn large_logins_are_remembered_within_their_bytes() {
    let answer = json!({"result": {"user": "ali", "channels": vec!["x".repeat(200); 200]}});
    let back_end = BackEnd::always(Reply::Json(200, answer)).await;
    let room =
        |bytes| HookOptions { cache_bytes_max: bytes, ..remembering(&[HookKind::Connect], &back_end.url) };
    for (bytes, asked) in [(10_000, 2), (1 << 20, 1)] {
        let (hooks, before) = (hooks(&[room(bytes)]), back_end.seen().len());
        for _ in 0..2 {
            log_in(&hooks, &token("t")).await.unwrap();
        }
        assert_eq!(back_end.seen().len() - before, asked, "{bytes}");
    }
}
