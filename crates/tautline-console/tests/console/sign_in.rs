//! Who gets in, and for how long.

use http::StatusCode;
use serde_json::json;
use tautline_console::{Account, AccountFile, ConsoleScope, PasswordHasher};

use crate::rig::{PASSWORD, Rig};

#[tokio::test]
async fn right_password_signs_in_and_wrong_one_does_not() {
    let rig = Rig::new();
    let answer = rig.try_sign_in("act", PASSWORD).await;
    let shown = answer.json();
    assert_eq!((&shown["name"], &shown["scopes"]), (&json!("act"), &json!(["read", "act"])));
    assert!(!answer.text.contains("argon2") && !answer.text.contains(PASSWORD));
    for (name, password) in
        [("act", "wrong horse battery"), ("act", ""), ("nobody", PASSWORD), ("", PASSWORD)]
    {
        let answer = rig.try_sign_in(name, password).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name} {password}");
        assert!(!answer.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn unknown_name_and_wrong_password_have_one_answer() {
    let rig = Rig::new();
    let wrong = rig.try_sign_in("act", "wrong horse battery").await;
    let unknown = rig.try_sign_in("nobody", "wrong horse battery").await;
    assert_eq!((wrong.status, wrong.text), (unknown.status, unknown.text));
}

#[tokio::test]
async fn attempts_are_limited_by_account_and_address() {
    let rig = Rig::new();
    for name in ["act", "nobody"] {
        for _ in 0..10 {
            assert_eq!(rig.try_sign_in(name, "wrong horse battery").await.status, StatusCode::UNAUTHORIZED);
        }
        let answer = rig.try_sign_in(name, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{name}: also with the right one");
        assert_eq!(answer.headers["retry-after"], "6");
    }
    rig.pass(6_000);
    assert_eq!(rig.try_sign_in("act", PASSWORD).await.status, StatusCode::OK);
    *rig.node.address.lock().unwrap() = "192.0.2.1".parse().ok();
    let mut allowed = 0;
    for n in 0..30 {
        let answer = rig.try_sign_in(&format!("name{n}"), PASSWORD).await;
        allowed += usize::from(answer.status == StatusCode::UNAUTHORIZED);
    }
    assert_eq!(allowed, 20);
}

#[tokio::test]
async fn sign_ins_at_once_beyond_the_queue_are_refused() {
    let rig = Rig::new();
    // Each waits for the only thread of the test: none has hashed before all have come.
    let attempts = (0..40).map(|n| {
        let (router, body) = (rig.router.clone(), json!({"name": format!("n{n}"), "password": PASSWORD}));
        async move {
            let request = crate::rig::request(http::Method::POST, "/session");
            let request = request.body(axum::body::Body::from(body.to_string())).unwrap();
            tower_service::Service::call(&mut router.clone(), request).await.unwrap().status()
        }
    });
    let mut tasks = tokio::task::JoinSet::new();
    attempts.for_each(|attempt| drop(tasks.spawn(attempt)));
    let answers = tasks.join_all().await;
    let count = |status| answers.iter().filter(|answer| **answer == status).count();
    let (answered, refused) = (count(StatusCode::UNAUTHORIZED), count(StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(answered + refused, 40);
    assert!(answered >= 16 && refused > 0, "{answered} answered");
}

#[tokio::test]
async fn session_ends_with_idleness_age_and_sign_out() {
    let rig = Rig::new();
    let who = rig.sign_in("read").await;
    rig.pass(30 * 60_000 - 1);
    assert_eq!(rig.get(&who, "/session").await.status, StatusCode::OK);
    rig.pass(30 * 60_000);
    assert_eq!(rig.get(&who, "/session").await.status, StatusCode::UNAUTHORIZED, "idle");
    let who = rig.sign_in("read").await;
    for _ in 0..24 {
        assert_eq!(rig.get(&who, "/overview").await.status, StatusCode::OK);
        rig.pass(30 * 60_000 - 1);
    }
    rig.pass(24);
    assert_eq!(rig.get(&who, "/overview").await.status, StatusCode::UNAUTHORIZED, "twelve hours");
    let who = rig.sign_in("read").await;
    let request = crate::rig::act(&who, http::Method::DELETE, "/session").body(axum::body::Body::empty());
    let answer = rig.send(request.unwrap()).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert!(answer.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(rig.get(&who, "/overview").await.status, StatusCode::UNAUTHORIZED, "signed out");
}

#[tokio::test]
async fn removed_account_is_signed_out_at_once() {
    let rig = Rig::new();
    let who = rig.sign_in("admin").await;
    rig.accounts().remove("admin").unwrap();
    assert_eq!(rig.get(&who, "/overview").await.status, StatusCode::UNAUTHORIZED);
    let who = rig.sign_in("act").await;
    let hash = PasswordHasher::with_cost(8, 1).unwrap().hash("another horse battery").unwrap();
    rig.accounts().set_hash("act", hash).unwrap();
    assert_eq!(rig.get(&who, "/overview").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(rig.try_sign_in("act", "another horse battery").await.status, StatusCode::OK);
}

#[tokio::test]
async fn console_without_accounts_says_so() {
    let rig = Rig::new();
    let nobody = crate::rig::SignedIn { cookie: String::new(), csrf: String::new() };
    let answer = rig.get(&nobody, "/session").await;
    assert_eq!((answer.status, &answer.json()["setup"]), (StatusCode::UNAUTHORIZED, &json!(null)));
    for scope in ConsoleScope::ALL {
        rig.accounts().remove(scope.as_str()).unwrap();
    }
    let answer = rig.get(&nobody, "/session").await;
    assert_eq!((answer.status, &answer.json()["setup"]), (StatusCode::UNAUTHORIZED, &json!(true)));
}

#[tokio::test]
async fn damaged_accounts_let_nobody_in() {
    let rig = Rig::new();
    let who = rig.sign_in("admin").await;
    std::fs::write(rig.accounts().path(), "[{\"name\":\"admin\",\"hash\":\"$argon2id$secret\"}]").unwrap();
    let answer = rig.get(&who, "/overview").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!answer.text.contains("argon2"), "{}", answer.text);
}

#[test]
fn new_password_is_long_and_its_hash_is_argon2id() {
    let hasher = PasswordHasher::new().unwrap();
    let hash = hasher.hash("twelve chars").unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    assert_ne!(hash, hasher.hash("twelve chars").unwrap(), "each has a salt of its own");
    assert!(hasher.hash("eleven char").is_err() && hasher.hash(&"x".repeat(1_025)).is_err());
    let folder = std::env::temp_dir().join(format!("tautline-console-own-{}", std::process::id()));
    let own = Account { name: "dev".to_owned(), scope: ConsoleScope::Admin, hash };
    let file = AccountFile::in_folder(&folder).with_own(own);
    assert_eq!(file.accounts().unwrap().len(), 1);
    assert!(!folder.exists(), "it is in no file");
}
