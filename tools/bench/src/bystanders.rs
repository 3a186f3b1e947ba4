//! Subscribers of a quiet channel, whose latency says what a busy one does to others.
//!
//! Start at [`Bystanders::begin`]. They and their publisher have a thread of their own, so that they wait for the server alone.

use std::{
    sync::mpsc::{self, TryRecvError},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use hdrhistogram::Histogram;

use super::{
    args::Target,
    progress::Progress,
    pubsub_load::{LoadSpec, Pace, PubSubLoad},
};

/// How long they wait before they look whether something was asked of them.
const SHORT: Duration = Duration::from_millis(20);

/// How many there are, and what is published.
pub(super) struct Quiet {
    pub name: String,
    pub count: usize,
    pub rate: f64,
    pub payload: usize,
}

enum Order {
    CountAnew,
    End,
}

pub(super) struct Bystanders {
    orders: mpsc::Sender<Order>,
    thread: JoinHandle<anyhow::Result<Histogram<u64>>>,
}

impl Bystanders {
    /// Returns when all of them are online.
    pub(super) fn begin(target: &Target, quiet: Quiet) -> anyhow::Result<Self> {
        let (orders, ordered) = mpsc::channel();
        let (ready, begun) = mpsc::channel();
        let target = target.clone().sleepless(false);
        let thread = thread::spawn(move || stand_by(&target, &quiet, &ready, &ordered));
        let bystanders = Self { orders, thread };
        if begun.recv().is_err() {
            // It ended before it was ready, and says why.
            bystanders.end()?;
            bail!("the bystanders have left");
        }
        Ok(bystanders)
    }

    /// What they have heard so far does not count.
    pub(super) fn count_anew(&self) -> anyhow::Result<()> {
        self.orders.send(Order::CountAnew).context("the bystanders have left")
    }

    /// Waits until they have everything. Returns their latency, in microseconds.
    pub(super) fn end(self) -> anyhow::Result<Histogram<u64>> {
        // Where it fails the thread has ended, and says why.
        let _ = self.orders.send(Order::End);
        self.thread.join().map_err(|_| anyhow!("a thread of the load panicked"))?
    }
}

fn stand_by(
    target: &Target,
    quiet: &Quiet,
    ready: &mpsc::Sender<()>,
    orders: &mpsc::Receiver<Order>,
) -> anyhow::Result<Histogram<u64>> {
    let Quiet { name, count, rate, payload } = quiet;
    let spec = LoadSpec { name, subscribers: *count, channels: 1, payload: *payload, at_once: *count };
    let mut load = PubSubLoad::open(target, &spec, &Progress::hidden())?;
    ready.send(())?;
    loop {
        match orders.try_recv() {
            Ok(Order::CountAnew) => load.tracker.delivery.count_anew(),
            Ok(Order::End) | Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => load.step(Pace::Rate(*rate), SHORT)?,
        }
    }
    let latency = load.tracker.delivery.latency.clone();
    load.drain()?;
    Ok(latency)
}
