//! One connection over streams that the test controls.

use std::{future::poll_fn, io, sync::Arc, task::Wake};

use tautline_protocol::Limits;
use tautline_websocket::{Deflate, Event, Opcode, encode_compressed, encode_ping, encode_text};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex},
    net::TcpStream,
};

use tautline_backend::{Backend, BackendFuture, Login, LoginResult};
use tautline_hub::{Access, Authorization, AuthorizeQuestion, ChannelRule, Identity, Peer, RulePattern};
use tautline_protocol::packet::Auth;

use super::*;
use crate::{Gateway, GatewayConfig};

const KEY: Option<[u8; 4]> = Some([7, 1, 9, 4]);
const HELLO: &str = r#"{"hello":{"v":1,"auth":{"guest":true}}}"#;

fn gateway() -> Gateway {
    Gateway::builder().guests(true).call("echo", |call| async move { Ok(call.data) }).build().unwrap()
}

impl Stream for DuplexStream {}

fn connection<S: Stream>(gateway: &Gateway, stream: S, early: &[u8]) -> Connection<S> {
    let permit = ConnectionPermit::try_acquire(gateway.state()).unwrap();
    Connection::new(stream, Bytes::copy_from_slice(early), permit, Negotiated::default())
}

fn framed(text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_text(&mut frame, text, KEY);
    frame
}

/// The messages in the bytes that a server has sent.
fn messages(bytes: &[u8]) -> Vec<String> {
    let mut bytes = bytes.to_vec();
    let mut unread = bytes.as_mut_slice();
    let mut decoder = Decoder::new(Role::Client, 1 << 20);
    let mut messages = Vec::new();
    while let Some(event) = decoder.decode(&mut unread).unwrap() {
        messages.push(match event {
            Event::Text(text) => text.to_owned(),
            other => format!("{other:?}"),
        });
    }
    messages
}

#[test]
fn idle_connection_is_small() {
    // With the 104 bytes of a task, the allocation grows in steps of 128.
    let bytes = size_of::<Connection<TcpStream>>() - size_of::<Option<Endpoint>>();
    assert!(bytes <= 96, "{bytes} bytes beside the endpoint's");
    assert_eq!(size_of::<Option<Endpoint>>(), size_of::<Peer>(), "the plain endpoint costs others nothing");
}

#[tokio::test]
async fn bytes_behind_the_handshake_are_read_first() {
    let gateway = gateway();
    let (server, mut client) = duplex(4096);
    let mut early = framed(HELLO);
    encode_ping(&mut early, b"early", KEY);
    let (first, rest) = early.split_at(20);
    let task = tokio::spawn(connection(&gateway, server, first));
    client.write_all(rest).await.unwrap();
    client.shutdown().await.unwrap();
    task.await.unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).await.unwrap();
    let received = messages(&received).concat();
    assert!(received.contains("welcome") && received.contains("Pong"), "{received}");
    assert_eq!(gateway.stats().connections, 0);
}

#[tokio::test]
async fn stream_of_three_byte_steps_loses_nothing() {
    let gateway = gateway();
    let (server, mut client) = duplex(3);
    let task = tokio::spawn(connection(&gateway, server, &[]));
    let data = "d".repeat(5000);
    let call = format!(r#"{{"id":1,"call":{{"method":"echo","data":"{data}"}}}}"#);
    let bye = r#"{"bye":{}}"#;
    let (mut reader, mut writer) = tokio::io::split(&mut client);
    let writing =
        async { writer.write_all(&[framed(HELLO), framed(&call), framed(bye)].concat()).await.unwrap() };
    let mut received = Vec::new();
    let reading = async {
        while !messages_end_with_close(&received) {
            reader.read_buf(&mut received).await.unwrap();
        }
    };
    tokio::join!(writing, reading);
    let received = messages(&received);
    assert!(received.iter().any(|message| message.contains(&data)));
    assert_eq!(received.last().map(String::as_str), Some("Close { code: Some(1000), reason: \"bye\" }"));
    drop(client);
    task.await.unwrap();
}

fn messages_end_with_close(bytes: &[u8]) -> bool {
    messages(bytes).last().is_some_and(|last| last.starts_with("Close"))
}

/// A frame of blanks, a thousand times smaller than its message.
fn blanks(bytes: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_compressed(&mut frame, Opcode::Text, &vec![b' '; bytes], Deflate::LARGEST_WINDOW, KEY);
    frame
}

/// Lets the method `wait` of [`waiting`] end.
type End = tokio::sync::watch::Sender<bool>;

/// A gateway that runs one call of a session at a time, and the switch that ends its method.
fn waiting() -> (Gateway, End) {
    let (end, ended) = tokio::sync::watch::channel(false);
    let limits = Limits { requests_in_flight_max: 1, ..Limits::default() };
    let builder = Gateway::builder().guests(true).limits(limits).call("wait", move |call| {
        let mut ended = ended.clone();
        async move {
            drop(ended.wait_for(|ended| *ended).await);
            Ok(call.data)
        }
    });
    (builder.build().unwrap(), end)
}

#[tokio::test]
async fn compressed_input_is_inflated_only_when_wanted() {
    let (gateway, end) = waiting();
    let permit = ConnectionPermit::try_acquire(gateway.state()).unwrap();
    let negotiated = Negotiated { deflate: Some(Deflate::LARGEST_WINDOW), ..Negotiated::default() };
    let (server, mut client) = duplex(1 << 20);
    let mut connection = Connection::new(server, Bytes::new(), permit, negotiated);
    let call = |id: u32| framed(&format!(r#"{{"id":{id},"call":{{"method":"wait","data":{id}}}}}"#));
    let mut bytes = [framed(HELLO), call(1), call(2)].concat();
    (0..150).for_each(|_| bytes.extend(blanks(65_000)));
    bytes.extend(call(3));
    client.write_all(&bytes).await.unwrap();

    let mut received = Vec::new();
    let held_bytes = poll_fn(|cx| {
        assert!(Pin::new(&mut connection).poll(cx).is_pending());
        if connection.wants_input() { Poll::Pending } else { Poll::Ready(connection.held_bytes()) }
    });
    let held_bytes = held_bytes.await;
    assert!(held_bytes <= 2 * 16 * 1024, "{held_bytes} bytes are held of 10 MB");

    end.send_replace(true);
    tokio::select! {
        () = &mut connection => panic!("the connection ended"),
        () = async {
            while !messages(&received).concat().contains(r#"{"id":3,"ok":{"data":3}}"#) {
                client.read_buf(&mut received).await.unwrap();
            }
        } => {}
    }
}

#[tokio::test]
async fn requests_of_one_message_are_answered_in_order() {
    let (gateway, end) = waiting();
    end.send_replace(true);
    let (server, mut client) = duplex(1 << 20);
    let calls: Vec<_> =
        (1..=1000).map(|id| format!(r#"{{"id":{id},"call":{{"method":"wait","data":{id}}}}}"#)).collect();
    let bytes = [framed(HELLO), framed(&calls.join("\n"))].concat();
    let task = tokio::spawn(connection(&gateway, server, &[]));
    client.write_all(&bytes).await.unwrap();
    let mut received = Vec::new();
    while !messages(&received).concat().contains(r#"{"id":1000,"#) {
        client.read_buf(&mut received).await.unwrap();
    }
    let received = messages(&received).concat();
    let ids: Vec<_> =
        received.lines().filter_map(|line| line.strip_prefix(r#"{"id":"#)?.split(',').next()).collect();
    assert_eq!(ids, (1..=1000).map(|id| id.to_string()).collect::<Vec<_>>());
    drop(client);
    task.await.unwrap();
}

/// A stream with a bug.
struct Explosive;

impl Stream for Explosive {}

impl AsyncRead for Explosive {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        panic!("part of the test")
    }
}

impl AsyncWrite for Explosive {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn panic_ends_only_its_connection_and_is_counted() {
    let gateway = gateway();
    let bystander: DuplexStream = {
        let (server, client) = duplex(4096);
        tokio::spawn(connection(&gateway, server, &framed(HELLO)));
        client
    };
    assert!(tokio::spawn(connection(&gateway, Explosive, &framed(HELLO))).await.unwrap_err().is_panic());
    let stats = gateway.stats();
    assert_eq!((stats.panics, stats.connections, stats.hub.connections), (1, 1, 1));
    let (mut reader, mut writer) = tokio::io::split(bystander);
    writer.write_all(&framed(r#"{"id":1,"call":{"method":"echo","data":"undisturbed"}}"#)).await.unwrap();
    let mut received = Vec::new();
    while !String::from_utf8_lossy(&received).contains("undisturbed") {
        reader.read_buf(&mut received).await.unwrap();
    }
}

#[tokio::test]
async fn ended_connection_leaves_no_timer_entry() {
    struct WakeTarget;
    impl Wake for WakeTarget {
        fn wake(self: Arc<Self>) {}
    }
    let gateway = gateway();
    let (server, client) = duplex(4096);
    let target = Arc::new(WakeTarget);
    let waker = Arc::clone(&target).into();
    let mut connection = connection(&gateway, server, &framed(HELLO));
    assert!(Pin::new(&mut connection).poll(&mut Context::from_waker(&waker)).is_pending());
    drop((connection, client, waker));
    assert_eq!(Arc::strong_count(&target), 1);
    assert_eq!(gateway.state().connections.in_use(), 0);
}

/// A back end that answers a guest when the test lets it, and never after it panicked; tokens at once.
struct SlowBackend {
    release: tokio::sync::watch::Receiver<bool>,
    panics: bool,
}

impl Backend for SlowBackend {
    fn authenticate<'a>(&'a self, login: Login<'a>) -> BackendFuture<'a, LoginResult> {
        let mut release = self.release.clone();
        Box::pin(async move {
            if matches!(login.auth, Auth::Token { .. }) {
                return Ok(Identity { source: 7, ..Identity::default() });
            }
            tokio::task::yield_now().await;
            assert!(!self.panics, "part of the test");
            drop(release.wait_for(|released| *released).await);
            Ok(Identity { source: 7, ..Identity::default() })
        })
    }

    fn sources(&self) -> Vec<u64> {
        vec![7]
    }
}

/// A gateway with a [`SlowBackend`], and the switch that lets it answer.
fn gateway_with_slow_backend(
    panics: bool,
    change: impl FnOnce(&mut GatewayConfig),
) -> (Gateway, tokio::sync::watch::Sender<bool>) {
    let (release, released) = tokio::sync::watch::channel(false);
    let mut config = GatewayConfig::default();
    change(&mut config);
    let backend = SlowBackend { release: released, panics };
    (Gateway::builder().config(config).backend(backend).build().unwrap(), release)
}

/// Sends a hello, and returns the task of the connection with the client's end.
fn say_hello(gateway: &Gateway) -> (tokio::task::JoinHandle<()>, DuplexStream) {
    let (server, client) = duplex(4096);
    (tokio::spawn(connection(gateway, server, &framed(HELLO))), client)
}

async fn receive_until(client: &mut DuplexStream, text: &str) {
    let mut received = Vec::new();
    while !String::from_utf8_lossy(&received).contains(text) {
        assert!(client.read_buf(&mut received).await.unwrap() > 0, "{}", String::from_utf8_lossy(&received));
    }
}

#[tokio::test]
async fn late_login_is_welcomed_and_frees_its_place() {
    let (gateway, release) = gateway_with_slow_backend(false, |_| {});
    let (_task, mut client) = say_hello(&gateway);
    while gateway.state().questions.in_use() == 0 {
        tokio::task::yield_now().await;
    }
    release.send_replace(true);
    receive_until(&mut client, "welcome").await;
    assert_eq!(gateway.state().questions.in_use(), 0);
}

#[tokio::test]
async fn login_without_answer_is_refused_at_its_deadline() {
    let (gateway, _release) =
        gateway_with_slow_backend(false, |config| config.backend_timeout = Duration::from_millis(10));
    let (_task, mut client) = say_hello(&gateway);
    receive_until(&mut client, "logins cannot be checked right now: the check took too long").await;
    assert_eq!(gateway.state().questions.in_use(), 0);
}

#[tokio::test]
async fn login_beyond_the_ceiling_is_refused_as_unavailable() {
    let (gateway, _release) = gateway_with_slow_backend(false, |config| config.backend_questions_max = 1);
    let (_task, _first) = say_hello(&gateway);
    while gateway.state().questions.in_use() == 0 {
        tokio::task::yield_now().await;
    }
    let (_task, mut second) = say_hello(&gateway);
    receive_until(&mut second, "too many are being checked").await;
}

#[tokio::test]
async fn login_answered_at_once_takes_no_place() {
    let (gateway, _release) = gateway_with_slow_backend(false, |config| config.backend_questions_max = 1);
    let (_task, _first) = say_hello(&gateway);
    while gateway.state().questions.in_use() == 0 {
        tokio::task::yield_now().await;
    }
    let hello = framed(r#"{"hello":{"v":1,"auth":{"token":"t"}}}"#);
    let (server, mut client) = duplex(4096);
    let _task = tokio::spawn(connection(&gateway, server, &hello));
    receive_until(&mut client, "welcome").await;
}

#[tokio::test]
async fn panic_of_the_back_end_refuses_only_its_login() {
    let (gateway, _release) = gateway_with_slow_backend(true, |_| {});
    let (_task, mut client) = say_hello(&gateway);
    receive_until(&mut client, "the check failed").await;
    assert_eq!(gateway.stats().panics, 0);
}

#[tokio::test]
async fn closed_connection_drops_its_pending_login() {
    let (gateway, _release) = gateway_with_slow_backend(false, |_| {});
    let (task, client) = say_hello(&gateway);
    while gateway.state().questions.in_use() == 0 {
        tokio::task::yield_now().await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    drop(client);
    assert_eq!(gateway.state().questions.in_use(), 0);
}

/// A back end that lets everybody in, and decides about channels when the test lets it.
struct SlowDecider(tokio::sync::watch::Receiver<bool>);

impl Backend for SlowDecider {
    fn authenticate<'a>(&'a self, _: Login<'a>) -> BackendFuture<'a, LoginResult> {
        Box::pin(std::future::ready(Ok(Identity { source: 7, ..Identity::default() })))
    }

    fn authorize<'a>(&'a self, _: Now, _: &'a AuthorizeQuestion) -> BackendFuture<'a, Authorization> {
        let mut release = self.0.clone();
        Box::pin(async move {
            drop(release.wait_for(|released| *released).await);
            Authorization::ALLOW
        })
    }

    fn sources(&self) -> Vec<u64> {
        vec![7]
    }
}

#[tokio::test]
async fn waiting_permission_holds_up_only_its_request() {
    let (release, released) = tokio::sync::watch::channel(false);
    let pattern = RulePattern::parse("asks:*").unwrap();
    let asks = ChannelRule { publish: Access::Backend, ..ChannelRule::closed(pattern) };
    let builder = Gateway::builder().backend(SlowDecider(released)).rules(vec![asks]);
    let gateway = builder.call("echo", |call| async move { Ok(call.data) }).build().unwrap();
    let (server, mut client) = duplex(4096);
    let publish = framed(r#"{"id":1,"publish":{"channel":"asks:1","data":1}}"#);
    let call = framed(r#"{"id":2,"call":{"method":"echo","data":2}}"#);
    let _task = tokio::spawn(connection(&gateway, server, &[framed(HELLO), publish, call].concat()));
    receive_until(&mut client, r#"{"id":2,"ok""#).await;
    assert_eq!(gateway.state().questions.in_use(), 1);
    release.send_replace(true);
    receive_until(&mut client, r#"{"id":1,"ok""#).await;
    assert_eq!(gateway.state().questions.in_use(), 0);
}
