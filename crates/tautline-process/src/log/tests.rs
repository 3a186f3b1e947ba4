//! The background writer over files that fail, stick, or take little.

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use super::background::Background;

/// Longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A file whose every write waits for what comes of it: how many bytes it takes at most, or an error.
struct Fussy {
    begun: Sender<()>,
    answers: Receiver<io::Result<usize>>,
    taken: Arc<Mutex<String>>,
}

struct Stage {
    log: Background,
    begun: Receiver<()>,
    answers: Sender<io::Result<usize>>,
    taken: Arc<Mutex<String>>,
}

impl Write for Fussy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.send(()).ok();
        // Where the test has nothing more to say everything is taken.
        let count = self.answers.recv().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
        self.taken.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stage(bytes_max: usize) -> Stage {
    let ((begins, begun), (answers, asked)) = (channel(), channel());
    let taken = Arc::new(Mutex::new(String::new()));
    let file = Fussy { begun: begins, answers: asked, taken: Arc::clone(&taken) };
    let log = Background::start(file, bytes_max, |count| format!("{count} dropped\n"));
    Stage { log, begun, answers, taken }
}

impl Stage {
    /// Everything is taken from now on; what was taken in the end.
    fn finish(self) -> String {
        drop(self.answers);
        self.log.flush(PATIENCE);
        self.taken.lock().unwrap().clone()
    }
}

#[test]
fn lines_behind_a_stuck_file_are_counted() {
    let stage = stage(8);
    stage.log.write(b"one\n");
    stage.begun.recv_timeout(PATIENCE).expect("it is being written");
    for line in [b"two\n", b"abc\n", b"def\n", b"ghi\n"] {
        stage.log.write(line);
    }
    stage.log.flush(Duration::ZERO);
    assert_eq!(stage.finish(), "one\ntwo\nabc\n2 dropped\n");
}

#[test]
fn lines_that_a_full_disk_refuses_are_counted() {
    let stage = stage(1024);
    for _ in 0..2 {
        stage.log.write(b"one\n");
        stage.answers.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
        stage.begun.recv_timeout(PATIENCE).expect("it is being written");
        stage.log.flush(PATIENCE);
    }
    stage.log.write(b"two\n");
    assert_eq!(stage.finish(), "two\n2 dropped\n");
}

#[test]
fn short_writes_deliver_everything() {
    let stage = stage(1024);
    for answer in
        [Ok(1), Err(io::ErrorKind::Interrupted.into()), Ok(2), Err(io::ErrorKind::WouldBlock.into())]
    {
        stage.answers.send(answer).unwrap();
    }
    stage.log.write(b"one\ntwo\n");
    assert_eq!(stage.finish(), "one\ntwo\n");
}

#[test]
fn full_queue_never_splits_a_line() {
    let stage = stage(8);
    stage.log.write(b"longer than the queue\n");
    stage.log.write(b"one\n");
    assert_eq!(stage.finish(), "one\n1 dropped\n");
}
