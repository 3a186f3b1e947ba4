//! All clients are cut at once and resume with a ticket, while new clients connect.
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
    RunContext,
    args::Load,
    arrivals::Arrivals,
    connection::{Connection, Event, Observer, SubscribedChannel},
    event_loop::{ConnectSpec, EventLoop},
    newcomers::Newcomers,
    procfs::Window,
    pubsub_load::{LoadSpec, PubSubLoad},
    report::Figures,
};

/// How many are dialled before the loop looks at its sockets again.
const DIALS_PER_POLL: usize = 32;
const TIMEOUT: Duration = Duration::from_secs(60);
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

pub(super) fn run(context: &RunContext<'_>, args: &StormArgs) -> anyhow::Result<Figures> {
    let plan = context.plan;
    // The publisher stays, and has nobody to wait for.
    let spec = LoadSpec {
        name: &context.name,
        subscribers: 0,
        channels: plan.channels,
        payload: plan.payload,
        at_once: 1,
    };
    let visitors = if args.tokens { context.with_token() } else { context.target.clone() };
    let mut publisher = PubSubLoad::open(&context.target, &spec, &context.progress)?;
    let reads: Vec<_> =
        (0..plan.channels).map(|number| SubscribedChannel::new(number, publisher.channel(number))).collect();

    let mut before = EventLoop::new(&context.target)?;
    let mut tickets = Tickets::default();
    let window = Window::open(context.pid)?;
    before.open(plan.connections, 256, &context.progress, &mut tickets, |index| {
        let channel = index % plan.channels;
        ConnectSpec {
            first_messages: (visitors.hello() + "\n" + &publisher.subscription(channel)).into(),
            answers: 2,
            reads: Some(Rc::clone(&reads[channel])),
        }
    })?;
    let opened = window.close()?;

    let window = Window::open(context.pid)?;
    let stands: Vec<_> = before.connections.iter().map(|connection| connection.offset).collect();
    before.connections.iter_mut().for_each(Connection::cut);
    drop(before);
    for _ in 0..args.behind {
        (0..plan.channels).try_for_each(|channel| publisher.publish_in(channel, Instant::now()))?;
        publisher.drain()?;
    }
    let begin = Instant::now();
    while begin.elapsed() < args.away {
        publisher.event_loop.poll(&mut publisher.tracker, SHORT)?;
    }
    let cut = window.close()?;

    let newcomers = Newcomers::begin(&context.target);
    let mut storm = Storm::begin(context)?;
    let window = Window::open(context.pid)?;
    while storm.back.online < plan.connections {
        storm.dial(plan.connections, plan.at_once, |index| {
            let channel = index % plan.channels;
            Ok(ConnectSpec {
                first_messages: tickets.resume(index, publisher.channel(channel), stands[index])?.into(),
                answers: 1,
                reads: Some(Rc::clone(&reads[channel])),
            })
        })?;
        storm.poll(context, plan.connections)?;
    }
    let newcomers = newcomers.end()?;
    let used = window.close()?;
    let behind = args.behind as u64;
    storm.event_loop.poll_until(
        &mut storm.back,
        "what was published while they were away",
        |event_loop, _| {
            event_loop
                .connections
                .iter()
                .all(|connection| connection.offset == stands[connection.index] + behind)
        },
    )?;

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

/// The first connection: what each client carries away.
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

impl Observer for Tickets {
    fn on_event(&mut self, connection: &mut Connection, event: Event<'_>, _: Instant) -> anyhow::Result<()> {
        if let Event::Online { ticket, epoch } = event {
            if self.tickets.len() <= connection.index {
                self.tickets.resize(connection.index + 1, "".into());
            }
            self.tickets[connection.index] = ticket.context("a welcome without a ticket")?.into();
            if self.epoch.is_empty() {
                epoch.context("a subscription without an epoch")?.clone_into(&mut self.epoch);
            }
        }
        Ok(())
    }
}

/// The clients that come back.
struct Storm {
    event_loop: EventLoop,
    back: Arrivals,
    begin: Instant,
}

impl Storm {
    fn begin(context: &RunContext<'_>) -> anyhow::Result<Self> {
        context.progress.begin("all come back", context.plan.connections);
        let begin = Instant::now();
        Ok(Self { event_loop: EventLoop::new(&context.target)?, back: Arrivals::new(begin), begin })
    }

    fn dial(
        &mut self,
        count: usize,
        at_once: usize,
        connect_spec: impl Fn(usize) -> anyhow::Result<ConnectSpec>,
    ) -> anyhow::Result<()> {
        for _ in 0..DIALS_PER_POLL {
            let index = self.event_loop.connections.len();
            if index == count || index - self.back.online >= at_once {
                break;
            }
            self.event_loop.dial(connect_spec(index)?)?;
        }
        Ok(())
    }

    fn poll(&mut self, context: &RunContext<'_>, count: usize) -> anyhow::Result<()> {
        let is_dialling = self.event_loop.connections.len() < count;
        self.event_loop.poll(&mut self.back, if is_dialling { Duration::ZERO } else { SHORT })?;
        context.progress.at(self.back.online);
        ensure!(
            self.begin.elapsed() < TIMEOUT,
            "only {} of {count} came back in {TIMEOUT:?}",
            self.back.online
        );
        Ok(())
    }
}
