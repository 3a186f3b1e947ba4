//! One measurement: a fresh server, the load beside it, and the figures that it leaves, or what went wrong.

use std::{path::Path, process::Stdio};

use anyhow::{Context as _, Result, ensure};
use tautline_steps::command::Command;

use super::{
    peers::Peer,
    scenarios::{SLUG, Scenario, Slope},
    server_process::ServerProcess,
};
use crate::{
    binary,
    measurements::{self, Figures},
};

/// Small servers have short queues for those who knock.
const AT_ONCE: &str = "64";

/// What one more connection takes, by the slope between few and many.
pub const RESIDENT_BYTES_MORE: &str = "resident_bytes_each_more";

/// # Errors
/// When the server or the load cannot be started, or something was lost on the way.
pub fn measure(root: &Path, peer: &Peer, scenario: &Scenario, kept: &Path, quick: bool) -> Result<Figures> {
    let seconds = scenario.seconds[usize::from(quick)];
    let take = |arguments, seconds| take(root, peer, &Call { arguments, seconds, quick }, kept);
    let mut figures = take(scenario.arguments, seconds)?;
    if let Some(slope) = &scenario.slope {
        let few = take(slope.arguments, "1")?;
        figures.extend(more(&few, &figures, slope));
    }
    Ok(figures)
}

fn more(few: &Figures, many: &Figures, slope: &Slope) -> Option<(String, f64)> {
    let [few, many] = [few, many].map(|figures| figures.get("resident_mib_in_all"));
    let bytes = (many? - few?) * 1024.0 * 1024.0;
    Some((RESIDENT_BYTES_MORE.to_owned(), bytes / slope.connections_between))
}

/// What is asked of the load.
struct Call {
    arguments: &'static str,
    seconds: &'static str,
    quick: bool,
}

fn take(root: &Path, peer: &Peer, call: &Call, kept: &Path) -> Result<Figures> {
    let file = kept.join(format!("{SLUG}-last-run.json"));
    let server = peer.protocol.map(|_| ServerProcess::start(root, peer)).transpose()?;
    let load = load(&binary(root), peer, call, server.as_ref(), &file);
    let mut process = load.process(root);
    let output = process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.with_context(|| format!("starting `{load}`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", reason(&said));
    let figures = measurements::read_report(&file)?;
    let has_arrived = figures.get("deliveries_per_s").is_none_or(|rate| *rate > 0.0);
    ensure!(has_arrived, "nothing was delivered while it was measured");
    Ok(figures)
}

/// The load beside a server.
fn load(binary: &Path, peer: &Peer, call: &Call, server: Option<&ServerProcess>, file: &Path) -> Command {
    let mut more = Vec::new();
    let mut say = |name: &str, value: String| more.extend([name.to_owned(), value]);
    match (peer.protocol, server) {
        (Some(protocol), Some(server)) => {
            say("--url", server.url());
            say("--pid", server.pid().to_string());
            say("--protocol", protocol.to_owned());
        }
        _ => say("--server-cores", "0".to_owned()),
    }
    say("--load-cores", "1".to_owned());
    say("--at-once", AT_ONCE.to_owned());
    say("--seconds", call.seconds.to_owned());
    say("--settle", if call.quick { "2s" } else { "3s" }.to_owned());
    say("--json", file.display().to_string());
    measurements::call(binary, call.arguments, more)
}

/// What went wrong, from the end of what the load said, without its own name and the scenario's.
fn reason(said: &str) -> String {
    let last =
        said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("the load ended without a word");
    last.split_once(", run 1: ").map_or(last, |(_, reason)| reason).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{peers::PEERS, scenarios::SCENARIOS},
        *,
    };

    #[test]
    fn our_own_server_is_started_by_the_load() {
        let call = Call { arguments: SCENARIOS[4].arguments, seconds: "1", quick: true };
        let call = load(Path::new("tautline-bench"), &PEERS[0], &call, None, Path::new("f.json")).to_string();
        assert_eq!(
            call,
            "tautline-bench --log warn echo --connections 100 --in-flight 1 --server-cores 0 --load-cores 1 --at-once 64 \
             --seconds 1 --settle 2s --json f.json"
        );
    }

    #[test]
    fn slope_excludes_memory_before_connections() {
        let slope = Slope { arguments: "", connections_between: 1024.0 };
        let in_all = |mib| Figures::from([("resident_mib_in_all".to_owned(), mib)]);
        let expected = (RESIDENT_BYTES_MORE.to_owned(), 2048.0);
        assert_eq!(more(&in_all(25.0), &in_all(27.0), &slope), Some(expected));
        assert_eq!(more(&Figures::new(), &in_all(27.0), &slope), None);
    }

    #[test]
    fn a_failure_is_told_by_its_reason() {
        let said = "tautline: fanout, run 1: lost: 16 publications did not reach all subscribers\n\n";
        assert_eq!(reason(said), "lost: 16 publications did not reach all subscribers");
        assert_eq!(reason("no such thing"), "no such thing");
    }
}
