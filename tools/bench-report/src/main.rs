//! `tautline-bench-report`, which `cargo xtask bench` runs: figures of the product, measured on this machine, and the page that tells them. No figure fails a run;
//! something that was lost on the way to one does.
//!
//! [`measurements`] is what is measured, [`tables`] what is read from it and [`goals`] what it should be, [`page`] and [`chart`] how it is shown;
//! [`compare`] takes the same of other servers.
//! Each measurement is kept in `target/xtask/bench`, so that one can be taken again without the others.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, ensure};

use clap::Parser;
use tautline_steps::{
    command::Command,
    prerequisites::{self, C_TOOLCHAIN},
    report,
    step::{self, Job, Verdict},
};

use self::measurements::{Measurement, Results};

mod chart;
mod compare;
mod goals;
mod measurements;
mod numbers;
mod page;
mod tables;
mod wrap;

/// What a disk does: an example of its own, because it starts another server.
const DURABLE: &str = "durable";

/// Measures what a gateway costs, and writes docs/reference/performance.md
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Options {
    /// The beginnings of names (see --list); all but `durable` where none is given
    names: Vec<String>,
    /// Runs of each measurement, of which the median is taken
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Measures other servers through the same load: uWebSockets (Bun, by npm), ws and socket.io (npm), nchan, NATS and mosquitto
    /// (apt), tornado (pip), and Tautline beside them. They are installed where that is allowed; nothing that a package serves is started by it. Without
    /// names nothing else is measured
    #[arg(long)]
    compare: bool,
    /// With --compare: the beginnings of names of servers, of scenarios or of both (uWebSockets,echo); what is kept of the others
    /// stays on the page. Tautline is always measured, too
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "compare")]
    only: Vec<String>,
    /// One run each, and the page goes to target/xtask in place of docs
    #[arg(long)]
    quick: bool,
    /// Writes the page of what is kept from earlier, and measures nothing
    #[arg(long)]
    page: bool,
    /// Prints the names, and measures nothing
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    match run(&tautline_steps::root(), &Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The load, which is also the server that it measures.
fn binary(root: &Path) -> PathBuf {
    step::target_dir(root).join("release/tautline-bench")
}

/// Builds the binaries, takes the measurements in the foreground one after the other, and writes the page of all that are kept.
///
/// # Errors
/// When something cannot be started or written, or nothing has such a name. A failed build has printed why.
fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    if options.list {
        measurements::MEASUREMENTS.iter().for_each(|measurement| {
            println!("{:20} tautline-bench {}", measurement.name, measurement.arguments)
        });
        compare::list();
        println!("{DURABLE:20} acknowledged publishes a second on a disk, and a resume storm that reads it");
        return Ok(ExitCode::SUCCESS);
    }
    let wants_durable = options.names.iter().any(|name| name == DURABLE);
    let is_wanted = |name: &str| {
        (options.names.is_empty() && !options.compare)
            || options.names.iter().any(|wanted| name.starts_with(wanted.as_str()))
    };
    let wanted: Vec<_> =
        measurements::MEASUREMENTS.iter().filter(|measurement| is_wanted(measurement.name)).collect();
    ensure!(
        !wanted.is_empty() || wants_durable || options.compare,
        "nothing has such a name: see cargo xtask bench --list"
    );
    let selection = compare::Selection::of(&options.only)?;
    let kept = step::target_dir(root).join("xtask").join(if options.quick { "bench-quick" } else { "bench" });
    let docs = if options.quick { kept.clone() } else { root.join("docs/reference") };
    if options.page {
        return tell(&kept, &docs);
    }
    if !build(root, wants_durable) {
        return Ok(ExitCode::FAILURE);
    }
    if wants_durable {
        let durable = Command::new(
            "cargo",
            ["run", "--quiet", "--release", "--locked", "-p", "tautline-bench", "--example", DURABLE],
        );
        let status = durable.process(root).status().with_context(|| format!("starting `{durable}`"))?;
        if (wanted.is_empty() && !options.compare) || !status.success() {
            return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    fs::create_dir_all(&kept).with_context(|| format!("making {}", kept.display()))?;
    let runs = if options.quick { 1 } else { options.runs };
    let failed = take(root, &kept, &wanted, runs)?;
    if options.compare {
        compare::run(root, &kept, &selection, runs, options.quick)?;
    }
    tell(&kept, &docs)?;
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Takes each measurement, then each once more, forwards and backwards in turn: what is compared stands as near in time as it can, and a
/// machine that grows tired favours nobody. Returns those that failed.
fn take(root: &Path, kept: &Path, wanted: &[&'static Measurement], runs: u32) -> Result<Vec<&'static str>> {
    let binary = binary(root);
    let mut results = Results::read(kept);
    wanted.iter().for_each(|measurement| results.forget(measurement.name));
    let mut failed = Vec::new();
    for run in 1..=runs {
        let mut turn: Vec<_> = wanted.iter().enumerate().collect();
        if run.is_multiple_of(2) {
            turn.reverse();
        }
        for (index, measurement) in turn {
            println!("→ {} ({} of {}, run {run} of {runs})", measurement.name, index + 1, wanted.len());
            let outcome = measurement.take(root, &binary, kept).inspect_err(|error| println!("  {error:#}"));
            if outcome.is_err() && !failed.contains(&measurement.name) {
                failed.push(measurement.name);
            }
            results.add(kept, measurement.name, outcome.ok())?;
        }
    }
    Ok(failed)
}

/// Writes the page.
fn tell(kept: &Path, docs: &Path) -> Result<ExitCode> {
    let page = page::write(docs, &Results::read(kept), &compare::read(kept)?)?;
    println!("written: {}", page.display());
    Ok(ExitCode::SUCCESS)
}

fn build(root: &Path, wants_durable: bool) -> bool {
    let outcome = step::run(root, "bench", "building what is measured", |live, log| {
        prerequisites::provide(root, &C_TOOLCHAIN, live, log)?;
        let mut build =
            vec!["build", "--release", "--locked", "-p", "tautline-bench", "--bin", "tautline-bench"];
        if wants_durable {
            build.extend(["-p", "tautline", "--bin", "tautline", "--example", DURABLE]);
        }
        step::do_jobs(root, &[Job::Run(Command::new("cargo", build))], live, log)
    });
    let is_built = outcome.verdict != Verdict::Failed;
    if !is_built {
        print!("\n{}", report::table(&[outcome]));
    }
    is_built
}
