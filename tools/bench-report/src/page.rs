//! The page: tables of goals beside figures, and how they were measured.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{
    chart,
    compare::{self, PeerResults},
    measurements::{Measured, Results},
    numbers::number,
    tables::{self, Row, Table, meets},
    wrap::wrap,
};

const METHOD: &str = "\
- `cargo xtask bench` writes this page; `tautline-bench <scenario>` is each measurement alone, and its `--help` says what it does.
- Server and load are two processes of the same binary on the same machine, over loopback, each on a core of its own; the server is
  fresh for each run, keeps everything in memory and has every promise on (ids, replies until seen, logs, cursors, tickets).
  What it sends goes by `io_uring` where the machine allows it (ADR 0019).
- The load never sleeps: to wake it would be the server's work. What has a latency of its own (new clients, bystanders) has a thread
  of its own, which sleeps.
- Every measurement is taken once before any is taken again, every second time in the opposite order; what is held against another figure is
  held against it run by run. The same build wanders by a fifth and more on a machine that is shared: see *Beside uWebSockets* for the
  machine's part.
- Payloads are 128 bytes. A second warms up, then 5 s are measured (10 s of heartbeats, 20 s where latency is rare).
- CPU is that of the server's process, user and system: its sockets are part of the price. It is the figure to compare; rates and
  latencies belong to the machine.
- The load reads frames without parsing and counts everything: offsets rise by one, each line ends where its channel ends, each
  request has its answer. A run in which something was lost, doubled or reordered is an error and no figure.
";

/// Writes `performance.md` and its charts into the folder, and returns where.
pub fn write(docs: &Path, results: &Results, others: &[PeerResults]) -> Result<PathBuf> {
    let charts = docs.join("performance");
    fs::create_dir_all(&charts).with_context(|| format!("making {}", charts.display()))?;
    let tables = tables::all(results);
    for table in &tables {
        let file = charts.join(table.slug).with_extension("svg");
        fs::write(&file, chart::draw(table)).with_context(|| format!("writing {}", file.display()))?;
    }
    let mut text = text(&tables, results.runs(), &machine());
    if !others.is_empty() {
        let file = charts.join(compare::SLUG).with_extension("svg");
        fs::write(&file, compare::chart(others)).with_context(|| format!("writing {}", file.display()))?;
        text.push_str(&compare::section(others));
    }
    let page = docs.join("performance.md");
    fs::write(&page, wrap(&text)).with_context(|| format!("writing {}", page.display()))?;
    Ok(page)
}

fn text(tables: &[Table], runs: Option<usize>, machine: &str) -> String {
    let mut text = format!(
        "# Performance\n\nWhat a gateway costs, measured, beside what it should cost.{}\n\n{machine}\n\n## Method\n\n{METHOD}",
        match runs {
            // No measurement is kept.
            None => String::new(),
            Some(1) => " Single runs.".to_owned(),
            Some(runs) => format!(" Medians of {runs} runs."),
        },
    );
    for table in tables {
        let _ = write!(
            text,
            "\n## {0}\n\n{1}\n\n![{0}: measured, and the goal](performance/{2}.svg)\n\n| | goal | measured | least to most | |\n|---|--:|--:|--:|---|\n",
            table.title, table.about, table.slug
        );
        table.rows.iter().for_each(|row| text.push_str(&line(row)));
    }
    text
}

fn line(row: &Row) -> String {
    let goal = row.goal.map(|goal| format!("≤ {}", number(goal))).unwrap_or_default();
    let Some(Measured { median, least, most }) = row.measured else {
        return format!("| {} | {goal} | not measured | | {} |\n", row.what, row.unit);
    };
    let spread = if least < most { format!("{} – {}", number(least), number(most)) } else { String::new() };
    let median = number(median);
    let median = if meets(row) == Some(false) { format!("**{median}**") } else { median };
    format!("| {} | {goal} | {median} | {spread} | {} |\n", row.what, row.unit)
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unknown CPU");
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "Machine: {}, {cores} cores, Linux {}. Figures in bold miss their goal.",
        model.trim_start_matches([' ', '\t', ':']),
        kernel.trim().split('-').next().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_misses_its_goal_is_bold() {
        let measured = Some(Measured { median: 1.5, least: 1.25, most: 2.0 });
        let row = Row { what: "echo".to_owned(), unit: "ms", goal: Some(1.0), measured };
        assert_eq!(line(&row), "| echo | ≤ 1.00 | **1.50** | 1.25 – 2.00 | ms |\n");
        assert_eq!(line(&Row { measured: None, ..row }), "| echo | ≤ 1.00 | not measured | | ms |\n");
    }
}
