//! A back end that publishes over HTTP, and repeats itself under one key until it is told that it was received.

use std::{io, net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::ledger::Asked;

/// The key that the gateway is started with.
pub const API_KEY: &str = "key-of-the-back-end";

/// How long one attempt may take; the gateway may be stopped in the middle of it.
const ATTEMPT: Duration = Duration::from_secs(3);
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Publishes; the key is the payload, which nobody else publishes.
pub async fn publish_until_it_is_there(gateway: SocketAddr, room: &'static str, payload: String) -> Asked {
    let mut attempts = 0;
    loop {
        attempts += 1;
        if let Ok(Ok(Some(published))) = timeout(ATTEMPT, post(gateway, room, &payload)).await {
            let epoch = published["epoch"].as_str().expect("an epoch").to_owned();
            let offset = published["offset"].as_u64().expect("an offset");
            return Asked::published_over_http(room, payload, epoch, offset, attempts);
        }
        // A back end waits a little before it repeats itself, as any would.
        sleep(AGAIN_AFTER).await;
    }
}

/// One attempt; nothing where it was refused.
async fn post(gateway: SocketAddr, room: &str, payload: &str) -> io::Result<Option<Value>> {
    let body = json!({"channel": room, "data": payload}).to_string();
    let request = format!(
        "POST /api/v1/publish HTTP/1.1\r\nHost: {gateway}\r\nAuthorization: Bearer {API_KEY}\r\nIdempotency-Key: {payload}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(gateway).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    // What is wrong with the request does not pass.
    assert!(!head.starts_with("HTTP/1.1 400"), "{body}");
    Ok(if head.starts_with("HTTP/1.1 200") { serde_json::from_str(body).ok() } else { None })
}
