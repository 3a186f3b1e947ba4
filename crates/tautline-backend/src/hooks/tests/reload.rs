//! Hooks that are replaced while questions run.

use super::*;

fn unchanged() -> Option<Authenticator> {
    None
}

#[tokio::test]
async fn unchanged_hook_goes_on_and_changed_one_begins_anew() {
    let back_end = BackEnd::always(Reply::Json(200, json!({"result": {"user": "ali"}}))).await;
    let login =
        HookOptions { cache: Some(Duration::from_secs(60)), ..options([HookKind::Connect], &back_end.url) };
    let before = hooks(std::slice::from_ref(&login));
    let first = log_in(&before, &token("t")).await.unwrap();
    let after =
        before.reloaded(&[options([HookKind::Call], &back_end.url), login.clone()], unchanged()).unwrap();
    assert_eq!(log_in(&after, &token("t")).await.unwrap(), first);
    assert_eq!(back_end.seen().len(), 1, "it has remembered the login");
    let changed = HookOptions { retries_max: 1, ..login };
    let after = after.reloaded(&[changed], unchanged()).unwrap();
    assert_eq!(log_in(&after, &token("t")).await.unwrap().source, first.source, "tickets stay valid");
    assert_eq!(back_end.seen().len(), 2);
}

#[tokio::test]
async fn back_end_that_is_left_alone_stays_so_over_a_reload() {
    let back_end = BackEnd::always(Reply::Json(500, json!({}))).await;
    let failing = options([HookKind::Call], &back_end.url);
    let before = hooks(std::slice::from_ref(&failing));
    for id in 0..20 {
        assert_eq!(code(&before, id).await, "internal");
    }
    let after = before.reloaded(&[failing], unchanged()).unwrap();
    assert_eq!(code(&after, 20).await, "unavailable");
    assert_eq!(back_end.seen().len(), 20);
}

#[tokio::test]
async fn question_that_runs_ends_on_the_hook_that_was_asked() {
    let (old, new) = (BackEnd::always(Reply::Hang).await, BackEnd::always(data(json!("new"))).await);
    let before = hooks(&[HookOptions {
        timeout: Some(Duration::from_millis(300)),
        ..options([HookKind::Call], &old.url)
    }]);
    let running = call(&before, 1, "buy");
    let meanwhile = async {
        while old.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        let after = before.reloaded(&[options([HookKind::Call], &new.url)], unchanged()).unwrap();
        call(&after, 2, "buy").await.unwrap()
    };
    let (running, answered) = tokio::join!(running, meanwhile);
    assert_eq!((running.unwrap_err().code.to_string(), answered), ("timeout".into(), "\"new\"".into()));
    assert_eq!((old.seen().len(), new.seen().len()), (1, 1));
}

#[tokio::test]
async fn removed_hook_leaves_the_question_to_the_rest() {
    let back_end = BackEnd::always(Reply::Json(200, json!({"result": {"user": "ali"}}))).await;
    let before = hooks(&[options([HookKind::Connect], &back_end.url)]);
    let source = log_in(&before, &Auth::Guest { guest: true }).await.unwrap().source;
    let after = before.reloaded(&[], unchanged()).unwrap();
    assert_eq!(log_in(&after, &Auth::Guest { guest: true }).await.unwrap().user, None);
    assert!(!after.sources().contains(&source), "its tickets are valid no more");
    let closed = Authenticator::new(&AuthenticatorOptions::default()).unwrap();
    let after = after.reloaded(&[], Some(closed)).unwrap();
    assert!(log_in(&after, &Auth::Guest { guest: true }).await.is_err());
}

#[test]
fn faulty_hook_replaces_nothing() {
    let before = hooks(&[options([HookKind::Call], "https://shop.example/hooks")]);
    let faulty = HookOptions { url: None, ..options([HookKind::Call], "https://shop.example/hooks") };
    assert!(before.reloaded(&[faulty], unchanged()).is_err());
    assert!(before.hook(HookKind::Call, "buy").is_some());
}
