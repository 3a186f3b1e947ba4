//! One publisher and many subscribers, in one channel or in many; and, if wanted, bystanders in a quiet channel beside them.

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;

use super::{
    RunContext, WARM_UP,
    args::Load,
    bystanders::{Bystanders, Quiet},
    procfs::Window,
    pubsub_load::{LoadSpec, Pace, PubSubLoad},
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

pub(super) fn run(context: &RunContext<'_>, args: &FanoutArgs) -> anyhow::Result<Figures> {
    ensure!(
        context.target.protocol.is_ours() || args.bystanders == 0,
        "bystanders need a second channel, and another protocol has one"
    );
    let plan = context.plan;
    let spec = LoadSpec {
        name: &context.name,
        subscribers: plan.connections,
        channels: plan.channels,
        payload: plan.payload,
        at_once: plan.at_once,
    };
    let mut load = PubSubLoad::open(&context.target, &spec, &context.progress)?;
    let bystanders = (args.bystanders > 0).then(|| stand_by(context, args)).transpose()?;
    go_on(context, &mut load, WARM_UP, "warming up")?;
    load.tracker.delivery.count_anew();
    bystanders.as_ref().map_or(Ok(()), Bystanders::count_anew)?;
    let window = Window::open(context.pid)?;
    go_on(context, &mut load, plan.lasts, "publishing")?;
    let used = window.close()?;
    let delivery = &load.tracker.delivery;
    let (publications, deliveries) = (delivery.publications, delivery.deliveries);
    let bystanders = bystanders.map(Bystanders::end).transpose()?;
    // What is in flight now arrives outside of the window; it is checked, and not counted.
    load.drain()?;

    let mut figures = Figures::default();
    if let Some(server) = used.server {
        figures.add_cpu("server_cpu_s_per_1m_deliveries", server, deliveries);
    }
    figures.add("deliveries_per_s", deliveries as f64 / used.lasted.as_secs_f64());
    figures.add("publications_per_s", publications as f64 / used.lasted.as_secs_f64());
    let latency = &load.tracker.delivery.latency;
    figures.add_latency(["latency_p50_ms", "latency_p99_ms", "latency_max_ms"], latency);
    if let Some(latency) = &bystanders {
        figures.add_latency(["bystander_p50_ms", "bystander_p99_ms", "bystander_max_ms"], latency);
    }
    figures.add_load(&used);
    Ok(figures)
}

fn stand_by(context: &RunContext<'_>, args: &FanoutArgs) -> anyhow::Result<Bystanders> {
    let quiet = Quiet {
        name: format!("{}:quiet", context.name),
        count: args.bystanders,
        rate: args.bystanders_rate,
        payload: context.plan.payload,
    };
    Bystanders::begin(&context.target, quiet)
}

fn go_on(
    context: &RunContext<'_>,
    load: &mut PubSubLoad,
    lasts: Duration,
    phase: &'static str,
) -> anyhow::Result<()> {
    context.progress.begin(phase, 1000);
    let pace = context.plan.rate.map_or(Pace::InFlight(context.plan.in_flight), Pace::Rate);
    let begin = Instant::now();
    while begin.elapsed() < lasts {
        load.step(pace, LONG)?;
        context.progress.time(begin.elapsed(), lasts);
    }
    Ok(())
}
