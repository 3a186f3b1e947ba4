//! A bounded writer with a thread of its own: callers never wait for a disk, a pipe or a terminal.
//!
//! Start at [`Background::write`]. A line that finds no room, or that cannot be written, is dropped and counted; once
//! writing goes well again, one line says how many were.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Between two tries where a file is in non-blocking mode and full: it is shared with a program that made it so.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Lines on their way to a file. Cheap to clone; every clone writes to the same one.
#[derive(Clone)]
pub struct Background(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    /// Something was queued.
    queued: Condvar,
    /// All that was queued is written, or given up.
    idle: Condvar,
    bytes_max: usize,
    /// What tells how many lines were dropped.
    notice: fn(u64) -> String,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Since the last time that it was told.
    dropped: u64,
    is_writing: bool,
}

impl Background {
    /// Writes to `sink`, and holds at most `bytes_max` bytes that wait, beside as many that are being written.
    pub fn start(sink: impl Write + Send + 'static, bytes_max: usize, notice: fn(u64) -> String) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            queued: Condvar::new(),
            idle: Condvar::new(),
            bytes_max,
            notice,
        });
        let of_thread = Arc::clone(&shared);
        // Without a thread lines are dropped as soon as the queue is full, and nobody waits all the same.
        let _ = thread::Builder::new().name("log".to_owned()).spawn(move || of_thread.run(sink));
        Self(shared)
    }

    /// Takes whole lines, all of them or none.
    pub fn write(&self, lines: &[u8]) {
        let mut queue = self.0.lock();
        if queue.bytes.len() + lines.len() > self.0.bytes_max {
            queue.dropped += 1;
            return;
        }
        queue.bytes.extend_from_slice(lines);
        drop(queue);
        self.0.queued.notify_one();
    }

    /// Waits until all that was taken is written, or given up, but no longer than `patience`.
    pub fn flush(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut queue = self.0.lock();
        while queue.is_writing || !queue.bytes.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = self.0.idle.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut sink: impl Write) {
        let mut taken = Vec::new();
        let mut dropped = 0;
        loop {
            let mut queue = self.lock();
            queue.dropped += dropped;
            queue.is_writing = false;
            while queue.bytes.is_empty() {
                self.idle.notify_all();
                queue = self.queued.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            queue.is_writing = true;
            std::mem::swap(&mut queue.bytes, &mut taken);
            let before = std::mem::take(&mut queue.dropped);
            drop(queue);
            dropped = self.write_out(&mut sink, &taken, before);
            taken.clear();
            // A burst is over: what it took is given back.
            taken.shrink_to(self.bytes_max / 16);
        }
    }

    /// Writes these lines, then the word on those that were dropped. Gives how many are untold or were lost.
    fn write_out(&self, sink: &mut impl Write, lines: &[u8], dropped: u64) -> u64 {
        match write_all(sink, lines) {
            Ok(()) if dropped == 0 => 0,
            Ok(()) => write_all(sink, (self.notice)(dropped).as_bytes()).map_or(dropped, |()| 0),
            Err(written) => dropped + count(&lines[written..]),
        }
    }
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// The error is how many bytes were written all the same.
fn write_all(sink: &mut impl Write, bytes: &[u8]) -> Result<(), usize> {
    let mut written = 0;
    while written < bytes.len() {
        match sink.write(&bytes[written..]) {
            Ok(0) => return Err(written),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY_PAUSE),
            Err(_) => return Err(written),
        }
    }
    Ok(())
}
