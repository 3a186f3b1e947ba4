//! Every operation with every scope, and the audit log of all acts.

use axum::body::Body;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tautline_api::Host as _;
use tautline_console::{ConsoleScope, operations};
use tautline_hub::{Identity, Output, StoryConfig};
use tautline_protocol::UserId;

use crate::rig::{Rig, act};

/// A path of an operation, with something in the place of its parameters.
fn path_of(template: &str) -> String {
    template
        .split('/')
        .map(|part| if part.starts_with('{') { "x" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

#[tokio::test]
async fn every_operation_needs_its_scope() {
    let rig = Rig::new();
    for scope in ConsoleScope::ALL {
        let who = rig.sign_in(scope.as_str()).await;
        for operation in operations() {
            let request = act(&who, operation.method.clone(), &path_of(&operation.path));
            let answer = rig.send(request.body("{}".into()).expect("a request")).await;
            let is_refused = answer.status == StatusCode::FORBIDDEN;
            let what = format!("{} with {scope}: {} {}", operation.id, answer.status, answer.text);
            assert_eq!(is_refused, scope < operation.scope, "{what}");
            if is_refused {
                assert!(answer.text.contains(&format!("lacks the scope `{}`", operation.scope)), "{what}");
            } else {
                assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn no_operation_answers_without_sign_in() {
    let rig = Rig::new();
    let nobody = crate::rig::SignedIn { cookie: "tautline_console=x".to_owned(), csrf: "x".to_owned() };
    for operation in operations() {
        let request = act(&nobody, operation.method.clone(), &path_of(&operation.path));
        let answer = rig.send(request.body("{}".into()).expect("a request")).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", operation.id);
    }
    let answer = rig.post(&nobody, "/api/v1/of_tomorrow", &json!({})).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "also where there is nothing");
}

#[tokio::test]
async fn api_key_in_a_request_opens_nothing() {
    let rig = Rig::new();
    let who = rig.sign_in("read").await;
    let request =
        act(&who, Method::POST, "/api/v1/kick").header("authorization", "Bearer key-of-the-back-end");
    let answer = rig.send(request.body(json!({"target": {"user": "42"}}).to_string().into()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn path_outside_the_table_is_not_found() {
    let rig = Rig::new();
    let who = rig.sign_in("admin").await;
    for path in ["/api/docs", "/api/v1/", "/api/v1/kick/", "/console/api/v1/kick", "/%61pi/v1/kick"] {
        let answer = rig.post(&who, path, &json!({"target": {"user": "42"}})).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert!(rig.audit(&who).await.is_empty(), "nothing was done");
}

#[tokio::test]
async fn every_act_is_in_the_audit_log_with_its_outcome() {
    let rig = Rig::new();
    let (reader, admin) = (rig.sign_in("read").await, rig.sign_in("admin").await);
    let acts = || operations().iter().filter(|operation| operation.scope > ConsoleScope::Read);
    for operation in acts() {
        for who in [&reader, &admin] {
            let request = act(who, operation.method.clone(), &path_of(&operation.path));
            rig.send(request.body("{}".into()).expect("a request")).await;
            let entry = rig.audit(&admin).await.remove(0);
            let is_reader = std::ptr::eq(who, &reader);
            assert_eq!(entry["act"], *operation.id, "{entry}");
            assert_eq!(entry["name"], if is_reader { "read" } else { "admin" }, "{entry}");
            assert_eq!(entry["reason"], "a test", "{entry}");
            assert_ne!(entry["outcome"], "started", "{entry}");
            assert_eq!(entry["outcome"] == "permission_denied", is_reader, "{entry}");
        }
    }
    assert_eq!(rig.audit(&admin).await.len(), 2 * acts().count());
}

#[tokio::test]
async fn act_without_reason_is_not_done_and_recorded() {
    let rig = Rig::new();
    let who = rig.sign_in("admin").await;
    for reason in ["", "%20", "%ff"] {
        let mut request = act(&who, Method::POST, "/drain");
        request.headers_mut().expect("a request").insert("x-reason", reason.parse().unwrap());
        let answer = rig.send(request.body(r#"{"spread_ms":1}"#.into()).expect("a request")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{reason:?}");
    }
    assert!(rig.node.drains.lock().unwrap().is_empty());
    let outcomes: Vec<Value> =
        rig.audit(&who).await.into_iter().map(|entry| entry["outcome"].clone()).collect();
    assert_eq!(outcomes, ["bad_request", "bad_request", "bad_request"]);
}

#[tokio::test]
async fn act_happens_only_where_it_can_be_recorded() {
    let rig = Rig::new();
    let who = rig.sign_in("admin").await;
    let drain = json!({"spread_ms": 1_500});
    assert_eq!(rig.post(&who, "/drain", &drain).await.status, StatusCode::ACCEPTED);
    assert_eq!(rig.node.drains.lock().unwrap().len(), 1);
    // The log is full: it has to be put aside, and something lies in the way.
    let full = Rig::with(|options| options.audit_bytes_max = 2);
    let who = full.sign_in("admin").await;
    std::fs::remove_file(full.folder.join("console-audit.1.jsonl")).unwrap();
    std::fs::create_dir_all(full.folder.join("console-audit.1.jsonl/in-the-way")).unwrap();
    let answer = full.post(&who, "/drain", &drain).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text);
    assert!(full.node.drains.lock().unwrap().is_empty());
}

#[tokio::test]
async fn acts_reach_the_hub_and_hostile_names_stay_text() {
    let rig = Rig::new();
    let who = rig.sign_in("act").await;
    let hostile = "<script>alert(1)</script>\"'`{{7+7}}";
    let published = rig.post(&who, "/api/v1/publish", &json!({"channel": hostile, "data": {"x": 1}})).await;
    assert_eq!(published.status, StatusCode::OK, "{}", published.text);
    let history = json!({"channel": hostile, "span": {"newest": 1}});
    let read = rig.post(&who, "/api/v1/history", &history).await;
    assert!(read.text.contains("alert(1)") || read.status != StatusCode::OK, "{}", read.text);
    let entry = rig.audit(&who).await.remove(0);
    assert_eq!(entry["outcome"], "ok");
    let target: Value = serde_json::from_str(entry["target"].as_str().unwrap()).expect("JSON in text");
    assert_eq!(target, json!({"channel": hostile}), "and no payload");
    assert_eq!(rig.get(&who, "/audit").await.headers["content-type"], "application/json");
}

#[tokio::test]
async fn story_of_a_hostile_user_is_json_text() {
    let rig = Rig::new();
    rig.host.hub().keep_stories(rig.host.now(), StoryConfig::default());
    let who = rig.sign_in("read").await;
    let user = "<img/src=x onerror=alert(1)>\"}".replace(' ', "/");
    let mut peer = rig.host.hub().peer(rig.host.now(), std::task::Waker::noop().clone());
    let drop = json!({"cause": "</script>", "reason": "\u{202e}\"", "offline_ms": 1});
    let hello = json!({"hello": {"v": 1, "auth": {"token": "x"}, "last_drop": drop}});
    peer.handle_message(rig.host.now(), &hello.to_string());
    while let Some(output) = peer.poll_output(rig.host.now()) {
        if let Output::Authenticate(_, reply) = output {
            let user = UserId::parse(&user).ok();
            reply.answer(Ok(Identity { user, ..Identity::default() }));
        }
    }
    let path: String = user.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let answer = rig.get(&who, &format!("/story/{path}")).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let page = answer.json();
    let kinds: Vec<&Value> = page["entries"].as_array().unwrap().iter().map(|entry| &entry["kind"]).collect();
    assert_eq!(kinds, ["opened", "drop"], "the newest first");
    assert_eq!(page["entries"][1]["detail"]["cause"], "</script>");
    assert_eq!(rig.get(&who, "/story/nobody").await.json()["entries"], json!([]));
}

#[tokio::test]
async fn audit_log_is_read_page_by_page() {
    let rig = Rig::new();
    let who = rig.sign_in("act").await;
    for user in 0..5 {
        rig.post(&who, "/api/v1/kick", &json!({"target": {"user": user.to_string()}})).await;
    }
    let (mut before, mut seen) = (String::new(), Vec::new());
    loop {
        let page = rig.get(&who, &format!("/audit?limit=2{before}")).await.json();
        seen.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_u64().unwrap()));
        match page["next"].as_u64() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [6, 5, 4, 3, 2, 1], "five kicks and the sign-in");
}

#[tokio::test]
async fn body_beyond_the_limit_is_refused() {
    let rig = Rig::new();
    let who = rig.sign_in("act").await;
    let body = json!({"channel": "room:1", "data": "x".repeat(5_000)});
    let answer = rig.post(&who, "/api/v1/publish", &body).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let request = act(&who, Method::POST, "/session").body(Body::from("x".repeat(5_000))).unwrap();
    assert_eq!(rig.send(request).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}
