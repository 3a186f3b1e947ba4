//! `tautline-chaos` on the command line.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tautline_netem::{Preset, Rules, RulesPatch, StormPlan};
use tautline_process::{
    log,
    units::{parse_bytes, parse_duration},
};

use super::proxy::{CONNECTIONS_MAX, Chaos, loopback};
use super::state::Selector;

/// Stands between clients and a server and makes the network bad: latency, loss, cuts, half-open connections, stalls.
///
/// A client chooses its group by `?chaos=<name>` in the URL it connects to, and faults can be aimed at one group.
#[derive(Debug, Args)]
pub struct ChaosArgs {
    /// Where clients connect: ADDRESS:PORT, or a PORT of this machine
    #[arg(long, value_name = "ADDR", default_value = "8001", value_parser = parse_addr)]
    pub listen: SocketAddr,
    /// The server behind the proxy, HOST:PORT
    #[arg(long, value_name = "HOST:PORT")]
    pub upstream: String,
    /// Opens the HTTP control API there: ADDRESS:PORT, or a PORT of this machine. It has no password
    #[arg(long, value_name = "ADDR", value_parser = parse_addr)]
    pub control: Option<SocketAddr>,
    /// Lets web pages of any origin use the control API
    #[arg(long, requires = "control")]
    pub control_cors: bool,
    /// Repeats the random choices of an earlier run
    #[arg(long)]
    pub seed: Option<u64>,
    /// A network to begin with: perfect, wifi, cellular, subway or satellite. The other flags change it
    #[arg(long, value_name = "NAME", value_parser = parse_preset, default_value = "perfect")]
    pub preset: Preset,
    /// What everything takes to cross, one way, like 80ms
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub latency: Option<Duration>,
    /// Up to this much is added to the latency, like 30ms
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub jitter: Option<Duration>,
    /// What each direction carries in a second, like 64KiB; 0 is no limit
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub rate: Option<usize>,
    /// The probability that a chunk has to be sent again, 0 to 1
    #[arg(long, value_name = "PROBABILITY")]
    pub loss: Option<f64>,
    /// What being sent again costs, like 200ms
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub loss_penalty: Option<Duration>,
    /// What each direction holds before its sender has to wait, like 64KiB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub buffer: Option<usize>,
    /// How many connections it carries at once
    #[arg(long, value_name = "COUNT", default_value_t = CONNECTIONS_MAX)]
    pub max_connections: usize,
    /// Runs a storm of random faults for this long, then heals everything, like 3m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub storm: Option<Duration>,
    /// The longest pause between two faults of a storm, like 1s; the shortest is a tenth of it
    #[arg(long, value_name = "TIME", requires = "storm", default_value = "1s", value_parser = parse_duration)]
    pub fault_interval: Duration,
}

/// Runs the proxy until the process is told to stop.
///
/// # Errors
/// When a rule is out of bounds or a port cannot be opened.
pub async fn run(args: ChaosArgs) -> anyhow::Result<()> {
    let chaos = start(&args).await.context("cannot start the chaos proxy")?;
    log::announce(&ready_line(&chaos, &args.upstream));
    if let Some(lasts) = args.storm {
        let weather = async {
            let every_ms_most = ms(args.fault_interval).max(1);
            let every_ms_least = (every_ms_most / 10).max(1);
            let plan =
                StormPlan { lasts_ms: ms(lasts), every_ms_least, every_ms_most, ..StormPlan::default() };
            let report = chaos.run_storm(chaos.seed(), plan, &Selector::All).await?;
            chaos.heal(&Selector::All)?;
            log::announce(&format!(
                "chaos: the storm is over, {} faults made {} hits",
                report.faults, report.hits
            ));
            anyhow::Ok(())
        };
        tokio::select! {
            over = weather => over.context("cannot make the storm")?,
            stop = tokio::signal::ctrl_c() => return stop.context("cannot wait for Ctrl-C"),
        }
    }
    tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")
}

async fn start(args: &ChaosArgs) -> anyhow::Result<Chaos> {
    let mut builder = Chaos::builder()
        .listen(args.listen)
        .upstream(&args.upstream)
        .rules(args.rules()?)
        .control_cors(args.control_cors)
        .connections_max(args.max_connections);
    if let Some(seed) = args.seed {
        builder = builder.seed(seed);
    }
    if let Some(control) = args.control {
        builder = builder.control(control);
    }
    Ok(builder.start().await?)
}

fn ready_line(chaos: &Chaos, upstream: &str) -> String {
    let control = chaos.control_addr().map(|addr| format!(", control http://{addr}")).unwrap_or_default();
    format!("chaos: {} -> {upstream}{control}, seed {}", chaos.addr(), chaos.seed())
}

impl ChaosArgs {
    fn rules(&self) -> anyhow::Result<Rules> {
        let patch = RulesPatch {
            preset: Some(self.preset),
            latency_ms: self.latency.map(ms),
            jitter_ms: self.jitter.map(ms),
            rate_bytes_per_s: self.rate.map(|rate| rate as u64),
            loss: self.loss,
            loss_penalty_ms: self.loss_penalty.map(ms),
            buffer_bytes_max: self.buffer,
        };
        Ok(patch.over(&Rules::default())?)
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A port alone is one of this machine: to be reached from outside takes an address.
fn parse_addr(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text);
    if let Ok(port) = port.parse() {
        return Ok(loopback(port));
    }
    text.parse().map_err(|_| format!("{text:?} is no address; write 127.0.0.1:8001, or 8001 alone"))
}

fn parse_preset(name: &str) -> Result<Preset, String> {
    let known = "perfect, wifi, cellular, subway or satellite";
    serde_json::from_value(name.into()).map_err(|_| format!("there is no preset {name:?}; take {known}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        chaos: ChaosArgs,
    }

    fn parse(flags: &str) -> Result<ChaosArgs, clap::Error> {
        let words = std::iter::once("chaos").chain(flags.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.chaos)
    }

    #[test]
    fn flags_change_a_preset() {
        let args = parse("--upstream localhost:8000 --preset subway --latency 80ms --rate 64KiB").unwrap();
        let rules = Rules { latency_ms: 80, rate_bytes_per_s: 65_536, ..Rules::subway() };
        assert_eq!(args.rules().unwrap(), rules);
    }

    #[test]
    fn a_port_alone_is_one_of_this_machine() {
        let args = parse("--upstream x:1 --listen 9000 --control :9001").unwrap();
        assert_eq!(args.listen.to_string(), "127.0.0.1:9000");
        assert_eq!(args.control.unwrap().to_string(), "127.0.0.1:9001");
        let open = parse("--upstream x:1 --listen 0.0.0.0:9000").unwrap();
        assert_eq!((open.listen.to_string(), open.control), ("0.0.0.0:9000".into(), None));
    }

    #[test]
    fn invalid_chaos_flags_are_refused_in_words() {
        let refused = |flags: &str| parse(flags).unwrap_err().to_string();
        assert!(refused("--upstream x:1 --preset train").contains("there is no preset"));
        assert!(refused("--upstream x:1 --latency 80").contains("write whole numbers and ms"));
        assert!(refused("--upstream x:1 --listen nowhere").contains("is no address"));
        assert!(refused("--upstream x:1 --control-cors").contains("--control"));
        let lossy = parse("--upstream x:1 --loss 5").unwrap().rules().unwrap_err().to_string();
        assert!(lossy.contains("probability from 0 to 1"), "{lossy}");
    }
}
