//! What is measured: calls of `tautline-bench`, each with a name, and what they found out.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use tautline_steps::command::Command;

/// One call of `tautline-bench`.
pub struct Measurement {
    pub name: &'static str,
    pub arguments: &'static str,
    /// Server and load share both cores, in place of one each.
    shares_cores: bool,
}

const fn measurement(name: &'static str, arguments: &'static str) -> Measurement {
    Measurement { name, arguments, shares_cores: false }
}

/// In the order in which they are taken.
pub static MEASUREMENTS: [Measurement; 38] = [
    measurement("idle-1000", "idle --connections 1000"),
    measurement("idle-5000", "idle --connections 5000"),
    measurement("idle-10000", "idle --connections 10000"),
    measurement("idle-19000", "idle --connections 19000"),
    measurement("fanout", "fanout"),
    measurement("fanout-one", "fanout --in-flight 1"),
    measurement("channels-100", "channels --connections 1000 --channels 100"),
    measurement("fanout-10000", "fanout --connections 10000 --in-flight 8"),
    Measurement { name: "fanout-two-cores", arguments: "fanout --server-threads 2", shares_cores: true },
    measurement("fanout-10", "fanout --connections 10 --in-flight 16"),
    measurement("fanout-10-one", "fanout --connections 10 --in-flight 1"),
    measurement("fanout-slowly", "fanout --rate 10 --seconds 20"),
    measurement("fanout-bystanders", "fanout --connections 10000 --in-flight 8 --bystanders 10 --seconds 20"),
    measurement("echo", "echo"),
    measurement("echo-16", "echo --in-flight 16"),
    measurement("publish", "publish"),
    measurement("storm", "storm"),
    measurement("storm-behind", "storm --behind 5"),
    measurement("storm-tokens", "storm --tokens"),
    measurement("slow", "slow"),
    measurement("calls-1", "echo --connections 1 --rate 5000"),
    measurement("calls-10", "echo --connections 10 --rate 5000"),
    measurement("calls-100", "echo --connections 100 --rate 5000"),
    measurement("calls-1000", "echo --connections 1000 --rate 5000"),
    measurement("calls-15000", "echo --connections 15000 --rate 5000"),
    measurement("news-1", "channels --connections 1 --channels 1 --rate 5000"),
    measurement("news-10", "channels --connections 10 --channels 10 --rate 5000"),
    measurement("news-100", "channels --connections 100 --channels 100 --rate 5000"),
    measurement("news-1000", "channels --connections 1000 --channels 1000 --rate 5000"),
    measurement("news-15000", "channels --connections 15000 --channels 15000 --rate 5000"),
    measurement("crowd-1", "fanout --connections 1 --in-flight 1"),
    measurement("crowd-10", "fanout --connections 10 --in-flight 1"),
    measurement("crowd-100", "fanout --connections 100 --in-flight 1"),
    measurement("crowd-1000", "fanout --connections 1000 --in-flight 1"),
    measurement("crowd-10000", "fanout --connections 10000 --in-flight 1"),
    measurement("channels", "channels"),
    measurement("crowd-10000-rarely", "fanout --connections 10000 --rate 4"),
    measurement("crowd-15000", "fanout --connections 15000 --in-flight 1"),
];

impl Measurement {
    /// Takes it once.
    ///
    /// # Errors
    /// When the load cannot be started, or something was lost on the way: it has said what.
    pub fn take(&self, root: &Path, binary: &Path, kept: &Path) -> Result<Figures> {
        let file = kept.join("last-run.json");
        let command = self.command(binary, &file);
        let status = command.process(root).status().with_context(|| format!("starting `{command}`"))?;
        ensure!(status.success(), "`{command}` ended with {status}");
        read_report(&file)
    }

    /// The call that leaves its figures in a file.
    fn command(&self, binary: &Path, file: &Path) -> Command {
        let cores = if self.shares_cores { ["0,1", "0,1"] } else { ["0", "1"] };
        let [server, load] = cores.map(str::to_owned);
        let more = ["--server-cores".to_owned(), server, "--load-cores".to_owned(), load];
        let rest = ["--json".to_owned(), file.display().to_string()];
        call(binary, self.arguments, more.into_iter().chain(rest))
    }
}

/// A call of `tautline-bench`, as a person could type it.
pub fn call(binary: &Path, arguments: &str, more: impl IntoIterator<Item = String>) -> Command {
    let words = ["--log", "warn"].into_iter().chain(arguments.split(' ')).map(str::to_owned);
    Command::new(&binary.to_string_lossy(), words.chain(more))
}

/// Names of figures that are read in several places.
pub const CPU_DELIVERY: &str = "server_cpu_s_per_1m_deliveries";
pub const CPU_CALL: &str = "server_cpu_s_per_1m_calls";

/// The figures of a run, by their names.
pub type Figures = BTreeMap<String, f64>;

/// The figures that a load has just left in a file, which it takes away.
///
/// # Errors
/// When there is no such file, or it holds something else.
pub fn read_report(file: &Path) -> Result<Figures> {
    #[derive(Deserialize)]
    struct Figure {
        name: String,
        median: f64,
    }
    #[derive(Deserialize)]
    struct Report {
        figures: Vec<Figure>,
    }
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let report: Report =
        serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
    drop(fs::remove_file(file));
    Ok(report.figures.into_iter().map(|figure| (figure.name, figure.median)).collect())
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

/// All runs of a measurement, in their order; one that failed has no figures.
#[derive(Default, Deserialize, Serialize)]
struct Runs(Vec<Figures>);

/// What all measurements that are kept found out.
#[derive(Default)]
pub struct Results(BTreeMap<&'static str, Runs>);

impl Results {
    /// Reads what is kept. A file that holds something else is of another time, and as good as none.
    pub fn read(kept: &Path) -> Self {
        let read = |measurement: &Measurement| {
            let text = fs::read_to_string(file(kept, measurement.name)).ok()?;
            Some((measurement.name, serde_json::from_str(&text).ok()?))
        };
        Self(MEASUREMENTS.iter().filter_map(read).collect())
    }

    /// Before a measurement is taken anew.
    pub fn forget(&mut self, measurement: &'static str) {
        self.0.remove(measurement);
    }

    /// Keeps what came of one more run, of which nothing is known where it failed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, kept: &Path, measurement: &'static str, figures: Option<Figures>) -> Result<()> {
        let runs = self.0.entry(measurement).or_default();
        runs.0.push(figures.unwrap_or_default());
        let (file, text) =
            (file(kept, measurement), serde_json::to_string_pretty(runs).context("writing JSON")?);
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
    }

    /// How often each measurement was taken at least; `None` where none is kept.
    pub fn runs(&self) -> Option<usize> {
        self.0.values().map(|runs| runs.0.iter().filter(|figures| !figures.is_empty()).count()).min()
    }

    /// A figure of a measurement, if that was taken.
    pub fn figure(&self, measurement: &str, name: &str) -> Option<Measured> {
        Measured::of(self.0.get(measurement)?.0.iter().filter_map(|figures| figures.get(name).copied()))
    }

    /// A figure of one measurement against that of another, run by run: a machine wanders by more than what is compared differs.
    pub fn ratio(&self, [above, below]: [&str; 2], name: &str) -> Option<Measured> {
        let pairs = self.0.get(above)?.0.iter().zip(&self.0.get(below)?.0);
        Measured::of(pairs.filter_map(|(above, below)| Some(above.get(name)? / below.get(name)?)))
    }
}

fn file(kept: &Path, measurement: &str) -> std::path::PathBuf {
    kept.join(measurement).with_extension("json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurement_is_a_typable_command() {
        let call = MEASUREMENTS[5].command(Path::new("tautline-bench"), Path::new("kept.json")).to_string();
        assert_eq!(
            call,
            "tautline-bench --log warn fanout --in-flight 1 --server-cores 0 --load-cores 1 --json kept.json"
        );
    }

    #[test]
    fn even_count_averages_the_middle_two() {
        let measured = Measured::of([4.0, 1.0, 2.0, 9.0]);
        assert_eq!(measured, Some(Measured { median: 3.0, least: 1.0, most: 9.0 }));
        assert_eq!(Measured::of([]), None);
    }

    #[test]
    fn ratio_compares_run_by_run() {
        let kept = std::env::temp_dir().join(format!("tautline-measurements-{}", std::process::id()));
        fs::create_dir_all(&kept).unwrap();
        let mut results = Results::default();
        for (tired, fails) in [(1.0, false), (2.0, true), (4.0, false)] {
            let cpu = |cost: f64| Some(Figures::from([("cpu".to_owned(), cost * tired)]));
            results.add(&kept, "echo", if fails { None } else { cpu(3.0) }).unwrap();
            results.add(&kept, "echo-16", cpu(2.0)).unwrap();
        }
        let results = Results::read(&kept);
        fs::remove_dir_all(&kept).unwrap();
        assert_eq!(results.runs(), Some(2), "the one that failed does not count");
        assert_eq!(results.figure("echo", "cpu"), Measured::of([3.0, 12.0]));
        assert_eq!(
            results.ratio(["echo", "echo-16"], "cpu"),
            Measured::of([1.5, 1.5]),
            "the second has no pair"
        );
        assert_eq!(results.ratio(["echo", "publish"], "cpu"), None);
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::HashSet<_> =
            MEASUREMENTS.iter().map(|measurement| measurement.name).collect();
        assert_eq!(names.len(), MEASUREMENTS.len());
    }
}
