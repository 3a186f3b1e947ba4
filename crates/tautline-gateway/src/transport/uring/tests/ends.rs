//! Something ends: a stream, its peer, a runtime, a ring.

use super::*;

#[test]
fn a_stream_that_goes_has_sent_what_it_took_and_nothing_to_whom_gets_its_number() {
    let Some(runtime) = runtime() else { return };
    let _guard = runtime.enter();
    let (mut stream, mut reader) = pair();
    let number = stream.socket();
    assert!(take(&mut stream, &Context::from_waker(Waker::noop()), b"goodbye"));
    let ring = Arc::clone(stream.ring.as_ref().unwrap());
    drop(stream);
    assert_eq!(read(&mut reader, 7), b"goodbye");
    assert!(lock(&ring.waiting).is_empty(), "{number} may be anybody's now");
}

#[test]
fn what_came_back_is_forgotten_with_its_stream() {
    let Some(runtime) = runtime() else { return };
    let _guard = runtime.enter();
    let (mut stream, _reader) = pair();
    while take(&mut stream, &Context::from_waker(Waker::noop()), &[0; 1000]) {}
    let ring = Arc::clone(stream.ring.as_ref().unwrap());
    assert!(ring.has_returned(stream.socket()));
    drop(stream);
    assert!(lock(&ring.returned).is_empty());
    assert_eq!(ring.returned_count.load(Ordering::Relaxed), 0);
}

#[test]
fn a_stream_is_shut_behind_what_it_took() {
    let Some(runtime) = runtime() else { return };
    runtime.block_on(async {
        let (mut stream, mut reader) = pair();
        write(&mut stream, b"last words").await;
        poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await.unwrap();
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        assert_eq!(said, "last words");
    });
}

#[test]
fn a_peer_that_left_is_noticed_by_the_next_write() {
    let Some(runtime) = runtime() else { return };
    runtime.block_on(async {
        let (mut stream, reader) = pair();
        drop(reader);
        let failed = poll_fn(|cx| {
            while take(&mut stream, cx, b"anybody?") {}
            stream.take_back().expect("something came back").poll_write(cx, &mut stream)
        });
        let kind = failed.await.unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{kind}");
    });
}

#[test]
fn a_runtime_that_ends_sends_what_waits_and_the_next_one_goes_on() {
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
fn a_runtime_that_has_ended_sends_at_once() {
    let Some(runtime) = runtime() else { return };
    let handle = runtime.handle().clone();
    let _guard = handle.enter();
    let (mut stream, mut reader) = pair();
    runtime.shutdown_background();
    assert!(take(&mut stream, &Context::from_waker(Waker::noop()), b"late"));
    assert_eq!(read(&mut reader, 4), b"late");
}

#[test]
fn a_ring_that_fails_gives_everything_back_and_is_not_used_again() {
    let Some(runtime) = runtime() else { return };
    runtime.block_on(async {
        let (mut stream, mut reader) = pair();
        write(&mut stream, b"before ").await;
        Ring::with_own(|ring| lock(&ring.submitting).kernel = Some(SubmitRing::broken())).unwrap();
        write(&mut stream, b"meanwhile ").await;
        settle(&mut stream).await;
        assert!(Ring::with_own(|_| ()).is_none());
        write(&mut stream, b"after").await;
        assert_eq!(read(&mut reader, 22), b"before meanwhile after");
    });
}
