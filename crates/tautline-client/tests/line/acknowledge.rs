//! What the client tells the gateway of how far the app has come.

use serde_json::{Value, json};
use tautline_client::{ClientOptions, Login};
use tautline_websocket::{Decoder, Event, Role, encode_text};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::stage::{client, guest, next_publication, request_of, soon, switching_protocols};

/// A gateway that says only what the test tells it to.
struct Puppet {
    stream: TcpStream,
    decoder: Decoder,
}

impl Puppet {
    async fn meet(listener: &TcpListener) -> Self {
        let (mut stream, request) = request_of(listener).await;
        stream.write_all(switching_protocols(&request).as_bytes()).await.expect("the client listens");
        Self { stream, decoder: Decoder::new(Role::Server, 65_536) }
    }

    async fn say(&mut self, packet: &Value) {
        let mut frame = Vec::new();
        encode_text(&mut frame, &packet.to_string(), None);
        self.stream.write_all(&frame).await.expect("the client listens");
    }

    /// The packets of the next read, in the order that they came.
    async fn hear(&mut self) -> Vec<Value> {
        let mut bytes = Vec::with_capacity(65_536);
        assert!(soon(self.stream.read_buf(&mut bytes)).await.expect("the client speaks") > 0);
        let mut unread = bytes.as_mut_slice();
        let mut packets = Vec::new();
        while let Some(event) = self.decoder.decode(&mut unread).expect("the client keeps the rules") {
            if let Event::Text(text) = event {
                packets.extend(
                    text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a packet is json")),
                );
            }
        }
        packets
    }
}

#[tokio::test]
async fn a_publication_is_acknowledged_once_the_app_asks_for_the_next_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = ClientOptions { login: Login::token("t"), ..guest(listener.local_addr().unwrap()) };
    options.session.report_ms = 1;
    let line = client(options);
    let mut inbox = line.inbox().await.unwrap();
    let mut puppet = Puppet::meet(&listener).await;
    assert_eq!(puppet.hear().await[0]["hello"]["auth"], json!({"token": "t"}));
    let at = json!({"epoch": "e", "offset": 0, "at": 0, "recovering": 0});
    puppet
        .say(&json!({"welcome": {
            "session": "s", "ticket": "t", "ticket_expires_at": 9_999_999_999_999_u64, "resumed": false, "user": "u42",
            "ping_ms": 60_000, "pong_ms": 60_000, "park_ms": 60_000, "max_message_bytes": 65_536, "now": 0, "node": "n",
            "channels": {"user:u42": at},
        }}))
        .await;
    for offset in 1..=2 {
        puppet.say(&json!({"pub": {"channel": "user:u42", "offset": offset, "at": 1, "data": offset}})).await;
        assert_eq!(next_publication(&mut inbox).await.offset, offset);
    }
    // The app works on the second one, so only the first is done with.
    let acks = loop {
        if let Some(ping) = puppet.hear().await.into_iter().find(|packet| packet.get("ping").is_some()) {
            break ping["ping"]["acks"].clone();
        }
    };
    assert_eq!(acks["user:u42"]["offset"], 1);
    assert_eq!(acks["user:u42"]["epoch"], "e");
}
