//! New clients that come one after the other while everybody else comes back.
//!
//! Start at [`Newcomers::begin`]. They have a thread of their own, so that none queues up behind the others in the load.

use std::{
    sync::mpsc::{self, TryRecvError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::ensure;

use super::{
    args::Target,
    arrivals::Arrivals,
    aside,
    fleet::{Fleet, Visit},
};

/// A new client comes so often.
const EVERY: Duration = Duration::from_millis(20);
/// How long they are waited for once no more come.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Newcomers {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<anyhow::Result<Arrivals>>,
}

impl Newcomers {
    pub(super) fn begin(target: &Target) -> Self {
        let (stop, stopped) = mpsc::channel();
        let target = aside::sleeping(target);
        Self { stop, thread: thread::spawn(move || come(&target, &stopped)) }
    }

    /// No more come: waits until all that came are online, and says how long each waited.
    pub(super) fn end(self) -> anyhow::Result<Arrivals> {
        // Where it fails the thread has ended, and says why.
        let _ = self.stop.send(());
        aside::join(self.thread)
    }
}

fn come(target: &Target, stopped: &mpsc::Receiver<()>) -> anyhow::Result<Arrivals> {
    let mut fleet = Fleet::new(target)?;
    let mut arrivals = Arrivals::new(Instant::now());
    let mut next = Instant::now();
    while let Err(TryRecvError::Empty) = stopped.try_recv() {
        if Instant::now() >= next {
            fleet.dial(Visit { words: target.hello().into(), answers: 1, reads: None })?;
            next += EVERY;
        }
        fleet.turn(&mut arrivals, next.saturating_duration_since(Instant::now()))?;
    }
    let begin = Instant::now();
    while arrivals.online < fleet.lines.len() {
        fleet.turn(&mut arrivals, EVERY)?;
        ensure!(begin.elapsed() < PATIENCE, "a new client was not online within {PATIENCE:?}");
    }
    Ok(arrivals)
}
