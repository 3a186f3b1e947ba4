//! Other servers, measured by the same load in the same run: `cargo xtask bench --compare`.
//!
//! Start at [`run`]. [`peers`] says how each is installed, started and asked for its version, [`running`] is one that runs,
//! [`standing`] what was found out, and [`section`] and [`chart`] how it is shown. Each server is fresh for each figure, on core 0;
//! the load is on core 1. One that cannot be had, or that loses something, is told of and stops nobody else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};

use self::{
    peers::{PEERS, Peer},
    running::Running,
};
use crate::{
    command::Command,
    demo,
    step::{self, Verdict},
};

mod peers;
mod running;
mod show;
mod standing;

pub use self::{
    show::{SLUG, chart, section},
    standing::{Standing, read},
};

/// One call of `tautline bench`, for each server.
pub struct Scenario {
    pub name: &'static str,
    arguments: &'static str,
    /// How long it is measured, and how long where it has to be quick.
    seconds: [&'static str; 2],
}

const fn scenario(name: &'static str, arguments: &'static str) -> Scenario {
    Scenario { name, arguments, seconds: ["3", "1"] }
}

/// In the order of the columns.
pub static SCENARIOS: [Scenario; 5] = [
    scenario("idle", "idle --connections 10000"),
    scenario("fanout", "fanout --connections 1000 --in-flight 16"),
    scenario("fanout-one", "fanout --connections 1000 --in-flight 1"),
    // A slow server hands out 80,000 deliveries at once, then none for a while: a short look would see either.
    Scenario { seconds: ["6", "4"], ..scenario("fanout-10000", "fanout --connections 10000 --in-flight 8") },
    scenario("echo", "echo --connections 100 --in-flight 1"),
];

/// Small servers have short queues for those who knock.
const AT_ONCE: &str = "64";

/// Prints what there is.
pub fn list() {
    let names: Vec<_> = PEERS.iter().map(|peer| peer.name).collect();
    println!("{:20} {}: idle, fanout and echo (--compare)", SLUG, names.join(", "));
}

/// Measures every server there is, and keeps what was found out in a file each.
///
/// # Errors
/// When something cannot be written, or the load cannot be started.
pub fn run(root: &Path, kept: &Path, runs: u32, quick: bool) -> Result<()> {
    fs::create_dir_all(kept).with_context(|| format!("making {}", kept.display()))?;
    let mut all: Vec<(&Peer, Standing)> = PEERS.iter().map(|peer| (peer, provide(root, peer))).collect();
    // Everybody in turn, so that a machine that grows tired does so for all.
    for run in 1..=runs {
        for (peer, standing) in &mut all {
            for scenario in SCENARIOS.iter().filter(|it| peer.has_echo || it.name != "echo") {
                if standing.missing.is_some() {
                    continue;
                }
                println!("→ {}: {} ({run} of {runs})", peer.name, scenario.name);
                match measure(root, peer, scenario, kept, quick) {
                    Ok(figures) => standing.add(scenario.name, figures),
                    Err(error) => {
                        println!("  {error:#}");
                        standing.fail(scenario.name, format!("{error:#}"));
                    }
                }
            }
            standing.write(kept)?;
        }
    }
    Ok(())
}

/// Sees to it that a server is there, or says why not.
fn provide(root: &Path, peer: &'static Peer) -> Standing {
    let mut missing = None;
    let outcome = step::run(root, peer.slug, &format!("looking for {}", peer.name), |live, log| {
        if let Err(error) = peer.provide(root, live, log) {
            missing =
                Some(format!("{error:#}").lines().next().unwrap_or("it cannot be installed").to_owned());
        }
        Ok(())
    });
    if outcome.verdict == Verdict::Failed {
        missing.get_or_insert_with(|| "it cannot be installed".to_owned());
    }
    if let Some(why) = &missing {
        println!("  not there: {why}");
    }
    let version = if missing.is_none() { (peer.version)(root).unwrap_or_default() } else { String::new() };
    Standing::new(peer.slug, peer.name, version, missing)
}

fn measure(
    root: &Path,
    peer: &Peer,
    scenario: &Scenario,
    kept: &Path,
    quick: bool,
) -> Result<standing::Figures> {
    let file = kept.join(format!("{SLUG}-last-run.json"));
    let running = peer.dialect.map(|_| Running::start(root, peer)).transpose()?;
    let load = load(&demo::binary(root), peer, scenario, running.as_ref(), &file, quick);
    let mut process = load.process(root);
    let output = process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.with_context(|| format!("starting `{load}`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", reason(&said));
    let figures = standing::read_run(&file)?;
    let has_arrived = figures.get("deliveries_per_s").is_none_or(|rate| *rate > 0.0);
    ensure!(has_arrived, "nothing was delivered while it was measured");
    Ok(figures)
}

/// The load, as a person could type it.
fn load(
    binary: &Path,
    peer: &Peer,
    scenario: &Scenario,
    running: Option<&Running>,
    file: &Path,
    quick: bool,
) -> Command {
    let (seconds, settle) = if quick { (scenario.seconds[1], "2s") } else { (scenario.seconds[0], "3s") };
    let words = ["--log", "warn", "bench"].into_iter().chain(scenario.arguments.split(' '));
    let mut words: Vec<String> = words.map(str::to_owned).collect();
    let mut say = |name: &str, value: String| words.extend([name.to_owned(), value]);
    match (peer.dialect, running) {
        (Some(dialect), Some(running)) => {
            say("--url", running.url());
            say("--pid", running.pid().to_string());
            say("--dialect", dialect.to_owned());
        }
        _ => say("--server-cores", "0".to_owned()),
    }
    say("--load-cores", "1".to_owned());
    say("--at-once", AT_ONCE.to_owned());
    say("--seconds", seconds.to_owned());
    say("--settle", settle.to_owned());
    say("--json", PathBuf::from(file).display().to_string());
    Command::new(&binary.to_string_lossy(), words)
}

/// What went wrong, from the end of what the load said, without its own name and the scenario's.
fn reason(said: &str) -> String {
    let last =
        said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("the load ended without a word");
    last.split_once(", run 1: ").map_or(last, |(_, reason)| reason).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_server_is_started_by_the_load() {
        let ours = &PEERS[0];
        let call =
            load(Path::new("tautline"), ours, &SCENARIOS[4], None, Path::new("f.json"), true).to_string();
        assert_eq!(
            call,
            "tautline --log warn bench echo --connections 100 --in-flight 1 --server-cores 0 --load-cores 1 --at-once 64 \
             --seconds 1 --settle 2s --json f.json"
        );
    }

    #[test]
    fn a_failure_is_told_by_its_reason() {
        let said = "tautline: fanout, run 1: lost: 16 publications did not reach all subscribers\n\n";
        assert_eq!(reason(said), "lost: 16 publications did not reach all subscribers");
        assert_eq!(reason("no such thing"), "no such thing");
    }
}
