//! `tautline-bench`: what a gateway costs, as a load from beside it sees.
//!
//! Start at [`run`]. A scenario opens connections (`event_loop.rs`, `connection.rs`), lets them talk (`pubsub_load.rs`), checks that
//! everything arrived, and returns figures (`report.rs`); `server.rs` is the gateway that it measures unless another one is named,
//! which may even be none of ours (`protocols/`). The load runs on one thread and reads without parsing (`frames.rs`), so that the
//! gateway is the bottleneck; what has a latency of its own beside it has a thread of its own.

mod api;
mod args;
mod arrivals;
mod bystanders;
mod calls;
mod connection;
mod delivery_tracker;
mod event_loop;
mod fanout;
mod frames;
mod hooks;
mod idle;
mod newcomers;
mod procfs;
mod progress;
mod protocols;
mod pubsub_load;
mod report;
mod requests;
mod scrapes;
mod server;
mod slow;
mod source;
mod storm;
mod wire;

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};
use tautline_process::{log::LogArgs, secret::Secret};

use self::{
    args::{Defaults, Load, OwnServer, Plan, Target},
    procfs::Processes,
    progress::Progress,
    report::{Figures, Report},
    server::{ServeArgs, ServerProcess},
};

// The server of its own is a child process of this very program, and has to use memory as the gateway's binary does.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[allow(unsafe_code)]
// SAFETY: jemalloc reads this symbol, a pointer to text that ends with a zero.
#[unsafe(export_name = "_rjem_malloc_conf")]
#[used]
static SETTINGS: &[u8; 68] = tautline_process::allocator::JEMALLOC_SETTINGS;

/// Before anything is measured: caches, allocators and branch predictors have seen it all once.
const WARM_UP: Duration = Duration::from_secs(1);

/// Measures what a gateway costs: CPU of its process for each unit of work, memory, and latency.
///
/// Everything that should arrive is counted, and a run in which something was lost, doubled or reordered fails. CPU is the
/// figure to compare; rates and latencies belong to the machine, and are the load's own where the server's share of a core is
/// well below 1 while `load_cpu_share` is near it. With `--load-cores` of its own the load never sleeps.
#[derive(Debug, Parser)]
#[command(name = "tautline-bench", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    scenario: Box<Scenario>,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Connections that do nothing: memory each, before and after a burst, and the CPU of their heartbeats
    /// [default: 10000 connections, 1 channel, 10 s]
    Idle(Load),
    /// One publisher, many subscribers [default: 1000 connections in 1 channel, 16 in flight, 5 s]
    Fanout(fanout::FanoutArgs),
    /// Many channels with few subscribers each, published in at random
    /// [default: 10000 connections in 1000 channels, 16 in flight, 5 s]
    Channels(fanout::FanoutArgs),
    /// Calls of a method that answers what it is told [default: 100 connections, 1 in flight each, 5 s]
    Echo(Load),
    /// Calls that a hook takes to a back end (axum), beside the rate of that back end alone
    /// [default: 100 connections, 1 in flight each, 5 s]
    Hooks(Load),
    /// Publications through the HTTP API over kept connections, one or many in a request
    /// [default: 16 connections in 16 channels, 1 in a request, 5 s]
    Api(api::ApiArgs),
    /// Publications and their own replies, with nobody subscribed
    /// [default: 100 connections, each in a channel of its own, 10000 a second in all, 5 s]
    Publish(Load),
    /// Everybody is cut at once and comes back with a ticket, while new clients come, too
    /// [default: 15000 connections in 1 channel, all at once]
    Storm(storm::StormArgs),
    /// Subscribers of a busy channel that stop reading: their cost, the harm to others, and what they get when they wake
    /// [default: 100 connections beside the stalled ones, 500 publications a second, 5 s]
    Slow(slow::SlowArgs),
    /// Run the gateway that the others start for themselves
    Serve(ServeArgs),
    /// Run the back end that `hooks` starts for itself
    BackEnd(hooks::BackEndArgs),
}

/// What a scenario has to do with.
struct RunContext<'a> {
    plan: &'a Plan,
    target: Target,
    /// The gateway's processes, where they are known.
    pid: Option<&'a Processes>,
    progress: Progress,
    /// A name that no other run has, for channels.
    name: String,
    /// A token that a server of its own accepts.
    token: Option<&'a Secret>,
}

impl RunContext<'_> {
    /// The target, for users in place of guests.
    fn with_token(&self) -> Target {
        self.target.clone().bearing(self.token.cloned())
    }
}

fn main() -> ExitCode {
    let program = || {
        let cli = Cli::parse();
        cli.log.start();
        run(&cli.scenario).map(|()| ExitCode::SUCCESS)
    };
    tautline_process::run(program, |_| ExitCode::FAILURE)
}

/// # Errors
/// When the target is not to be loaded, or something was lost.
fn run(scenario: &Scenario) -> anyhow::Result<()> {
    let usual =
        Defaults { connections: 100, channels: 1, in_flight: 1, rate: None, seconds: 5.0, at_once: 256 };
    match scenario {
        Scenario::Serve(args) => server::serve(args),
        Scenario::BackEnd(args) => hooks::serve(args),
        Scenario::Hooks(load) => {
            ensure!(load.target()?.is_none(), "hooks needs a server of its own, which knows its back end");
            let back_end = hooks::BackEndProcess::start(load)?;
            let server = OwnServer { hook: Some(back_end.url.clone()), ..load.own_server() };
            repeat_against("hooks", load, &server, usual, |context| hooks::run(context, &back_end))
        }
        Scenario::Idle(load) => {
            repeat("idle", load, Defaults { connections: 10_000, seconds: 10.0, ..usual }, idle::run)
        }
        Scenario::Fanout(args) => {
            let defaults = Defaults { connections: 1000, in_flight: 16, ..usual };
            repeat("fanout", &args.load, defaults, |context| fanout::run(context, args))
        }
        Scenario::Channels(args) => {
            let defaults = Defaults { connections: 10_000, channels: 1000, in_flight: 16, ..usual };
            repeat("channels", &args.load, defaults, |context| fanout::run(context, args))
        }
        Scenario::Echo(load) => repeat("echo", load, usual, |context| calls::run(context, calls::Ask::Echo)),
        Scenario::Api(args) => {
            let defaults = Defaults { connections: 16, channels: 16, ..usual };
            repeat("api", &args.load, defaults, |context| api::run(context, args))
        }
        Scenario::Publish(load) => {
            let defaults = Defaults { channels: 100, rate: Some(10_000.0), ..usual };
            repeat("publish", load, defaults, |context| calls::run(context, calls::Ask::Publish))
        }
        Scenario::Storm(args) => {
            let defaults = Defaults { connections: 15_000, at_once: usize::MAX, ..usual };
            repeat("storm", &args.load, defaults, |context| storm::run(context, args))
        }
        Scenario::Slow(args) => {
            let defaults = Defaults { rate: Some(500.0), ..usual };
            repeat("slow", &args.load, defaults, |context| slow::run(context, args))
        }
    }
}

/// Runs a scenario as often as it was asked for, each time against a fresh server unless one was named, and reports.
fn repeat(
    scenario: &'static str,
    load: &Load,
    defaults: Defaults,
    run: impl Fn(&RunContext<'_>) -> anyhow::Result<Figures>,
) -> anyhow::Result<()> {
    repeat_against(scenario, load, &load.own_server(), defaults, run)
}

fn repeat_against(
    scenario: &'static str,
    load: &Load,
    server: &OwnServer,
    defaults: Defaults,
    run: impl Fn(&RunContext<'_>) -> anyhow::Result<Figures>,
) -> anyhow::Result<()> {
    ensure!(
        load.protocol().is_ours() || matches!(scenario, "idle" | "fanout" | "echo"),
        "{scenario} is about what only Tautline does: another protocol has idle, fanout and echo"
    );
    let plan = load.plan(defaults)?;
    let named = load.target()?;
    server::raise_open_files();
    let mut report =
        Report { scenario, options: plan.describe().collect::<BTreeMap<_, _>>(), runs: Vec::new() };
    for number in 1..=load.runs() {
        let own = if named.is_none() { Some(ServerProcess::start(server)?) } else { None };
        // Not before: a child inherits where its parent may run.
        server::pin(load.load_cores())?;
        let (target, pids) = match (&named, &own) {
            (Some(named), _) => named.clone(),
            (None, Some(own)) => {
                (Target::parse(&own.url, None, false)?.inside(own.tls.clone()), vec![own.pid()])
            }
            (None, None) => unreachable!("a server of its own was started where none was named"),
        };
        let target = target.sleepless(load.has_own_cores());
        let progress = Progress::new(format!("{scenario} {number}/{}", load.runs()));
        let processes = Processes::of(&pids);
        let pid = processes.as_ref();
        let context = RunContext {
            plan: &plan,
            target,
            pid,
            progress,
            name: unique_name(),
            token: own.as_ref().map(|own| &own.token),
        };
        let figures = run(&context).with_context(|| format!("{scenario}, run {number}"))?;
        ensure!(!figures.0.is_empty(), "{scenario} found nothing out");
        report.runs.push(figures);
    }
    tell(&report, load)
}

fn tell(report: &Report, load: &Load) -> anyhow::Result<()> {
    let json = || serde_json::to_string_pretty(&report.json()).context("cannot write JSON");
    let text = match load.json() {
        Some(None) => json()? + "\n",
        Some(Some(file)) => {
            fs::write(file, json()?).with_context(|| format!("cannot write {}", file.display()))?;
            report.table()
        }
        None => report.table(),
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot print")
}

fn unique_name() -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    format!("bench:{:x}-{:x}", std::process::id(), now.as_micros())
}
