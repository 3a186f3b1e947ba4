//! What a run found out: named figures, their medians over several runs, as a table and as JSON.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::procfs::Usage;

/// One figure of a run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figure {
    /// With its unit at the end, like `cpu_s_per_1m_deliveries`.
    pub name: &'static str,
    pub value: f64,
}

/// The figures of one run, in the order in which people read them.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Figures(pub Vec<Figure>);

impl Figures {
    pub(super) fn add(&mut self, name: &'static str, value: f64) {
        self.0.push(Figure { name, value });
    }

    /// Where a latency stands: half, 99 of 100, and the worst.
    pub(super) fn add_latency(&mut self, names: [&'static str; 3], latency: &Histogram<u64>) {
        let values = [latency.value_at_quantile(0.5), latency.value_at_quantile(0.99), latency.max()];
        for (name, us) in names.into_iter().zip(values) {
            self.add(name, us as f64 / 1000.0);
        }
    }

    /// CPU for a million of something.
    pub(super) fn add_cpu(&mut self, name: &'static str, used: Duration, count: u64) {
        self.add(name, used.as_secs_f64() * 1e6 / (count.max(1)) as f64);
    }

    /// How busy the load was: near one core of it, and the rates and latencies are its own.
    pub(super) fn add_load(&mut self, used: &Usage) {
        if let Some(server) = used.server {
            self.add("server_cpu_share", server.as_secs_f64() / used.lasted.as_secs_f64());
        }
        self.add("load_cpu_share", used.load.as_secs_f64() / used.lasted.as_secs_f64());
    }
}

/// All runs of a scenario.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub scenario: &'static str,
    /// What was asked for.
    pub options: BTreeMap<&'static str, serde_json::Value>,
    pub runs: Vec<Figures>,
}

/// One row of the table.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    name: &'static str,
    median: f64,
    least: f64,
    most: f64,
}

impl Report {
    fn rows(&self) -> Vec<Row> {
        let first = self.runs.first().map(|run| run.0.as_slice()).unwrap_or_default();
        first.iter().map(|figure| self.row(figure.name)).collect()
    }

    fn row(&self, name: &'static str) -> Row {
        let figures = self.runs.iter().flat_map(|run| &run.0);
        let mut values: Vec<f64> =
            figures.filter(|figure| figure.name == name).map(|figure| figure.value).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Row { name, median, least: values[0], most: values[values.len() - 1] }
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "scenario": self.scenario,
            "options": self.options,
            "figures": self.rows(),
            "runs": self.runs,
        })
    }

    /// For people. A single run has no spread.
    pub(super) fn table(&self) -> String {
        let mut text = self.scenario.to_owned();
        for (name, value) in &self.options {
            let _ = write!(text, ", {name} {value}");
        }
        text.push('\n');
        let rows = self.rows();
        let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        let many = self.runs.len() > 1;
        if many {
            let _ = writeln!(text, "  {:width$}  {:>12}  {:>12}  {:>12}", "", "median", "least", "most");
        }
        for row in rows {
            let name = row.name.replace('_', " ");
            let _ = write!(text, "  {name:width$}  {:>12}", number(row.median));
            if many {
                let _ = write!(text, "  {:>12}  {:>12}", number(row.least), number(row.most));
            }
            text.push('\n');
        }
        text
    }
}

/// Three digits, or all of a whole number.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        middle if middle >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_shows_median_and_spread() {
        let runs = [3.0, 1.0, 2.0, 40.0].map(|value| Figures(vec![Figure { name: "cpu_s", value }]));
        let report = Report { scenario: "echo", options: BTreeMap::new(), runs: runs.to_vec() };
        assert_eq!(report.rows(), [Row { name: "cpu_s", median: 2.5, least: 1.0, most: 40.0 }]);
        assert!(
            report.table().contains("cpu s          2.50          1.00          40.0"),
            "{}",
            report.table()
        );
    }
}
