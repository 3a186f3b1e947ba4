//! New clients that come one after the other while everybody else comes back.
//!
//! Start at [`Newcomers::begin`]. They have a thread of their own, so that none queues up behind the others in the load.

use std::{
    sync::mpsc::{self, TryRecvError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{anyhow, ensure};

use super::{
    args::Target,
    arrivals::Arrivals,
    event_loop::{ConnectSpec, EventLoop},
};

/// A new client comes so often.
const EVERY: Duration = Duration::from_millis(20);
/// How long they are waited for once no more come.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(super) struct Newcomers {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<anyhow::Result<Arrivals>>,
}

impl Newcomers {
    pub(super) fn begin(target: &Target) -> Self {
        let (stop, stopped) = mpsc::channel();
        let target = target.clone().sleepless(false);
        Self { stop, thread: thread::spawn(move || come(&target, &stopped)) }
    }

    /// No more come: waits until all that came are online, and says how long each waited.
    pub(super) fn end(self) -> anyhow::Result<Arrivals> {
        // Where it fails the thread has ended, and says why.
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| anyhow!("a thread of the load panicked"))?
    }
}

fn come(target: &Target, stopped: &mpsc::Receiver<()>) -> anyhow::Result<Arrivals> {
    let mut event_loop = EventLoop::new(target)?;
    let mut arrivals = Arrivals::new(Instant::now());
    let mut next = Instant::now();
    while let Err(TryRecvError::Empty) = stopped.try_recv() {
        if Instant::now() >= next {
            event_loop.dial(ConnectSpec {
                first_messages: target.hello().into(),
                answers: 1,
                reads: None,
            })?;
            next += EVERY;
        }
        event_loop.poll(&mut arrivals, next.saturating_duration_since(Instant::now()))?;
    }
    let begin = Instant::now();
    while arrivals.online < event_loop.connections.len() {
        event_loop.poll(&mut arrivals, EVERY)?;
        ensure!(begin.elapsed() < TIMEOUT, "a new client was not online within {TIMEOUT:?}");
    }
    Ok(arrivals)
}
