//! Other servers, measured by the same load in the same run: `cargo xtask bench --compare`.
//!
//! Start at [`run`]. [`selection`] says who is measured, [`peers`] how each is installed, started and asked for its version,
//! [`server_process`] is one that runs, [`load`] one measurement, [`peer_results`] what was found out; [`section`] and [`chart`]
//! are how it is shown, [`columns`] and [`uws`] what stands in its tables. Each server is fresh for each figure, on core 0; the load is on core 1. One that cannot be had, or that
//! loses something, is told of and stops nobody else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tautline_steps::step::{self, Verdict};

use self::{
    peers::{PEERS, Peer},
    scenarios::{SCENARIOS, Scenario},
};
use super::measurements::Figures;

mod columns;
mod load;
mod peer_results;
mod peers;
mod render;
mod scenarios;
mod selection;
mod server_process;
mod uws;

pub use self::{
    peer_results::PeerResults,
    render::{chart, section},
    scenarios::SLUG,
    selection::Selection,
};

/// Prints what there is.
pub fn list() {
    let names: Vec<_> = PEERS.iter().map(|peer| peer.name).collect();
    println!("{:20} {} (--compare, --only)", SLUG, names.join(", "));
    for scenario in &SCENARIOS {
        println!("{:20} … {}: tautline-bench {}", SLUG, scenario.name, scenario.arguments);
    }
}

/// All that is kept, in the order of the rows.
///
/// # Errors
/// When a file is there and cannot be read.
pub fn read(kept: &Path) -> Result<Vec<PeerResults>> {
    peer_results::read(&folder(kept))
}

fn folder(kept: &Path) -> PathBuf {
    kept.join(SLUG)
}

/// Measures every server that was chosen and is there, and keeps what was found out in a file each.
///
/// # Errors
/// When something cannot be written, or the load cannot be started.
pub fn run(root: &Path, kept: &Path, selection: &Selection, runs: u32, quick: bool) -> Result<()> {
    let kept = folder(kept);
    fs::create_dir_all(&kept).with_context(|| format!("making {}", kept.display()))?;
    let mut all: Vec<(&Peer, PeerResults)> =
        selection.peers.iter().map(|peer| (*peer, provide(root, &kept, peer))).collect();
    // Who is not there is told of, too.
    all.iter().try_for_each(|(_, results)| results.write(&kept))?;
    for run in 1..=runs {
        // All servers in one scenario, then in the next: what is compared stands as near in time as it can.
        for scenario in &selection.scenarios {
            println!("→ {} ({run} of {runs})", scenario.name);
            if run == 1 {
                all.iter_mut().for_each(|(_, results)| results.forget(scenario.name));
            }
            // There and back again: a machine that grows tired, or wakes, does no server good over all runs.
            let is_back = run.is_multiple_of(2);
            take_turns(&mut all, scenario, is_back, |peer| {
                println!("  {}", peer.name);
                let outcome = load::measure(root, peer, scenario, &kept, quick);
                outcome.inspect_err(|error| println!("  {error:#}"))
            });
            all.iter().try_for_each(|(_, results)| results.write(&kept))?;
        }
    }
    Ok(())
}

/// Measures everybody once, from the first row to the last or back, and notes beside each what we needed in the same run.
fn take_turns(
    all: &mut [(&Peer, PeerResults)],
    scenario: &Scenario,
    is_back: bool,
    measure: impl FnMut(&Peer) -> Result<Figures>,
) {
    let is_there =
        |(peer, results): &&mut (&Peer, PeerResults)| results.missing.is_none() && peer.takes(scenario);
    let mut there: Vec<_> = all.iter_mut().filter(is_there).collect();
    if is_back {
        there.reverse();
    }
    let outcomes: Vec<_> = there.iter().map(|(peer, _)| *peer).map(measure).collect();
    let ours = there.iter().position(|(peer, _)| peer.is_ours());
    let ours = ours.and_then(|index| outcomes[index].as_ref().ok()).cloned();
    for ((_, results), outcome) in there.into_iter().zip(outcomes) {
        results.add(scenario.name, outcome, ours.clone());
    }
}

/// Sees to it that a server is there, or says why not. What is kept of the same version stays.
fn provide(root: &Path, kept: &Path, peer: &'static Peer) -> PeerResults {
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
    let version = if missing.is_none() { (peer.version)(root) } else { None };
    if version.is_none() {
        // As a package that leaves out what this kind of machine cannot run.
        missing.get_or_insert_with(|| "it is installed, and does not say its version".to_owned());
    }
    if let Some(why) = &missing {
        println!("  not there: {why}");
    }
    let version = version.unwrap_or_default();
    // A file that cannot be read is of another time, and is written anew.
    let earlier = PeerResults::read(kept, peer).ok().flatten();
    let is_same = |earlier: &PeerResults| (&earlier.version, &earlier.missing) == (&version, &None);
    earlier
        .filter(|earlier| missing.is_none() && is_same(earlier))
        .unwrap_or_else(|| PeerResults::new(peer.slug, peer.name, version.clone(), missing.clone()))
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    fn everybody() -> Vec<(&'static Peer, PeerResults)> {
        let named = |peer: &'static Peer| {
            let missing = (peer.name == "tornado").then(|| "no pip".to_owned());
            (peer, PeerResults::new(peer.slug, peer.name, String::new(), missing))
        };
        PEERS.iter().map(named).collect()
    }

    #[test]
    fn servers_alternate_order_and_pair_with_ours() {
        let mut all = everybody();
        let mut order = Vec::new();
        for (is_back, cost) in [(false, 1.0), (true, 3.0)] {
            take_turns(&mut all, &SCENARIOS[4], is_back, |peer| {
                order.push(peer.name);
                let cost = if peer.is_ours() { cost } else { 2.0 * cost };
                Ok(Figures::from([("cpu".to_owned(), cost)]))
            });
        }
        assert_eq!(order[..3], ["Tautline", "uWebSockets", "NATS"]);
        assert_eq!(order[order.len() - 2..], ["uWebSockets", "Tautline"]);
        // Tornado is not there, and nchan has no echo.
        assert_eq!(order.len(), 2 * (PEERS.len() - 2));
        assert_eq!(all[1].1.pairs("echo", "cpu"), [(2.0, 1.0), (6.0, 3.0)]);
    }

    #[test]
    fn our_failure_leaves_others_unpaired() {
        let mut all = everybody();
        take_turns(&mut all, &SCENARIOS[4], false, |peer| {
            if peer.is_ours() {
                bail!("lost: one");
            }
            Ok(Figures::from([("cpu".to_owned(), 2.0)]))
        });
        assert!(all[1].1.figure("echo", "cpu").is_some());
        assert_eq!(all[1].1.pairs("echo", "cpu"), []);
        assert_eq!(all[0].1.failures().count(), 1);
    }
}
