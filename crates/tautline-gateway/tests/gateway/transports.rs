//! All kinds of traffic over each kind of transport.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{Router, routing::get};
use serde_json::json;
use tautline_gateway::{Gateway, PublishOptions};
use tautline_protocol::{ChannelName, Limits};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tungstenite::Message;

use crate::rig::{Rig, open_to_all};

/// A transport that the gateway does not know, like TLS.
struct Foreign(TcpStream);

struct ForeignListener(TcpListener);

impl axum::serve::Listener for ForeignListener {
    type Io = Foreign;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Foreign, SocketAddr) {
        let (stream, address) = self.0.accept().await.expect("it accepts");
        (Foreign(stream), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl AsyncRead for Foreign {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Foreign {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

fn serve_by_axum(gateway: &Gateway, listener: TcpListener) {
    let app = Router::new().route("/shop", get(async || "open")).merge(gateway.router());
    tokio::spawn(async move { axum::serve(listener, app).await });
}

fn serve_over_foreign_transport(gateway: &Gateway, listener: TcpListener) {
    let router = gateway.router();
    tokio::spawn(async move { axum::serve(ForeignListener(listener), router).await });
}

fn check_all_traffic(rig: &Rig) {
    let mut client = rig.guest();
    assert_eq!(
        client.echo(&json!({"hello": [1, 2.5, null, "世界"]})),
        json!({"hello": [1, 2.5, null, "世界"]})
    );
    let long = "x".repeat(60_000);
    assert_eq!(client.echo(&json!(long)), long);
    client.request("subscribe", &json!({"channel": "room:7"}));
    let mut other = rig.guest();
    other.request("publish", &json!({"channel": "room:7", "data": {"n": 1}}));
    assert_eq!(client.receive()["pub"]["data"], json!({"n": 1}));
    client.socket.send(Message::Ping("still there?".into())).expect("the gateway reads");
    assert_eq!(client.socket.read().expect("a pong"), Message::Pong("still there?".into()));
    client.socket.close(None).expect("the gateway reads");
    assert_eq!(client.socket.read().expect("a close frame"), Message::Close(None));
    client.expect_eof();
    rig.wait_until("only the other is left", |gateway| gateway.stats().connections == 1);
}

#[test]
fn own_accept_loop_carries_all_traffic() {
    check_all_traffic(&Rig::serve(open_to_all()));
}

#[test]
fn axum_beside_other_routes_carries_all_traffic() {
    let rig = Rig::start(open_to_all(), serve_by_axum);
    check_all_traffic(&rig);
    let shop = rig.exchange("GET /shop HTTP/1.1\r\nHost: line.example\r\n\r\n");
    assert!(shop.ends_with("open"), "{shop}");
}

#[test]
fn transport_other_than_tcp_carries_all_traffic() {
    check_all_traffic(&Rig::start(open_to_all(), serve_over_foreign_transport));
}

#[test]
fn opened_websocket_has_no_http_task() {
    let rig = Rig::serve(open_to_all());
    let _client = rig.guest();
    rig.wait_until("HTTP is over", |gateway| gateway.stats().http_connections == 0);
    assert_eq!(rig.gateway.stats().connections, 1);
}

#[test]
fn publish_in_process_needs_no_permission() {
    let rig = Rig::serve(open_to_all());
    let mut client = rig.guest();
    client.request("subscribe", &json!({"channel": "news"}));
    let data = serde_json::value::to_raw_value(&json!({"n": 1})).unwrap();
    let channel = ChannelName::parse("news").unwrap();
    let published = rig.publish(&channel, &data, PublishOptions::default());
    let received = client.receive();
    assert_eq!(received["pub"]["offset"], published.offset);
    assert_eq!(received["pub"]["at"], published.at);
}

#[test]
fn packets_of_one_message_are_answered_in_order() {
    let rig = Rig::serve(open_to_all());
    let mut client = rig.guest();
    let lines: Vec<String> =
        (1..=200).map(|id| json!({"id": id, "call": {"method": "echo", "data": id}}).to_string()).collect();
    client.socket.send(Message::text(lines.join("\n"))).unwrap();
    for id in 1..=200 {
        assert_eq!(client.receive(), json!({"id": id, "ok": {"data": id}}));
    }
}

#[test]
fn silent_client_is_closed_pinging_one_stays() {
    let limits = Limits { ping_ms: 300, pong_ms: 100, ..Limits::default() };
    let rig = Rig::serve(open_to_all().limits(limits));
    let mut silent = rig.guest();
    let mut alive = rig.guest();
    let bye = std::thread::scope(|scope| {
        let listening = scope.spawn(|| silent.receive());
        while !listening.is_finished() {
            alive.send(&json!({"ping": {}}));
            assert!(alive.receive()["pong"].is_object());
        }
        listening.join().unwrap()
    });
    assert_eq!(bye["bye"]["code"], "peer_silent");
    assert_eq!(alive.echo(&json!("here")), "here");
}
