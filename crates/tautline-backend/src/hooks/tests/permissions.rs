//! Questions about channels.

use serde_json::json;
use tautline_hub::{Authorization, AuthorizeQuestion, budget::Holder};
use tautline_protocol::{ByeCode, ChannelName};

use super::*;

fn question(permission: Permission) -> AuthorizeQuestion {
    AuthorizeQuestion {
        identity: ali(),
        channel: ChannelName::parse("room:7").unwrap(),
        permission,
        data: (permission == Permission::Publish).then(|| RawValue::from_string("5".to_owned()).unwrap()),
        address: None,
        client: None,
        holder: Holder::of_hash(1),
        key: key(3),
    }
}

async fn ask(answer: Value) -> Authorization {
    let back_end = BackEnd::always(Reply::Json(200, answer)).await;
    let hooks = hooks(&[options([HookKind::Publish], &back_end.url)]);
    hooks.authorize(now(), &question(Permission::Publish)).await
}

#[tokio::test]
async fn each_permission_is_asked_for_by_its_name() {
    let all = [HookKind::Subscribe, HookKind::Publish, HookKind::History, HookKind::Presence];
    let answer = json!({"result": {"valid_ms": 9, "info": {}}});
    let back_end = BackEnd::always(Reply::Json(200, answer)).await;
    let hooks = hooks(&[options(all, &back_end.url)]);
    for permission in Permission::ALL {
        let answer = hooks.authorize(now(), &question(permission)).await;
        assert!(matches!(answer, Authorization::Allow { valid_ms: Some(9) }), "{answer:?}");
    }
    let kinds: Vec<_> = back_end.seen().iter().map(|seen| seen.json()["kind"].clone()).collect();
    assert_eq!(kinds, Permission::ALL.map(|permission| json!(permission.as_str())));
    let publish = back_end.seen().into_iter().find(|seen| seen.json()["kind"] == "publish").unwrap();
    assert_eq!((&publish.json()["channel"], &publish.json()["data"]), (&json!("room:7"), &json!(5)));
}

#[tokio::test]
async fn publication_may_be_rewritten_or_skipped() {
    let answer = ask(json!({"result": {"data": [6], "tags": {"by": "shop"}}})).await;
    let Authorization::Rewrite { data: Some(data), tags: Some(tags) } = answer else { panic!("{answer:?}") };
    assert_eq!((data.get(), tags.get()), ("[6]", r#"{"by":"shop"}"#));
    let answer = ask(json!({"result": {"data": null}})).await;
    let Authorization::Rewrite { data: Some(data), tags: None } = answer else { panic!("{answer:?}") };
    assert_eq!(data.get(), "null");
    assert!(matches!(ask(json!({"result": {"skip": true}})).await, Authorization::Skip));
    assert!(matches!(ask(json!({"result": {}})).await, Authorization::Allow { valid_ms: None }));
}

#[tokio::test]
async fn subscribe_is_permitted_whatever_data_comes_with_it() {
    let back_end = BackEnd::always(Reply::Json(200, json!({"result": {"data": {}, "skip": true}}))).await;
    let hooks = hooks(&[options([HookKind::Subscribe], &back_end.url)]);
    let answer = hooks.authorize(now(), &question(Permission::Subscribe)).await;
    assert!(matches!(answer, Authorization::Allow { valid_ms: None }), "{answer:?}");
}

#[tokio::test]
async fn refusal_passes_code_and_message() {
    let answer = ask(json!({"error": {"code": "not_paid", "message": "pay first"}})).await;
    let Authorization::Deny { code, message } = answer else { panic!("{answer:?}") };
    assert_eq!((code.as_str(), &*message), ("not_paid", "pay first"));
    let answer = ask(json!({"error": {"code": "unavailable", "retry_after_ms": 7}})).await;
    assert!(matches!(answer, Authorization::Unavailable { retry_after_ms: Some(7), .. }), "{answer:?}");
}

#[tokio::test]
async fn disconnect_passes_its_message() {
    let answer = ask(json!({"disconnect": {"code": 4501, "message": "bye"}})).await;
    let Authorization::Disconnect(disconnect) = answer else { panic!("{answer:?}") };
    assert_eq!((disconnect.code, &*disconnect.message), (ByeCode::Kicked, "bye"));
}

#[tokio::test]
async fn channel_that_no_hook_takes_is_denied() {
    let back_end = BackEnd::always(Reply::Json(200, json!({}))).await;
    let matches = vec!["shop:*".to_owned()];
    let hooks = hooks(&[HookOptions { matches, ..options([HookKind::Publish], &back_end.url) }]);
    let answer = hooks.authorize(now(), &question(Permission::Publish)).await;
    assert!(matches!(answer, Authorization::Deny { .. }), "{answer:?}");
}

#[tokio::test]
async fn questions_under_one_id_have_different_keys() {
    let all = [HookKind::Subscribe, HookKind::Publish, HookKind::History, HookKind::Presence];
    let back_end = BackEnd::always(Reply::Json(200, json!({"result": {}}))).await;
    let hooks = hooks(&[options(all, &back_end.url)]);
    let secret = |permission| AuthorizeQuestion {
        channel: ChannelName::parse("room:8").unwrap(),
        ..question(permission)
    };
    for permission in Permission::ALL {
        for question in [question(permission), secret(permission)] {
            hooks.authorize(now(), &question).await;
        }
    }
    let keys: std::collections::HashSet<_> =
        back_end.seen().iter().map(|seen| seen.header("idempotency-key").to_owned()).collect();
    assert_eq!(keys.len(), 2 * Permission::ALL.len(), "{keys:?}");
    let count = back_end.seen().len();
    hooks.authorize(now(), &question(Permission::Publish)).await;
    let again = back_end.seen()[count].header("idempotency-key").to_owned();
    assert!(keys.contains(&again) && again.starts_with(&format!("{SESSION}:3:")), "a repeated publication");
}

#[tokio::test]
async fn question_without_answer_lets_nobody_in() {
    for reply in [
        Reply::Json(500, json!({})),
        Reply::Raw("nonsense"),
        Reply::Die,
        Reply::Json(200, json!([])),
        Reply::Json(200, json!({"Error": {"code": "no"}})),
        Reply::Raw("HTTP/1.1 200 x\r\n\r\n"),
    ] {
        let back_end = BackEnd::always(reply).await;
        let hooks = hooks(&[HookOptions { retries_max: 0, ..options([HookKind::Subscribe], &back_end.url) }]);
        let answer = hooks.authorize(now(), &question(Permission::Subscribe)).await;
        assert!(matches!(answer, Authorization::Unavailable { .. }), "{answer:?}");
    }
}
