//! What was found out about one server: figures of each run, what went wrong, and why it is not there if it is not.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::peers::{PEERS, Peer};
use crate::measurements::{Figures, Measured};

/// A run in which nothing was lost.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Run {
    figures: Figures,
    /// Ours in the same run, a few minutes away at most: a machine wanders by more than servers differ. None where that failed.
    ours: Option<Figures>,
}

/// All runs of a scenario.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Runs {
    done: Vec<Run>,
    failures: Vec<String>,
}

/// One server, as it is kept in a file.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PeerResults {
    slug: String,
    pub name: String,
    pub version: String,
    pub missing: Option<String>,
    scenarios: BTreeMap<String, Runs>,
}

impl PeerResults {
    pub fn new(slug: &str, name: &str, version: String, missing: Option<String>) -> Self {
        let scenarios = BTreeMap::new();
        Self { slug: slug.to_owned(), name: name.to_owned(), version, missing, scenarios }
    }

    /// What is kept of a server from earlier, if anything is.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub fn read(kept: &Path, peer: &Peer) -> Result<Option<Self>> {
        let file = kept.join(peer.slug).with_extension("json");
        let Ok(text) = fs::read_to_string(&file) else { return Ok(None) };
        serde_json::from_str(&text).map(Some).with_context(|| format!("reading {}", file.display()))
    }

    pub fn write(&self, kept: &Path) -> Result<()> {
        let file = kept.join(&self.slug).with_extension("json");
        let text = serde_json::to_string_pretty(self).context("writing JSON")?;
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
    }

    /// Before a scenario is measured anew.
    pub fn forget(&mut self, scenario: &str) {
        self.scenarios.remove(scenario);
    }

    /// What came of a run, and our own figures in it.
    pub fn add(&mut self, scenario: &str, outcome: Result<Figures>, ours: Option<Figures>) {
        let runs = self.scenarios.entry(scenario.to_owned()).or_default();
        match outcome {
            Ok(figures) => runs.done.push(Run { figures, ours }),
            Err(error) => runs.failures.push(format!("{error:#}")),
        }
    }

    fn done(&self, scenario: &str) -> &[Run] {
        self.scenarios.get(scenario).map_or(&[], |runs| &runs.done)
    }

    /// A figure over the runs that had one.
    pub fn figure(&self, scenario: &str, name: &str) -> Option<Measured> {
        Measured::of(self.done(scenario).iter().filter_map(|run| run.figures.get(name).copied()))
    }

    /// A figure of theirs and of ours, run by run.
    pub fn pairs(&self, scenario: &str, name: &str) -> Vec<(f64, f64)> {
        let pair = |run: &Run| Some((*run.figures.get(name)?, *run.ours.as_ref()?.get(name)?));
        self.done(scenario).iter().filter_map(pair).collect()
    }

    /// How often each scenario that has figures was measured.
    pub fn runs(&self) -> impl Iterator<Item = usize> {
        self.scenarios.values().map(|runs| runs.done.len()).filter(|count| *count > 0)
    }

    /// Scenarios that failed, with how many runs did and what the first of them said.
    pub fn failures(&self) -> impl Iterator<Item = (&str, usize, &str)> {
        self.scenarios.iter().filter_map(|(scenario, runs)| {
            runs.failures.first().map(|why| (scenario.as_str(), runs.failures.len(), why.as_str()))
        })
    }
}

/// All that is kept, in the order of the rows.
///
/// # Errors
/// When a file is there and cannot be read.
pub fn read(kept: &Path) -> Result<Vec<PeerResults>> {
    PEERS.iter().filter_map(|peer| PeerResults::read(kept, peer).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn cpu(value: f64) -> Figures {
        Figures::from([("cpu".to_owned(), value)])
    }

    #[test]
    fn failed_runs_keep_other_figures() {
        let mut results = PeerResults::new("compare-x", "x", "1".to_owned(), None);
        for value in [3.0, 1.0] {
            results.add("echo", Ok(cpu(value)), None);
        }
        results.add("echo", Err(anyhow!("lost: one")), None);
        assert_eq!(results.figure("echo", "cpu"), Some(Measured { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(results.figure("idle", "cpu"), None);
        assert_eq!(results.failures().collect::<Vec<_>>(), [("echo", 1, "lost: one")]);
        assert_eq!(results.runs().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn figure_pairs_with_ours_of_same_run() {
        let mut results = PeerResults::new("compare-x", "x", "1".to_owned(), None);
        results.add("echo", Ok(cpu(2.0)), Some(cpu(1.0)));
        results.add("echo", Ok(cpu(3.0)), None);
        results.add("echo", Err(anyhow!("lost: one")), Some(cpu(1.0)));
        results.add("echo", Ok(cpu(8.0)), Some(cpu(4.0)));
        assert_eq!(results.pairs("echo", "cpu"), [(2.0, 1.0), (8.0, 4.0)]);
    }

    #[test]
    fn new_measurement_keeps_the_rest() {
        let kept = std::env::temp_dir().join(format!("tautline-xtask-results-{}", std::process::id()));
        fs::create_dir_all(&kept).unwrap();
        let peer = &PEERS[1];
        assert!(PeerResults::read(&kept, peer).unwrap().is_none());
        let mut results = PeerResults::new(peer.slug, peer.name, "1".to_owned(), None);
        results.add("idle", Ok(cpu(1.0)), None);
        results.add("echo", Ok(cpu(2.0)), Some(cpu(1.0)));
        results.write(&kept).unwrap();
        let mut again = PeerResults::read(&kept, peer).unwrap().unwrap();
        again.forget("idle");
        assert_eq!(again.figure("idle", "cpu"), None);
        assert_eq!(again.pairs("echo", "cpu"), [(2.0, 1.0)]);
        fs::remove_dir_all(kept).unwrap();
    }
}
