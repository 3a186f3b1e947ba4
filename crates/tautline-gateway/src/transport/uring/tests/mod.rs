//! Stories about sends in a ring, over real sockets. Where the machine lets us have none there is nothing to tell.

mod ends;
mod threads;

use std::{
    future::poll_fn,
    io::{ErrorKind, Read as _},
    net::TcpListener,
    pin::Pin,
    sync::atomic::AtomicBool,
    task::{Context, Wake},
    time::Duration,
};

use bytes::Bytes;
use socket2::SockRef;
use tokio::{
    io::AsyncWrite as _,
    net::TcpStream,
    runtime::{Builder, Runtime},
};

use super::*;
use crate::transport::stream::Stream as _;

type Reader = std::net::TcpStream;

/// As good as in company: what is taken waits for others.
fn take(stream: &mut RingStream, cx: &Context<'_>, bytes: &[u8]) -> bool {
    // To settle is to be sent alone.
    let _ = stream.poll_settled();
    Ring::with_own(|ring| ring.alone.store(0, Ordering::Relaxed));
    stream.take(cx, &framed(bytes))
}

/// A stream with room for little, and who reads at its other end.
fn pair() -> (RingStream, Reader) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    SockRef::from(&listener).set_recv_buffer_size(1).unwrap();
    let writer = Reader::connect(listener.local_addr().unwrap()).unwrap();
    SockRef::from(&writer).set_send_buffer_size(1).unwrap();
    writer.set_nonblocking(true).unwrap();
    let (reader, _) = listener.accept().unwrap();
    reader.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    (RingStream::new(TcpStream::from_std(writer).unwrap()), reader)
}

fn runtime() -> Option<Runtime> {
    if !is_available() {
        println!("skipped: this machine has no io_uring for us");
        return None;
    }
    Some(Builder::new_current_thread().enable_all().build().unwrap())
}

/// A task that knows whether it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn framed(bytes: &[u8]) -> Frames {
    let mut frames = Frames::default();
    frames.bytes.extend_from_slice(bytes);
    frames
}

/// Writes as a connection does: what comes back goes first, and what is not taken is written.
async fn write(stream: &mut RingStream, bytes: &[u8]) {
    let mut unsent = Unsent::default();
    if !poll_fn(|cx| Poll::Ready(take(stream, cx, bytes))).await {
        unsent.push(Bytes::copy_from_slice(bytes));
    }
    write_unsent(stream, unsent).await;
}

async fn write_unsent(stream: &mut RingStream, mut unsent: Unsent) {
    let writing = poll_fn(|cx| {
        if let Some(earlier) = stream.take_back() {
            unsent.go_behind(earlier);
        }
        unsent.poll_write(cx, stream).map(Result::unwrap)
    });
    tokio::time::timeout(Duration::from_secs(20), writing).await.expect("it is woken when there is room");
}

/// Until nothing comes back any more.
async fn settle(stream: &mut RingStream) {
    while stream.poll_settled().is_pending() {
        write_unsent(stream, Unsent::default()).await;
    }
}

fn read(reader: &mut Reader, bytes: usize) -> Vec<u8> {
    let mut read = vec![0; bytes];
    reader.read_exact(&mut read).unwrap();
    read
}

fn has_nothing(reader: &mut Reader) -> bool {
    reader.set_nonblocking(true).unwrap();
    let nothing = reader.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    reader.set_nonblocking(false).unwrap();
    nothing
}

#[test]
fn sends_wait_for_others_and_go_by_themselves() {
    let Some(runtime) = runtime() else { return };
    runtime.block_on(async {
        let (mut one, mut at_one) = pair();
        let (mut other, mut at_other) = pair();
        poll_fn(|cx| {
            assert!(take(&mut one, cx, b"one") && take(&mut other, cx, b"other"));
            assert!(has_nothing(&mut at_one) && has_nothing(&mut at_other));
            Poll::Ready(())
        })
        .await;
        tokio::task::spawn_blocking(move || {
            assert_eq!(read(&mut at_one, 3), b"one");
            assert_eq!(read(&mut at_other, 5), b"other");
        })
        .await
        .unwrap();
    });
}

#[test]
fn who_finds_no_company_goes_alone_for_a_while() {
    let Some(runtime) = runtime() else { return };
    let _guard = runtime.enter();
    let cx = Context::from_waker(Waker::noop());
    let mut pairs: Vec<_> = (0..SOLO_SENDS + 3).map(|_| pair()).collect();
    let mut take_all =
        || pairs.iter_mut().map(|(stream, _)| stream.take(&cx, &framed(b"x"))).collect::<Vec<_>>();
    let submit = || Ring::with_own(|ring| ring.submit());
    let (mut lone, _reader) = pair();
    assert!(lone.take(&cx, &framed(b"x")), "who was not alone yet waits for company");
    submit();
    let taken = take_all();
    assert_eq!(taken.iter().filter(|taken| !**taken).count(), SOLO_SENDS as usize);
    assert!(taken.ends_with(&[true; BATCH_MIN]), "then some look for company again");
    submit();
    assert!(take_all().iter().all(|taken| *taken), "and found each other");
}

#[test]
fn a_full_batch_goes_at_once() {
    let Some(runtime) = runtime() else { return };
    runtime.block_on(poll_fn(|cx| {
        let mut pairs: Vec<_> = (0..=SENDS_MAX).map(|_| pair()).collect();
        for (stream, _) in &mut pairs {
            assert!(take(stream, cx, b"x"));
        }
        let (last, first) = pairs.split_last_mut().unwrap();
        assert!(first.iter_mut().all(|(_, reader)| read(reader, 1) == b"x"));
        assert!(has_nothing(&mut last.1));
        Poll::Ready(())
    }));
}

#[test]
fn a_stream_writes_in_order_whatever_is_in_the_ring() {
    let Some(runtime) = runtime() else { return };
    runtime.block_on(async {
        let (mut stream, mut reader) = pair();
        let long = vec![b'l'; SEND_BYTES_MAX + 1];
        let all = [&b"shortanother"[..], &long, b"last"].concat();
        let bytes = all.len();
        let reading = tokio::task::spawn_blocking(move || read(&mut reader, bytes));
        for part in [&b"short"[..], b"another", &long, b"last"] {
            write(&mut stream, part).await;
        }
        settle(&mut stream).await;
        assert_eq!(reading.await.unwrap(), all);
    });
}

#[test]
fn what_a_full_socket_did_not_take_comes_back_and_wakes_its_task() {
    let Some(runtime) = runtime() else { return };
    let _guard = runtime.enter();
    let woken = Arc::new(Woken::default());
    let waker = Arc::clone(&woken).into();
    let cx = Context::from_waker(&waker);
    let (mut stream, mut reader) = pair();
    let mut written = Vec::new();
    let mut part = vec![0; 1000];
    while take(&mut stream, &cx, &part) {
        written.extend_from_slice(&part);
        part = vec![part[0] + 1; 1000];
    }
    assert!(stream.poll_settled().is_pending(), "it takes nothing until it was asked");
    let back = stream.take_back().expect("something came back").concat();
    assert!(woken.0.load(Ordering::Relaxed));
    assert!(stream.take_back().is_none());
    let sent = written.len() - back.len();
    assert!(written.ends_with(&back) && sent > 0);
    assert_eq!(read(&mut reader, sent), written[..sent]);
    assert!(has_nothing(&mut reader));
}

#[test]
fn numbers_may_come_round() {
    let Some(runtime) = runtime() else { return };
    runtime.block_on(async {
        Ring::with_own(|ring| {
            ring.done.store(u32::MAX, Ordering::Relaxed);
            assert!(ring.is_waiting(0) && ring.is_waiting(1));
            assert!(!ring.is_waiting(u32::MAX) && !ring.is_waiting(u32::MAX - 7));
        })
        .unwrap();
    });
}
