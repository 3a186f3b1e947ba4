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
    Stage, WARM_UP,
    args::{Load, Plan},
    crew::{Crew, Pace, Roll},
    fleet::{Fleet, Visit},
    line::{Heard, Line, Reads, Scene},
    meter::{self, Window},
    report::Figures,
};

/// What a sleeper's own end holds back: as little as Linux allows, so that the gateway's end is what is measured.
const SLEEPER_BUFFER_BYTES: usize = 2048;
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

pub(super) fn run(stage: &Stage<'_>, args: &SlowArgs) -> anyhow::Result<Figures> {
    let plan = stage.plan;
    let roll = Roll {
        name: &stage.name,
        subscribers: plan.connections,
        channels: 1,
        payload: plan.payload,
        at_once: plan.at_once,
    };
    let mut crew = Crew::gather(&stage.target, &roll, &stage.progress)?;
    let mut sleepers = Sleepers { fleet: Fleet::with_receive_buffer(&stage.target, SLEEPER_BUFFER_BYTES)? };
    let reads = Reads::new(0, crew.channel(0));
    sleepers.fleet.open(args.stalled, plan.at_once, &stage.progress, &mut Deaf, |_| Visit {
        words: (stage.target.hello() + "\n" + &crew.subscription(0)).into(),
        answers: 2,
        reads: Some(Rc::clone(&reads)),
    })?;

    // Everybody is awake first: the log is full then, and all have been written to.
    go_on(stage, &mut crew, &mut sleepers, WARM_UP, "warming up")?;
    crew.desk.flights.count_anew();
    go_on(stage, &mut crew, &mut sleepers, plan.lasts, "everybody reads")?;
    crew.land()?;
    sleepers.catch_up(crew.desk.flights.last(0))?;
    let awake = crew.desk.flights.latency.clone();
    let before = Standing::of(stage, &mut crew)?;

    sleepers.fleet.lines.iter_mut().for_each(|line| line.asleep = true);
    crew.desk.flights.count_anew();
    let window = Window::open(stage.pid)?;
    go_on(stage, &mut crew, &mut sleepers, plan.lasts, "some do not read")?;
    let used = window.close()?;
    crew.land()?;
    let asleep = crew.desk.flights.latency.clone();
    let during = Standing::of(stage, &mut crew)?;

    let heard_before = sleepers.heard();
    for index in 0..sleepers.fleet.lines.len() {
        sleepers.fleet.wake(index, &mut Deaf)?;
    }
    sleepers.catch_up(crew.desk.flights.last(0))?;
    let gaps: u64 = sleepers.fleet.lines.iter().map(|line| line.gaps).sum();

    let stalled = args.stalled as f64;
    let mut figures = Figures::default();
    figures.add("kernel_bytes_each_stalled", during.kernel.saturating_sub(before.kernel) as f64 / stalled);
    if let (Some(before), Some(during)) = (before.resident, during.resident) {
        figures.add("resident_bytes_each_stalled", during.saturating_sub(before) as f64 / stalled);
    }
    figures.add_latency(["p50_ms_all_awake", "p99_ms_all_awake", "max_ms_all_awake"], &awake);
    figures.add_latency(["p50_ms_beside_stalled", "p99_ms_beside_stalled", "max_ms_beside_stalled"], &asleep);
    figures.add("publications_each_when_woken", (sleepers.heard() - heard_before) as f64 / stalled);
    figures.add("gaps_each_when_woken", gaps as f64 / stalled);
    figures.add_load(&used);
    Ok(figures)
}

fn go_on(
    stage: &Stage<'_>,
    crew: &mut Crew,
    sleepers: &mut Sleepers,
    lasts: Duration,
    phase: &'static str,
) -> anyhow::Result<()> {
    stage.progress.begin(phase, 1000);
    let begin = Instant::now();
    while begin.elapsed() < lasts {
        crew.step(pace(stage.plan), Duration::from_millis(1))?;
        sleepers.fleet.turn(&mut Deaf, Duration::ZERO)?;
        stage.progress.time(begin.elapsed(), lasts);
    }
    Ok(())
}

fn pace(plan: &Plan) -> Pace {
    plan.rate.map_or(Pace::InFlight(plan.in_flight), Pace::Rate)
}

/// Memory while nothing moves.
struct Standing {
    kernel: u64,
    resident: Option<u64>,
}

impl Standing {
    fn of(stage: &Stage<'_>, crew: &mut Crew) -> anyhow::Result<Self> {
        stage.progress.begin("waiting for memory to settle", 0);
        let listen = || crew.fleet.turn(&mut crew.desk, SHORT).map(drop);
        let resident = stage.pid.map(|pid| meter::settled(pid, stage.plan.settle, listen)).transpose()?;
        Ok(Self { kernel: meter::tcp_memory()?, resident })
    }
}

struct Sleepers {
    fleet: Fleet,
}

impl Sleepers {
    /// Waits until each has everything, or was told by a gap that it has not.
    fn catch_up(&mut self, last: u64) -> anyhow::Result<()> {
        let all = |fleet: &Fleet, _: &Deaf| fleet.lines.iter().all(|line| line.offset == last);
        self.fleet.until(&mut Deaf, "everything for those who slept", all)?;
        for line in &self.fleet.lines {
            let accounted = line.began + line.publications + line.skipped;
            ensure!(accounted == last, "lost: line {} can account for {accounted} of {last}", line.index);
        }
        Ok(())
    }

    fn heard(&self) -> u64 {
        self.fleet.lines.iter().map(|line| line.publications).sum()
    }
}

/// What sleepers hear is counted by their lines.
struct Deaf;

impl Scene for Deaf {
    fn hear(&mut self, _: &mut Line, _: Heard<'_>, _: Instant) -> anyhow::Result<()> {
        Ok(())
    }
}
