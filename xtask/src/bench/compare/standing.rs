//! What was found out about one server: figures of each run, what went wrong, and why it is not there if it is not.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::peers::PEERS;

/// The figures of a run, by their names.
pub type Figures = BTreeMap<String, f64>;

/// All runs of a scenario.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Runs {
    figures: Vec<Figures>,
    failures: Vec<String>,
}

/// One server, as it is kept in a file.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Standing {
    slug: String,
    pub name: String,
    pub version: String,
    pub missing: Option<String>,
    scenarios: BTreeMap<String, Runs>,
}

impl Standing {
    pub fn new(slug: &str, name: &str, version: String, missing: Option<String>) -> Self {
        let scenarios = BTreeMap::new();
        Self { slug: slug.to_owned(), name: name.to_owned(), version, missing, scenarios }
    }

    pub fn add(&mut self, scenario: &str, figures: Figures) {
        self.scenarios.entry(scenario.to_owned()).or_default().figures.push(figures);
    }

    pub fn fail(&mut self, scenario: &str, why: String) {
        self.scenarios.entry(scenario.to_owned()).or_default().failures.push(why);
    }

    pub fn write(&self, kept: &Path) -> Result<()> {
        let file = kept.join(&self.slug).with_extension("json");
        let text = serde_json::to_string_pretty(self).context("writing JSON")?;
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
    }

    /// The median of a figure over the runs that had one.
    pub fn figure(&self, scenario: &str, name: &str) -> Option<f64> {
        let runs = &self.scenarios.get(scenario)?.figures;
        let mut values: Vec<f64> = runs.iter().filter_map(|figures| figures.get(name).copied()).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = values.get(middle)?;
        Some(if values.len().is_multiple_of(2) { f64::midpoint(values[middle - 1], *upper) } else { *upper })
    }

    /// How often each scenario was measured at most.
    pub fn runs(&self) -> usize {
        self.scenarios.values().map(|runs| runs.figures.len()).max().unwrap_or(0)
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
pub fn read(kept: &Path) -> Result<Vec<Standing>> {
    let mut all = Vec::new();
    for peer in &PEERS {
        let file = kept.join(peer.slug).with_extension("json");
        let Ok(text) = fs::read_to_string(&file) else { continue };
        all.push(serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?);
    }
    Ok(all)
}

#[derive(Deserialize)]
struct Figure {
    name: String,
    median: f64,
}

#[derive(Deserialize)]
struct Report {
    figures: Vec<Figure>,
}

/// The figures that the load has just left in a file.
pub fn read_run(file: &Path) -> Result<Figures> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let report: Report =
        serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
    drop(fs::remove_file(file));
    Ok(report.figures.into_iter().map(|figure| (figure.name, figure.median)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_failed_leave_the_median_of_the_others() {
        let mut standing = Standing::new("compare-x", "x", "1".to_owned(), None);
        for value in [3.0, 1.0] {
            standing.add("echo", Figures::from([("cpu".to_owned(), value)]));
        }
        standing.fail("echo", "lost: one".to_owned());
        assert_eq!(standing.figure("echo", "cpu"), Some(2.0));
        assert_eq!(standing.figure("idle", "cpu"), None);
        assert_eq!(standing.failures().collect::<Vec<_>>(), [("echo", 1, "lost: one")]);
        assert_eq!(standing.runs(), 2);
    }
}
