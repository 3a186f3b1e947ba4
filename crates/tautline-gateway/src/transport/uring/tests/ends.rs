//! Something ends: a stream, its peer, a runtime, a ring.

use super::*;

#[test]
fn dropped_stream_sends_its_queue_before_its_number_is_reused() {
    let Some(runtime) = runtime() else { return };
    let _guard = runtime.enter();
    let (mut stream, mut reader) = pair();
    let number = stream.socket();
    assert!(queue(&mut stream, &Context::from_waker(Waker::noop()), b"goodbye"));
    let ring = Arc::clone(stream.ring.as_ref().unwrap());
    drop(stream);
    assert_eq!(read(&mut reader, 7), b"goodbye");
    assert!(lock(&ring.queued).is_empty(), "another socket may have the number {number} now");
}

#[test]
fn unsent_bytes_are_dropped_with_their_stream() {
    let Some(runtime) = runtime() else { return };
    let _guard = runtime.enter();
    let (mut stream, _reader) = pair();
    while queue(&mut stream, &Context::from_waker(Waker::noop()), &[0; 1000]) {}
    let ring = Arc::clone(stream.ring.as_ref().unwrap());
    assert!(ring.has_unsent(stream.socket()));
    drop(stream);
    assert!(lock(&ring.unsent).is_empty());
    assert_eq!(ring.unsent_count.load(Ordering::Relaxed), 0);
}

#[test]
fn shutdown_waits_for_queued_sends() {
    let Some(runtime) = runtime() else { return };
    runtime.block_on(async {
        let (mut stream, mut reader) = pair();
        write(&mut stream, b"last words").await;
        poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await.unwrap();
        let mut received = String::new();
        reader.read_to_string(&mut received).unwrap();
        assert_eq!(received, "last words");
    });
}

#[test]
fn write_after_peer_left_fails() {
    let Some(runtime) = runtime() else { return };
    runtime.block_on(async {
        let (mut stream, reader) = pair();
        drop(reader);
        let failed = poll_fn(|cx| {
            while queue(&mut stream, cx, b"anybody?") {}
            stream.take_unsent().expect("something came back").poll_write(cx, &mut stream)
        });
        let kind = failed.await.unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{kind}");
    });
}

#[test]
fn ending_runtime_submits_and_the_next_one_goes_on() {
    let Some(ended) = runtime() else { return };
    let mut kept = ended.block_on(async {
        let (mut stream, reader) = pair();
        write(&mut stream, b"first").await;
        (stream, reader)
    });
    drop(ended);
    assert_eq!(read(&mut kept.1, 5), b"first");
    let Some(next) = runtime() else { return };
    let mut reader = next.block_on(async {
        let (mut stream, reader) = pair();
        write(&mut stream, b"second").await;
        // By itself: the stream is not dropped, nor does it write again.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        std::mem::forget(stream);
        reader
    });
    assert_eq!(read(&mut reader, 6), b"second");
}

#[test]
fn send_after_runtime_end_is_submitted_at_once() {
    let Some(runtime) = runtime() else { return };
    let handle = runtime.handle().clone();
    let _guard = handle.enter();
    let (mut stream, mut reader) = pair();
    runtime.shutdown_background();
    assert!(queue(&mut stream, &Context::from_waker(Waker::noop()), b"late"));
    assert_eq!(read(&mut reader, 4), b"late");
}

#[test]
fn failed_ring_returns_all_and_is_abandoned() {
    let Some(runtime) = runtime() else { return };
    runtime.block_on(async {
        let (mut stream, mut reader) = pair();
        write(&mut stream, b"before ").await;
        Ring::with_own(|ring| lock(&ring.submitting).ring = Some(SubmitRing::broken())).unwrap();
        write(&mut stream, b"meanwhile ").await;
        settle(&mut stream).await;
        assert!(Ring::with_own(|_| ()).is_none());
        write(&mut stream, b"after").await;
        assert_eq!(read(&mut reader, 22), b"before meanwhile after");
    });
}
