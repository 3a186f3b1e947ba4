//! What is measured: calls of `tautline bench`, each with a name, and what they found out.

use std::{collections::HashMap, fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::command::Command;

/// One call of `tautline bench`.
pub struct Shot {
    pub name: &'static str,
    pub arguments: &'static str,
    /// Server and load share both cores, in place of one each.
    shares_cores: bool,
}

const fn shot(name: &'static str, arguments: &'static str) -> Shot {
    Shot { name, arguments, shares_cores: false }
}

/// In the order in which they are taken.
pub static SHOTS: [Shot; 36] = [
    shot("idle-1000", "idle --connections 1000"),
    shot("idle-5000", "idle --connections 5000"),
    shot("idle-10000", "idle --connections 10000"),
    shot("idle-19000", "idle --connections 19000"),
    shot("fanout", "fanout"),
    shot("fanout-one", "fanout --in-flight 1"),
    shot("fanout-10000", "fanout --connections 10000 --in-flight 8"),
    Shot { name: "fanout-two-cores", arguments: "fanout --server-threads 2", shares_cores: true },
    shot("fanout-10", "fanout --connections 10 --in-flight 16"),
    shot("fanout-10-one", "fanout --connections 10 --in-flight 1"),
    shot("fanout-slowly", "fanout --rate 10 --seconds 20"),
    shot("fanout-bystanders", "fanout --connections 10000 --in-flight 8 --bystanders 10 --seconds 20"),
    shot("channels", "channels"),
    shot("echo", "echo"),
    shot("echo-16", "echo --in-flight 16"),
    shot("publish", "publish"),
    shot("storm", "storm"),
    shot("storm-behind", "storm --behind 5"),
    shot("storm-tokens", "storm --tokens"),
    shot("slow", "slow"),
    shot("calls-1", "echo --connections 1 --rate 5000"),
    shot("calls-10", "echo --connections 10 --rate 5000"),
    shot("calls-100", "echo --connections 100 --rate 5000"),
    shot("calls-1000", "echo --connections 1000 --rate 5000"),
    shot("calls-15000", "echo --connections 15000 --rate 5000"),
    shot("news-1", "channels --connections 1 --channels 1 --rate 5000"),
    shot("news-10", "channels --connections 10 --channels 10 --rate 5000"),
    shot("news-100", "channels --connections 100 --channels 100 --rate 5000"),
    shot("news-1000", "channels --connections 1000 --channels 1000 --rate 5000"),
    shot("news-15000", "channels --connections 15000 --channels 15000 --rate 5000"),
    shot("crowd-1", "fanout --connections 1 --in-flight 1"),
    shot("crowd-10", "fanout --connections 10 --in-flight 1"),
    shot("crowd-100", "fanout --connections 100 --in-flight 1"),
    shot("crowd-1000", "fanout --connections 1000 --in-flight 1"),
    shot("crowd-10000", "fanout --connections 10000 --in-flight 1"),
    shot("crowd-15000", "fanout --connections 15000 --in-flight 1"),
];

impl Shot {
    /// The call that leaves its figures in a file of the folder.
    pub fn command(&self, binary: &Path, runs: u32, kept: &Path) -> Command {
        let words = self.arguments.split(' ').map(str::to_owned);
        let cores = if self.shares_cores { ["0,1", "0,1"] } else { ["0", "1"] };
        let [server, load] = cores.map(str::to_owned);
        let file = kept.join(self.name).with_extension("json").display().to_string();
        let more = ["--server-cores".to_owned(), server, "--load-cores".to_owned(), load];
        let rest = ["--runs".to_owned(), runs.to_string(), "--json".to_owned(), file];
        let begin = ["--log", "warn", "bench"].map(str::to_owned);
        Command::new(&binary.to_string_lossy(), begin.into_iter().chain(words).chain(more).chain(rest))
    }
}

/// A figure over all runs.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Measured {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Measured {
    /// Where several values stand, if there is one.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let median =
            if values.len().is_multiple_of(2) { f64::midpoint(values[middle - 1], upper) } else { upper };
        Some(Self { median, least: *values.first()?, most: *values.last()? })
    }
}

#[derive(Deserialize)]
struct Row {
    name: String,
    #[serde(flatten)]
    measured: Measured,
}

#[derive(Deserialize)]
struct Report {
    figures: Vec<Row>,
    runs: Vec<serde::de::IgnoredAny>,
}

/// What all shots that are kept found out.
pub struct Results {
    figures: HashMap<(String, String), Measured>,
    /// How often each was run at least.
    pub runs: usize,
}

impl Results {
    pub fn read(kept: &Path) -> Result<Self> {
        let mut results = Self { figures: HashMap::new(), runs: usize::MAX };
        for shot in &SHOTS {
            let file = kept.join(shot.name).with_extension("json");
            let Ok(text) = fs::read_to_string(&file) else { continue };
            let report: Report =
                serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
            results.runs = results.runs.min(report.runs.len());
            let named = |row: Row| ((shot.name.to_owned(), row.name), row.measured);
            results.figures.extend(report.figures.into_iter().map(named));
        }
        Ok(results)
    }

    /// A figure of a shot, if that was taken.
    pub fn figure(&self, shot: &str, name: &str) -> Option<Measured> {
        self.figures.get(&(shot.to_owned(), name.to_owned())).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shot_is_a_call_that_a_person_could_type() {
        let call = SHOTS[5].command(Path::new("tautline"), 5, Path::new("kept")).to_string();
        assert_eq!(
            call,
            "tautline --log warn bench fanout --in-flight 1 --server-cores 0 --load-cores 1 --runs 5 --json kept/fanout-one.json"
        );
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let measured = Measured::of([4.0, 1.0, 2.0, 9.0]);
        assert_eq!(measured, Some(Measured { median: 3.0, least: 1.0, most: 9.0 }));
        assert_eq!(Measured::of([]), None);
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::HashSet<_> = SHOTS.iter().map(|shot| shot.name).collect();
        assert_eq!(names.len(), SHOTS.len());
    }
}
