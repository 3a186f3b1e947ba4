//! `tautline-demo`: a gateway, a bad network before it and a page with two phones, all behind one port.
//!
//! Start at [`run`]. The public port belongs to the chaos proxy; the gateway listens behind it on a port of its own. The
//! phones name their group in the URL (`/connect?chaos=phone-a`), and the page's switches act on that group alone. The
//! page itself travels in the group `default`, which nothing here ever hurts.

mod routes;
mod switch;
mod tally;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use clap::Parser;
use tautline_chaos::{Chaos, Network};
use tautline_gateway::{Gateway, Hosts};
use tautline_hub::{Access, ChannelRule, PresenceMode, Retention, RulePattern};
use tautline_process::{log, log::LogArgs, signals::Signals, socket};
use tautline_protocol::Limits;
use tokio::net::TcpListener;
use tracing::info;

use self::{routes::Stage, tally::Tally};

/// Runs the demo: two phones in a web page, a gateway, and a bad network between them, on one port.
#[derive(Debug, Parser)]
#[command(name = "tautline-demo", version)]
struct Cli {
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8000", value_parser = socket::parse_listen)]
    listen: SocketAddr,
    /// The folder of the built page (`npm run build` in examples/demo makes it)
    #[arg(long, value_name = "DIR", default_value = "examples/demo/dist")]
    page: PathBuf,
    /// Repeats the random choices that the network made in an earlier run
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    #[command(flatten)]
    log: LogArgs,
}

/// A client that heard nothing for this long asks. Far shorter than the protocol's own 25 s, because people are watching.
const PING_MS: u64 = 3_000;
/// And gives up when it has no answer by then.
const PONG_MS: u64 = 2_000;
/// Enough for two phones at the page's highest rate, of which one is away for several minutes.
const LOG_COUNT: usize = 50_000;
/// The same in bytes.
const LOG_BYTES: usize = 32 * 1024 * 1024;

/// How long a drain of the demo takes: clients are told to come back within this time,
const DRAIN_SPREAD: Duration = Duration::from_millis(2_000);
/// and after this one the gateway lets them in again, as if it had been started anew.
const DRAIN_LASTS: Duration = Duration::from_millis(1_500);

fn main() -> ExitCode {
    let program = || {
        let cli = Cli::parse();
        cli.log.start();
        tautline_process::runtime()?.block_on(run(cli))?;
        Ok(ExitCode::SUCCESS)
    };
    tautline_process::run(program, |_| ExitCode::FAILURE)
}

/// Runs until a signal comes.
///
/// # Errors
/// When there is no page, a port cannot be opened, or the gateway stops.
async fn run(args: Cli) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    ensure!(
        args.page.join("index.html").is_file(),
        "no page in {}: run `npm ci && npm run build` in sdk/ and then in examples/demo/, or name another folder with --page",
        args.page.display()
    );
    let tally = Arc::new(Tally::default());
    // Open to everybody, so for this machine alone, or for its network where it was told to listen there.
    let hosts = if args.listen.ip().is_loopback() { Hosts::Loopback } else { Hosts::Network };
    let gateway = gateway(&tally, hosts)?;
    let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot open a port for the gateway")?;
    let upstream = listener.local_addr().context("cannot tell the gateway's port")?;
    let chaos = chaos(&args, upstream).await.context("cannot start the network before the gateway")?;

    let network: Network = Network::clone(&chaos);
    let stage = routes::router(Stage { gateway: gateway.clone(), network, tally }, &args.page);
    let router = gateway.router().merge(gateway.guarded(stage));
    announce(chaos.addr(), chaos.seed());
    tokio::select! {
        served = axum::serve(listener, router) => served.context("the gateway stopped"),
        ending = signals.next() => {
            info!("{}: the demo ends", ending.name());
            Ok(())
        }
    }
}

/// Open to every guest, and quick to notice a dead connection.
fn gateway(tally: &Arc<Tally>, hosts: Hosts) -> anyhow::Result<Gateway> {
    let tally = Arc::clone(tally);
    let everything = ChannelRule {
        subscribe: Access::Any,
        publish: Access::Any,
        presence: PresenceMode::Events,
        retention: Retention { count: LOG_COUNT, bytes: LOG_BYTES, ..Retention::default() },
        ..ChannelRule::closed(RulePattern::parse("*").expect("a star is a pattern"))
    };
    Gateway::builder()
        .node("demo")
        .guests(true)
        .hosts(hosts)
        .limits(Limits { ping_ms: PING_MS, pong_ms: PONG_MS, ..Limits::default() })
        .rules(vec![everything])
        .call("echo", move |call| {
            tally.executed(&call.key.session(), call.data.get());
            async move { Ok(call.data) }
        })
        .build()
        .context("cannot build the gateway")
}

async fn chaos(args: &Cli, upstream: SocketAddr) -> anyhow::Result<Chaos> {
    let mut builder = Chaos::builder().listen(args.listen).upstream(upstream.to_string());
    if let Some(seed) = args.seed {
        builder = builder.seed(seed);
    }
    Ok(builder.start().await?)
}

/// The one line on stdout, once everything answers.
fn announce(addr: SocketAddr, seed: u64) {
    info!(seed, "the network's random choices can be repeated with --seed");
    log::announce(&format!("open http://{addr}"));
}
