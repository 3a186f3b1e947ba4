//! One publisher and many subscribers, in one channel or in many; and, if wanted, bystanders in a quiet channel beside them.

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;

use super::{
    Stage, WARM_UP,
    args::Load,
    bystanders::{Bystanders, Quiet},
    crew::{Crew, Pace, Roll},
    meter::Window,
    report::Figures,
};

/// How long the loop waits for events.
const LONG: Duration = Duration::from_millis(100);

/// What only these scenarios know of.
#[derive(Clone, Debug, Args)]
pub struct FanoutArgs {
    #[command(flatten)]
    pub(super) load: Load,
    /// Subscribers of a quiet channel beside the busy one, whose latency is told apart
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    bystanders: usize,
    /// Publications a second in the quiet channel
    #[arg(long, value_name = "PER SECOND", default_value_t = 10.0)]
    bystanders_rate: f64,
}

pub(super) fn run(stage: &Stage<'_>, args: &FanoutArgs) -> anyhow::Result<Figures> {
    ensure!(
        stage.target.dialect.is_ours() || args.bystanders == 0,
        "bystanders need a second channel, and another dialect has one"
    );
    let plan = stage.plan;
    let roll = Roll {
        name: &stage.name,
        subscribers: plan.connections,
        channels: plan.channels,
        payload: plan.payload,
        at_once: plan.at_once,
    };
    let mut crowd = Crew::gather(&stage.target, &roll, &stage.progress)?;
    let bystanders = (args.bystanders > 0).then(|| stand_by(stage, args)).transpose()?;
    go_on(stage, &mut crowd, WARM_UP, "warming up")?;
    crowd.desk.flights.count_anew();
    bystanders.as_ref().map_or(Ok(()), Bystanders::count_anew)?;
    let window = Window::open(stage.pid)?;
    go_on(stage, &mut crowd, plan.lasts, "publishing")?;
    let used = window.close()?;
    let flights = &crowd.desk.flights;
    let (publications, deliveries) = (flights.publications, flights.deliveries);
    let bystanders = bystanders.map(Bystanders::end).transpose()?;
    // What is in flight now arrives outside of the window; it is checked, and not counted.
    crowd.land()?;

    let mut figures = Figures::default();
    if let Some(server) = used.server {
        figures.add_cpu("server_cpu_s_per_1m_deliveries", server, deliveries);
    }
    figures.add("deliveries_per_s", deliveries as f64 / used.lasted.as_secs_f64());
    figures.add("publications_per_s", publications as f64 / used.lasted.as_secs_f64());
    let latency = &crowd.desk.flights.latency;
    figures.add_latency(["latency_p50_ms", "latency_p99_ms", "latency_max_ms"], latency);
    if let Some(latency) = &bystanders {
        figures.add_latency(["bystander_p50_ms", "bystander_p99_ms", "bystander_max_ms"], latency);
    }
    figures.add_load(&used);
    Ok(figures)
}

fn stand_by(stage: &Stage<'_>, args: &FanoutArgs) -> anyhow::Result<Bystanders> {
    let quiet = Quiet {
        name: format!("{}:quiet", stage.name),
        count: args.bystanders,
        rate: args.bystanders_rate,
        payload: stage.plan.payload,
    };
    Bystanders::begin(&stage.target, quiet)
}

fn go_on(stage: &Stage<'_>, crowd: &mut Crew, lasts: Duration, phase: &'static str) -> anyhow::Result<()> {
    stage.progress.begin(phase, 1000);
    let pace = stage.plan.rate.map_or(Pace::InFlight(stage.plan.in_flight), Pace::Rate);
    let begin = Instant::now();
    while begin.elapsed() < lasts {
        crowd.step(pace, LONG)?;
        stage.progress.time(begin.elapsed(), lasts);
    }
    Ok(())
}
