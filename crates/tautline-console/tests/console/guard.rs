//! Requests that no page of ours sends: forged, foreign, framed.

use axum::body::Body;
use http::{Method, Request, StatusCode, header::SET_COOKIE};
use serde_json::json;

use crate::rig::{Rig, act, request};

#[tokio::test]
async fn act_without_the_sessions_token_is_refused() {
    let rig = Rig::new();
    let (who, other) = (rig.sign_in("admin").await, rig.sign_in("admin").await);
    for token in [None, Some(""), Some("x"), Some(other.csrf.as_str())] {
        for (method, path) in
            [(Method::POST, "/drain"), (Method::POST, "/api/v1/history"), (Method::DELETE, "/session")]
        {
            let mut forged = request(method, path).header("cookie", &who.cookie).header("x-reason", "why");
            if let Some(token) = token {
                forged = forged.header("x-csrf-token", token);
            }
            let answer = rig.send(forged.body(r#"{"spread_ms":1}"#.into()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{token:?} {path}");
        }
    }
    assert!(rig.node.drains.lock().unwrap().is_empty());
    assert_eq!(rig.get(&who, "/overview").await.status, StatusCode::OK, "still signed in");
}

#[tokio::test]
async fn page_of_another_site_can_do_nothing() {
    let rig = Rig::new();
    let who = rig.sign_in("admin").await;
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        for (method, path) in
            [(Method::POST, "/drain"), (Method::POST, "/session"), (Method::DELETE, "/session")]
        {
            let mut forged = act(&who, method, path);
            forged.headers_mut().unwrap().insert(name, value.parse().unwrap());
            let body = json!({"name": "admin", "password": crate::rig::PASSWORD, "spread_ms": 1}).to_string();
            let answer = rig.send(forged.body(body.into()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value} {path}");
            assert!(!answer.headers.contains_key(SET_COOKIE));
        }
    }
    assert!(rig.node.drains.lock().unwrap().is_empty());
}

#[tokio::test]
async fn page_behind_a_proxy_that_changes_the_host_is_named() {
    let rig = Rig::with(|options| options.origins = vec!["https://ops.shop.example".to_owned()]);
    let who = rig.sign_in("admin").await;
    let mut request = act(&who, Method::POST, "/drain");
    request.headers_mut().unwrap().insert("origin", "https://ops.shop.example".parse().unwrap());
    let answer = rig.send(request.body(r#"{"spread_ms":1}"#.into()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn cookie_is_for_our_pages_alone() {
    let rig = Rig::new();
    let cookie =
        rig.try_sign_in("read", crate::rig::PASSWORD).await.headers[SET_COOKIE].to_str().unwrap().to_owned();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Secure"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    // The browser takes the folder that it sees, whatever a proxy has put before it.
    assert!(!cookie.contains("Path") && !cookie.contains("Domain"), "{cookie}");
    let body = json!({"name": "read", "password": crate::rig::PASSWORD}).to_string();
    let mut local = request(Method::POST, "/session");
    local.headers_mut().unwrap().insert("host", "127.0.0.1:8000".parse().unwrap());
    local.headers_mut().unwrap().insert("origin", "http://127.0.0.1:8000".parse().unwrap());
    let answer = rig.send(local.body(body.into()).unwrap()).await;
    let cookie = answer.headers[SET_COOKIE].to_str().unwrap();
    assert!(!cookie.contains("Secure") && cookie.contains("HttpOnly"), "{cookie}");
}

#[tokio::test]
async fn every_answer_has_the_protecting_headers() {
    let rig = Rig::new();
    let who = rig.sign_in("read").await;
    for (path, is_data) in [
        ("/", false),
        ("/assets/none.js", true),
        ("/session", true),
        ("/overview", true),
        ("/audit", true),
        ("/api/v1/stats", true),
        ("/api/v1/openapi.json", false),
        ("/none", true),
    ] {
        let answer = rig.get(&who, path).await;
        let of = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
        let policy = of("content-security-policy");
        for part in
            ["default-src 'none'", "frame-ancestors 'none'", "script-src 'self'", "form-action 'none'"]
        {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(of("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(of("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(of("x-frame-options"), "DENY", "{path}");
        assert_eq!(of("cache-control") == "no-store", is_data, "{path}");
    }
    let refused = rig.send(Request::get("/console/overview").body(Body::empty()).unwrap()).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers["cache-control"], "no-store");
}
