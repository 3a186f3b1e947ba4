//! The server API's client for Rust, against the built binary.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
};

use serde_json::json;
use tautline_backend::{ApiClient, ApiClientError, ApiPublication, ApiTarget, Secret};
use tautline_protocol::Cursor;

use super::{config_file, process::Server};

const KEY: &str = "the-key-of-a-back-end";

/// A proxy that loses the answers to so many connections, and then passes everything.
fn proxy_that_drops(mut count: usize, gateway: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(&gateway).expect("it listens");
            if count > 0 {
                count -= 1;
                let mut bytes = [0; 4096];
                let length = (&client).read(&mut bytes).expect("a request");
                (&server).write_all(&bytes[..length]).expect("it takes it");
                assert!((&server).read(&mut bytes).expect("an answer") > 0);
                client.shutdown(Shutdown::Both).ok();
                continue;
            }
            for (mut from, mut to) in [
                (client.try_clone().expect("a handle"), server.try_clone().expect("a handle")),
                (server, client),
            ] {
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
    url
}

fn client(url: &str) -> ApiClient {
    ApiClient::new(url, Secret::new(KEY)).expect("a URL")
}

#[tokio::test]
async fn rust_client_publishes_once_and_tells_refusals() {
    let file = config_file("rust-client", &format!("[auth]\nguests = true\n[api]\nkeys = [\"{KEY}\"]\n"));
    let server = Server::start(&["--config", file.to_str().expect("UTF-8")], &[]);
    let direct = client(&format!("http://{}", server.address()));
    let lossy = client(&proxy_that_drops(2, server.address().to_owned()));

    let first = lossy.publish(ApiPublication::to_channel("room:7", 1)).await.expect("the third try");
    assert_eq!(first.offset, 1);
    let second = direct.publish(ApiPublication::to_channel("room:7", 2)).await.expect("published");
    assert_eq!(second.offset, 2, "the lost answers were not three publications");

    let order = || ApiPublication::to_user("u42", json!({"text": "hi"})).idempotency_key("order-17");
    let pushed = direct.publish(order()).await.expect("pushed");
    let other = ApiPublication::to_user("u42", "other").idempotency_key("order-17");
    let outcomes = direct.batch(vec![order(), other]).await.expect("outcomes");
    assert_eq!(outcomes[0].as_ref().expect("the same"), &pushed);
    assert!(
        matches!(&outcomes[1], Err(ApiClientError::Refused { status: 409, code, .. }) if code == "conflict")
    );

    let stale = Cursor { epoch: first.epoch.clone(), offset: 1, at: None };
    let behind = ApiPublication::to_channel("room:7", 3).expect(&stale);
    let Err(ApiClientError::Refused { head: Some(head), .. }) = direct.publish(behind).await else {
        panic!("another head")
    };
    assert_eq!((head.offset, &head.epoch), (2, &first.epoch));
    let Err(ApiClientError::Refused { status: 400, field, .. }) =
        direct.publish(ApiPublication::to_channel("a b", 1)).await
    else {
        panic!("no name")
    };
    assert_eq!(field.as_deref(), Some("/channel"));

    let page = direct.history("room:7", Some(&stale), Some(10)).await.expect("a page");
    assert_eq!(page["publications"][0]["data"], 2, "{page}");
    let mut phone = server.connect();
    phone.hello(&json!({"guest": true}));
    let session = phone.receive("welcome")["welcome"]["session"].as_str().expect("an id").to_owned();
    let sessions = direct.sessions("limit=10").await.expect("sessions");
    assert_eq!(sessions["sessions"][0]["session"], session.as_str(), "{sessions}");
    assert_eq!(direct.revoke_user("u42").await.expect("none"), 0);
    assert_eq!(direct.disconnect(&ApiTarget::User("u42".to_owned())).await.expect("none"), 0);
    assert_eq!(direct.kick(&ApiTarget::Session(session), Some("out")).await.expect("one"), 1);
    assert_eq!(phone.receive("bye")["bye"]["code"], "kicked");
}
