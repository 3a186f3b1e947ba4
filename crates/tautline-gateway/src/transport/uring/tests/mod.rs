//! Sends through a ring over real sockets; skipped where the machine has no io_uring for us.

mod ends;
mod threads;

use std::{
    future::poll_fn,
    io::{ErrorKind, Read as _},
    net::TcpListener,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use bytes::Bytes;
use socket2::SockRef;
use tokio::{
    io::AsyncWrite as _,
    net::TcpStream,
    runtime::{Builder, Runtime},
};

use super::{
    batch::SENDS_MAX,
    ring::{BATCH_MIN, Ring, SEND_BYTES_MAX, SOLO_SENDS, lock},
    submit::SubmitRing,
    *,
};
use crate::transport::{frames::Frames, stream::Stream as _, unsent::Unsent};

type Reader = std::net::TcpStream;

/// Queues as a connection does whose last batch was large: nothing bypasses the ring.
fn queue(stream: &mut RingStream, cx: &Context<'_>, bytes: &[u8]) -> bool {
    // A single send makes the next ones bypass the ring.
    let _ = stream.poll_idle();
    Ring::with_own(|ring| ring.solo_sends_left.store(0, Ordering::Relaxed));
    stream.try_queue(cx, &framed(bytes))
}

/// A stream with little buffer space, and the reader at its other end.
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

/// A task that records whether it was woken.
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

/// Writes as a connection does: unsent bytes go first, and bytes that are not queued are written.
async fn write(stream: &mut RingStream, bytes: &[u8]) {
    let mut unsent = Unsent::default();
    if !poll_fn(|cx| Poll::Ready(queue(stream, cx, bytes))).await {
        unsent.push(Bytes::copy_from_slice(bytes));
    }
    write_unsent(stream, unsent).await;
}

async fn write_unsent(stream: &mut RingStream, mut unsent: Unsent) {
    let writing = poll_fn(|cx| {
        if let Some(earlier) = stream.take_unsent() {
            unsent.prepend(earlier);
        }
        unsent.poll_write(cx, stream).map(Result::unwrap)
    });
    tokio::time::timeout(Duration::from_secs(20), writing).await.expect("it is woken when there is room");
}

/// Waits until nothing comes back any more.
async fn settle(stream: &mut RingStream) {
    while stream.poll_idle().is_pending() {
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
fn queued_sends_are_submitted_after_ready_tasks() {
    let Some(runtime) = runtime() else { return };
    runtime.block_on(async {
        let (mut one, mut at_one) = pair();
        let (mut other, mut at_other) = pair();
        poll_fn(|cx| {
            assert!(queue(&mut one, cx, b"one") && queue(&mut other, cx, b"other"));
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
fn small_batch_makes_next_sends_bypass_the_ring() {
    let Some(runtime) = runtime() else { return };
    let _guard = runtime.enter();
    let cx = Context::from_waker(Waker::noop());
    let mut pairs: Vec<_> = (0..SOLO_SENDS + 3).map(|_| pair()).collect();
    let mut queue_all =
        || pairs.iter_mut().map(|(stream, _)| stream.try_queue(&cx, &framed(b"x"))).collect::<Vec<_>>();
    let submit = || Ring::with_own(|ring| ring.submit());
    let (mut lone, _reader) = pair();
    assert!(lone.try_queue(&cx, &framed(b"x")), "nothing bypasses the ring before the first small batch");
    submit();
    let queued = queue_all();
    assert_eq!(queued.iter().filter(|queued| !**queued).count(), SOLO_SENDS as usize);
    assert!(queued.ends_with(&[true; BATCH_MIN]), "then the ring collects a batch again");
    submit();
    assert!(queue_all().iter().all(|queued| *queued), "which was large enough");
}

#[test]
fn full_batch_is_submitted_at_once() {
    let Some(runtime) = runtime() else { return };
    runtime.block_on(poll_fn(|cx| {
        let mut pairs: Vec<_> = (0..=SENDS_MAX).map(|_| pair()).collect();
        for (stream, _) in &mut pairs {
            assert!(queue(stream, cx, b"x"));
        }
        let (last, first) = pairs.split_last_mut().unwrap();
        assert!(first.iter_mut().all(|(_, reader)| read(reader, 1) == b"x"));
        assert!(has_nothing(&mut last.1));
        Poll::Ready(())
    }));
}

#[test]
fn queued_and_written_bytes_stay_in_order() {
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
fn bytes_refused_by_full_socket_wake_its_task() {
    let Some(runtime) = runtime() else { return };
    let _guard = runtime.enter();
    let woken = Arc::new(Woken::default());
    let waker = Arc::clone(&woken).into();
    let cx = Context::from_waker(&waker);
    let (mut stream, mut reader) = pair();
    let mut written = Vec::new();
    let mut part = vec![0; 1000];
    while queue(&mut stream, &cx, &part) {
        written.extend_from_slice(&part);
        part = vec![part[0] + 1; 1000];
    }
    assert!(stream.poll_idle().is_pending(), "it queues nothing until the unsent bytes are taken");
    let back = stream.take_unsent().expect("something came back").concat();
    assert!(woken.0.load(Ordering::Relaxed));
    assert!(stream.take_unsent().is_none());
    let sent = written.len() - back.len();
    assert!(written.ends_with(&back) && sent > 0);
    assert_eq!(read(&mut reader, sent), written[..sent]);
    assert!(has_nothing(&mut reader));
}

#[test]
fn batch_numbers_may_wrap_around() {
    let Some(runtime) = runtime() else { return };
    runtime.block_on(async {
        Ring::with_own(|ring| {
            ring.completed.store(u32::MAX, Ordering::Relaxed);
            assert!(ring.is_pending(0) && ring.is_pending(1));
            assert!(!ring.is_pending(u32::MAX) && !ring.is_pending(u32::MAX - 7));
        })
        .unwrap();
    });
}
