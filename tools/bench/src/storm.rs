//! Everybody is cut at once and comes back with a ticket, while new clients knock at the same door.
//!
//! Start at [`run`].

use std::{
    rc::Rc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;

use super::{
    Stage,
    args::Load,
    arrivals::Arrivals,
    crew::{Crew, Roll},
    fleet::{Fleet, Visit},
    line::{Heard, Line, Reads, Scene},
    meter::Window,
    newcomers::Newcomers,
    report::Figures,
};

/// How many are dialled before the loop looks at its sockets again.
const DIALS_A_TURN: usize = 32;
const PATIENCE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(1);

/// What only this scenario knows of.
#[derive(Clone, Debug, Args)]
pub struct StormArgs {
    #[command(flatten)]
    pub(super) load: Load,
    /// How long everybody is away
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = tautline_process::units::parse_duration)]
    away: Duration,
    /// Publications that each channel has while they are
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    behind: usize,
    /// Everybody comes with a token (JWT) the first time, in place of as a guest. A server of --url has --token for that
    #[arg(long, conflicts_with = "url")]
    tokens: bool,
}

pub(super) fn run(stage: &Stage<'_>, args: &StormArgs) -> anyhow::Result<Figures> {
    let plan = stage.plan;
    // The publisher stays, and has nobody to wait for.
    let roll = Roll {
        name: &stage.name,
        subscribers: 0,
        channels: plan.channels,
        payload: plan.payload,
        at_once: 1,
    };
    let visitors = if args.tokens { stage.with_token() } else { stage.target.clone() };
    let mut publisher = Crew::gather(&stage.target, &roll, &stage.progress)?;
    let reads: Vec<_> =
        (0..plan.channels).map(|number| Reads::new(number, publisher.channel(number))).collect();

    let mut before = Fleet::new(&stage.target)?;
    let mut tickets = Tickets::default();
    let window = Window::open(stage.pid)?;
    before.open(plan.connections, 256, &stage.progress, &mut tickets, |index| {
        let channel = index % plan.channels;
        Visit {
            words: (visitors.hello() + "\n" + &publisher.subscription(channel)).into(),
            answers: 2,
            reads: Some(Rc::clone(&reads[channel])),
        }
    })?;
    let opened = window.close()?;

    let window = Window::open(stage.pid)?;
    let stands: Vec<_> = before.lines.iter().map(|line| line.offset).collect();
    before.lines.iter_mut().for_each(Line::cut);
    drop(before);
    for _ in 0..args.behind {
        (0..plan.channels).try_for_each(|channel| publisher.publish_in(channel, Instant::now()))?;
        publisher.land()?;
    }
    let begin = Instant::now();
    while begin.elapsed() < args.away {
        publisher.fleet.turn(&mut publisher.desk, SHORT)?;
    }
    let cut = window.close()?;

    let newcomers = Newcomers::begin(&stage.target);
    let mut storm = Storm::begin(stage)?;
    let window = Window::open(stage.pid)?;
    while storm.back.online < plan.connections {
        storm.dial(plan.connections, plan.at_once, |index| {
            let channel = index % plan.channels;
            Ok(Visit {
                words: tickets.resume(index, publisher.channel(channel), stands[index])?.into(),
                answers: 1,
                reads: Some(Rc::clone(&reads[channel])),
            })
        })?;
        storm.turn(stage, plan.connections)?;
    }
    let newcomers = newcomers.end()?;
    let used = window.close()?;
    let behind = args.behind as u64;
    storm.fleet.until(&mut storm.back, "what was published while they were away", |fleet, _| {
        fleet.lines.iter().all(|line| line.offset == stands[line.index] + behind)
    })?;

    let connections = plan.connections as f64;
    let mut figures = Figures::default();
    if let (Some(opened), Some(cut), Some(resumed)) = (opened.server, cut.server, used.server) {
        let others = newcomers.online as f64;
        figures.add("opening_cpu_us_each", opened.as_secs_f64() * 1e6 / connections);
        figures.add("cut_cpu_us_each", cut.as_secs_f64() * 1e6 / connections);
        figures.add("resume_cpu_us_each", resumed.as_secs_f64() * 1e6 / (connections + others));
    }
    figures.add("all_online_s", storm.back.last.context("nobody came back")?.as_secs_f64());
    figures.add_latency(["back_p50_ms", "back_p99_ms", "back_max_ms"], &storm.back.waited);
    figures.add("newcomers", newcomers.online as f64);
    figures.add_latency(["newcomer_p50_ms", "newcomer_p99_ms", "newcomer_max_ms"], &newcomers.waited);
    figures.add_load(&used);
    Ok(figures)
}

/// The first visit: what each client carries away.
#[derive(Default)]
struct Tickets {
    tickets: Vec<Box<str>>,
    epoch: String,
}

impl Tickets {
    fn resume(&self, index: usize, channel: &str, offset: u64) -> anyhow::Result<String> {
        let attempt = SystemTime::UNIX_EPOCH.elapsed().context("the clock stands before 1970")?.as_millis();
        let cursor = json!({ "epoch": self.epoch, "offset": offset });
        let resume = json!({
            "ticket": self.tickets[index],
            "attempt": u64::try_from(attempt).context("the clock stands far ahead")?,
            "seen": 1,
            "cursors": { channel: cursor },
        });
        Ok(json!({ "hello": { "v": 1, "resume": resume } }).to_string())
    }
}

impl Scene for Tickets {
    fn hear(&mut self, line: &mut Line, heard: Heard<'_>, _: Instant) -> anyhow::Result<()> {
        if let Heard::Online { ticket, epoch } = heard {
            if self.tickets.len() <= line.index {
                self.tickets.resize(line.index + 1, "".into());
            }
            self.tickets[line.index] = ticket.context("a welcome without a ticket")?.into();
            if self.epoch.is_empty() {
                epoch.context("a subscription without an epoch")?.clone_into(&mut self.epoch);
            }
        }
        Ok(())
    }
}

/// Who comes back.
struct Storm {
    fleet: Fleet,
    back: Arrivals,
    begin: Instant,
}

impl Storm {
    fn begin(stage: &Stage<'_>) -> anyhow::Result<Self> {
        stage.progress.begin("all come back", stage.plan.connections);
        let begin = Instant::now();
        Ok(Self { fleet: Fleet::new(&stage.target)?, back: Arrivals::new(begin), begin })
    }

    fn dial(
        &mut self,
        count: usize,
        at_once: usize,
        visit: impl Fn(usize) -> anyhow::Result<Visit>,
    ) -> anyhow::Result<()> {
        for _ in 0..DIALS_A_TURN {
            let index = self.fleet.lines.len();
            if index == count || index - self.back.online >= at_once {
                break;
            }
            self.fleet.dial(visit(index)?)?;
        }
        Ok(())
    }

    fn turn(&mut self, stage: &Stage<'_>, count: usize) -> anyhow::Result<()> {
        let is_dialling = self.fleet.lines.len() < count;
        self.fleet.turn(&mut self.back, if is_dialling { Duration::ZERO } else { SHORT })?;
        stage.progress.at(self.back.online);
        ensure!(
            self.begin.elapsed() < PATIENCE,
            "only {} of {count} came back in {PATIENCE:?}",
            self.back.online
        );
        Ok(())
    }
}
