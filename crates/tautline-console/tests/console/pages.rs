//! The pages, and the figures of the first one.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::json;

use crate::rig::Rig;

#[tokio::test]
async fn folder_of_the_pages_has_its_slash() {
    let rig = Rig::new();
    let answer = rig.send(Request::get("/console").body(Body::empty()).unwrap()).await;
    assert_eq!(
        (answer.status, &answer.headers["location"]),
        (StatusCode::PERMANENT_REDIRECT, &"console/".parse().unwrap())
    );
    let answer = rig.send(Request::get("/console/").body(Body::empty()).unwrap()).await;
    assert_eq!(
        (answer.status, answer.headers["content-type"].to_str().unwrap()),
        (StatusCode::OK, "text/html; charset=utf-8")
    );
    assert!(
        answer.text.starts_with("<!doctype html>") || answer.text.starts_with("<!DOCTYPE html>"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn asset_leads_to_no_file_beside_the_pages() {
    let rig = Rig::new();
    for name in [
        "../.gitignore",
        "..%2f.gitignore",
        "%2e%2e/.gitignore",
        "../../package.json",
        "/etc/passwd",
        "none.js",
    ] {
        let request = Request::get(format!("/console/assets/{name}")).body(Body::empty()).unwrap();
        assert_ne!(rig.send(request).await.status, StatusCode::OK, "{name}");
    }
}

#[tokio::test]
async fn overview_has_the_figures_of_the_node() {
    let rig = Rig::new();
    let who = rig.sign_in("act").await;
    rig.post(&who, "/api/v1/publish", &json!({"channel": "room:1", "data": 1})).await;
    let overview = rig.get(&who, "/overview").await.json();
    let node = &overview["nodes"][0];
    assert_eq!((&node["id"], &node["ready"]), (&json!("n1"), &json!(true)));
    assert_eq!(node["totals"]["publications"], 1);
    assert_eq!(node["totals"]["offline_ms"].as_array().unwrap().len(), 9);
    assert_eq!(node["totals"]["hellos"], json!({"opened": 0, "resumed": 0, "challenged": 0}));
    assert!(node["draining"].is_null());
}
