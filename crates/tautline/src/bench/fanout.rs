//! One publisher and many subscribers, in one channel or in many; and, if wanted, bystanders in a quiet channel beside them.

use std::time::{Duration, Instant};

use clap::Args;

use super::{
    Stage, WARM_UP,
    args::Load,
    crew::{Crew, Pace, Roll},
    meter::Window,
    report::Figures,
};

/// How long the crowd may keep the loop before bystanders are looked after.
const SHORT: Duration = Duration::from_millis(1);
/// How long a loop without bystanders waits for events.
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
    let mut stand = Stand::open(stage, args)?;
    stage.progress.begin("warming up", 1000);
    stand.go_on(stage, WARM_UP)?;
    stand.crews().for_each(|crew| crew.desk.flights.count_anew());
    let window = Window::open(stage.pid)?;
    stage.progress.begin("publishing", 1000);
    stand.go_on(stage, stage.plan.lasts)?;
    let used = window.close()?;
    let flights = &stand.crowd.desk.flights;
    let (publications, deliveries) = (flights.publications, flights.deliveries);
    // What is in flight now arrives outside of the window; it is checked, and not counted.
    stand.crews().try_for_each(Crew::land)?;

    let mut figures = Figures::default();
    if let Some(server) = used.server {
        figures.add_cpu("server_cpu_s_per_1m_deliveries", server, deliveries);
    }
    figures.add("deliveries_per_s", deliveries as f64 / used.lasted.as_secs_f64());
    figures.add("publications_per_s", publications as f64 / used.lasted.as_secs_f64());
    let latency = &stand.crowd.desk.flights.latency;
    figures.add_latency(["latency_p50_ms", "latency_p99_ms", "latency_max_ms"], latency);
    if let Some(bystanders) = &stand.bystanders {
        let latency = &bystanders.desk.flights.latency;
        figures.add_latency(["bystander_p50_ms", "bystander_p99_ms", "bystander_max_ms"], latency);
    }
    figures.add_load(&used);
    Ok(figures)
}

struct Stand {
    crowd: Crew,
    pace: Pace,
    bystanders: Option<Crew>,
    quiet_pace: Pace,
}

impl Stand {
    fn open(stage: &Stage<'_>, args: &FanoutArgs) -> anyhow::Result<Self> {
        let plan = stage.plan;
        let roll = Roll {
            name: &stage.name,
            subscribers: plan.connections,
            channels: plan.channels,
            payload: plan.payload,
            at_once: plan.at_once,
        };
        let crowd = Crew::gather(&stage.target, &roll, &stage.progress)?;
        let quiet_name = format!("{}:quiet", stage.name);
        let quiet = Roll { name: &quiet_name, subscribers: args.bystanders, channels: 1, ..roll };
        let gather = || Crew::gather(&stage.target, &quiet, &stage.progress);
        Ok(Self {
            crowd,
            pace: plan.rate.map_or(Pace::InFlight(plan.in_flight), Pace::Rate),
            bystanders: (args.bystanders > 0).then(gather).transpose()?,
            quiet_pace: Pace::Rate(args.bystanders_rate),
        })
    }

    fn go_on(&mut self, stage: &Stage<'_>, lasts: Duration) -> anyhow::Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < lasts {
            // Bystanders have an epoll of their own: they do not queue up behind the crowd in ours.
            self.crowd.step(self.pace, if self.bystanders.is_some() { SHORT } else { LONG })?;
            if let Some(bystanders) = &mut self.bystanders {
                bystanders.step(self.quiet_pace, Duration::ZERO)?;
            }
            stage.progress.time(begin.elapsed(), lasts);
        }
        Ok(())
    }

    fn crews(&mut self) -> impl Iterator<Item = &mut Crew> {
        std::iter::once(&mut self.crowd).chain(&mut self.bystanders)
    }
}
