//! A ring belongs to one thread; its streams move between threads.

use super::*;

/// One thread submits while another writes on: the bytes with the kernel are not sent yet. They stay there
/// for a while, as the last of a full batch.
#[test]
fn write_waits_for_submit_on_another_thread() {
    let Some(runtime) = runtime() else { return };
    let _guard = runtime.enter();
    let cx = Context::from_waker(Waker::noop());
    let mut pairs: Vec<_> = (0..SENDS_MAX).map(|_| pair()).collect();
    for (stream, _) in &pairs {
        stream.stream.set_nodelay(true).unwrap();
        SockRef::from(&stream.stream).set_send_buffer_size(1 << 20).unwrap();
    }
    let ring = Ring::with_own(Arc::clone).unwrap();
    for _ in 0..100 {
        assert!(pairs.iter_mut().all(|(stream, _)| queue(stream, &cx, b"1")));
        let last = &pairs.last().unwrap().0;
        std::thread::scope(|scope| {
            scope.spawn(|| ring.submit());
            while !lock(&ring.queued).is_empty() {
                std::hint::spin_loop();
            }
            assert!(last.poll_idle().is_ready());
            assert_eq!(SockRef::from(&last.stream).send(b"2").unwrap(), 1);
        });
        let ((_, last), others) = pairs.split_last_mut().unwrap();
        assert!(others.iter_mut().all(|(_, reader)| read(reader, 1) == b"1"));
        assert_eq!(read(last, 2), b"12", "the write has overtaken the send");
    }
}

/// Writers move between threads, and their sockets are full most of the time.
#[test]
fn bytes_arrive_once_in_order_across_threads() {
    const WRITERS: u64 = 64;
    const BYTES: usize = 200_000;
    if runtime().is_none() {
        return;
    }
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let _guard = runtime.enter();
    let expected =
        |seed: u64| (0..BYTES as u64).map(move |at| (at.wrapping_mul(seed * 2 + 1) >> 3).to_le_bytes()[0]);
    let readers: Vec<_> = (0..WRITERS)
        .map(|seed| {
            let (mut stream, mut reader) = pair();
            runtime.spawn(async move {
                let bytes: Vec<u8> = expected(seed).collect();
                let mut left = &bytes[..];
                for size in (1..=5000).rev().cycle().step_by(usize::try_from(seed).unwrap() * 7 + 3) {
                    let (part, rest) = left.split_at(size.min(left.len()));
                    write(&mut stream, part).await;
                    left = rest;
                    if left.is_empty() {
                        break;
                    }
                    if size % 3 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                settle(&mut stream).await;
            });
            std::thread::spawn(move || {
                let mut read = Vec::new();
                reader.read_to_end(&mut read).unwrap();
                assert!(read.iter().copied().eq(expected(seed)), "writer {seed}: {} bytes", read.len());
            })
        })
        .collect();
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}
