//! Subscribers of a busy channel that stop reading: what they cost, whom they hurt, and what they get when they wake.
//!
//! Start at [`run`].

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::Args;

use super::{
    RunContext, WARM_UP,
    args::{Load, Plan},
    connection::{Connection, Event, Observer, SubscribedChannel},
    event_loop::{ConnectSpec, EventLoop},
    procfs::{self, Window},
    pubsub_load::{LoadSpec, Pace, PubSubLoad},
    report::Figures,
};

/// What a sleeper's own end holds back: as little as Linux allows, so that the gateway's end is what is measured.
const STALLED_BUFFER_BYTES: usize = 2048;
const SHORT: Duration = Duration::from_millis(50);

/// What only this scenario knows of.
#[derive(Clone, Debug, Args)]
pub struct SlowArgs {
    #[command(flatten)]
    pub(super) load: Load,
    /// Subscribers that stop reading
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    stalled: usize,
}

pub(super) fn run(context: &RunContext<'_>, args: &SlowArgs) -> anyhow::Result<Figures> {
    let plan = context.plan;
    let spec = LoadSpec {
        name: &context.name,
        subscribers: plan.connections,
        channels: 1,
        payload: plan.payload,
        at_once: plan.at_once,
    };
    let mut load = PubSubLoad::open(&context.target, &spec, &context.progress)?;
    let mut stalled_readers =
        StalledReaders { event_loop: EventLoop::with_receive_buffer(&context.target, STALLED_BUFFER_BYTES)? };
    let reads = SubscribedChannel::new(0, load.channel(0));
    stalled_readers.event_loop.open(args.stalled, plan.at_once, &context.progress, &mut Ignore, |_| {
        ConnectSpec {
            first_messages: (context.target.hello() + "\n" + &load.subscription(0)).into(),
            answers: 2,
            reads: Some(Rc::clone(&reads)),
        }
    })?;

    // Everybody reads first: the log is full then, and all have been written to.
    go_on(context, &mut load, &mut stalled_readers, WARM_UP, "warming up")?;
    load.tracker.delivery.count_anew();
    go_on(context, &mut load, &mut stalled_readers, plan.lasts, "everybody reads")?;
    load.drain()?;
    stalled_readers.catch_up(load.tracker.delivery.last(0))?;
    let all_reading = load.tracker.delivery.latency.clone();
    let before = MemorySnapshot::of(context, &mut load)?;

    stalled_readers.event_loop.connections.iter_mut().for_each(|connection| connection.stalled = true);
    load.tracker.delivery.count_anew();
    let window = Window::open(context.pid)?;
    go_on(context, &mut load, &mut stalled_readers, plan.lasts, "some do not read")?;
    let used = window.close()?;
    load.drain()?;
    let beside_stalled = load.tracker.delivery.latency.clone();
    let during = MemorySnapshot::of(context, &mut load)?;

    let heard_before = stalled_readers.heard();
    for index in 0..stalled_readers.event_loop.connections.len() {
        stalled_readers.event_loop.resume_reading(index, &mut Ignore)?;
    }
    stalled_readers.catch_up(load.tracker.delivery.last(0))?;
    let gaps: u64 = stalled_readers.event_loop.connections.iter().map(|connection| connection.gaps).sum();

    let stalled = args.stalled as f64;
    let mut figures = Figures::default();
    figures.add("kernel_bytes_each_stalled", during.kernel.saturating_sub(before.kernel) as f64 / stalled);
    if let (Some(before), Some(during)) = (before.resident, during.resident) {
        figures.add("resident_bytes_each_stalled", during.saturating_sub(before) as f64 / stalled);
    }
    figures.add_latency(["p50_ms_all_awake", "p99_ms_all_awake", "max_ms_all_awake"], &all_reading);
    figures.add_latency(
        ["p50_ms_beside_stalled", "p99_ms_beside_stalled", "max_ms_beside_stalled"],
        &beside_stalled,
    );
    figures.add("publications_each_when_woken", (stalled_readers.heard() - heard_before) as f64 / stalled);
    figures.add("gaps_each_when_woken", gaps as f64 / stalled);
    figures.add_load(&used);
    Ok(figures)
}

fn go_on(
    context: &RunContext<'_>,
    load: &mut PubSubLoad,
    stalled_readers: &mut StalledReaders,
    lasts: Duration,
    phase: &'static str,
) -> anyhow::Result<()> {
    context.progress.begin(phase, 1000);
    let begin = Instant::now();
    while begin.elapsed() < lasts {
        load.step(pace(context.plan), Duration::from_millis(1))?;
        stalled_readers.event_loop.poll(&mut Ignore, Duration::ZERO)?;
        context.progress.time(begin.elapsed(), lasts);
    }
    Ok(())
}

fn pace(plan: &Plan) -> Pace {
    plan.rate.map_or(Pace::InFlight(plan.in_flight), Pace::Rate)
}

/// Memory while nothing moves.
struct MemorySnapshot {
    kernel: u64,
    resident: Option<u64>,
}

impl MemorySnapshot {
    fn of(context: &RunContext<'_>, load: &mut PubSubLoad) -> anyhow::Result<Self> {
        context.progress.begin("waiting for memory to settle", 0);
        let listen = || load.event_loop.poll(&mut load.tracker, SHORT).map(drop);
        let resident =
            context.pid.map(|pid| procfs::settled(pid, context.plan.settle, listen)).transpose()?;
        Ok(Self { kernel: procfs::tcp_memory()?, resident })
    }
}

struct StalledReaders {
    event_loop: EventLoop,
}

impl StalledReaders {
    /// Waits until each has everything, or was told by a gap that it has not.
    fn catch_up(&mut self, last: u64) -> anyhow::Result<()> {
        let all = |event_loop: &EventLoop, _: &Ignore| {
            event_loop.connections.iter().all(|connection| connection.offset == last)
        };
        self.event_loop.poll_until(&mut Ignore, "everything for those who slept", all)?;
        for connection in &self.event_loop.connections {
            let accounted = connection.began + connection.publications + connection.skipped;
            ensure!(
                accounted == last,
                "lost: connection {} can account for {accounted} of {last}",
                connection.index
            );
        }
        Ok(())
    }

    fn heard(&self) -> u64 {
        self.event_loop.connections.iter().map(|connection| connection.publications).sum()
    }
}

/// What stalled readers receive is counted by their connections.
struct Ignore;

impl Observer for Ignore {
    fn on_event(&mut self, _: &mut Connection, _: Event<'_>, _: Instant) -> anyhow::Result<()> {
        Ok(())
    }
}
