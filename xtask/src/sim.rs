//! `cargo xtask sim`: searches seeds for a history that breaks a promise, or prints the events of one.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tautline_steps::command::Command;

/// Between two lines that say how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Which seeds to run.
#[derive(clap::Args)]
pub struct Options {
    /// How many histories
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many at once
    #[arg(long, default_value_t = 2)]
    jobs: u32,
    /// One history alone
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Prints its events: when, which client, what happened
    #[arg(long, requires = "seed")]
    trace: bool,
}

/// Builds the simulator for speed and runs it.
///
/// # Errors
/// When cargo or the search cannot be started. What was found is printed, and in the exit code.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    match options.seed {
        Some(seed) if options.trace => crate::in_foreground(root, &search(&["trace", &seed.to_string()])),
        Some(seed) => watch(root, seed, 1, 1),
        None => watch(root, options.from, options.seeds, options.jobs),
    }
}

/// Shows how far the search is, and what it has found so far.
fn watch(root: &Path, from: u64, seeds: u64, jobs: u32) -> Result<ExitCode> {
    let command = search(&["search", &from.to_string(), &seeds.to_string(), &jobs.to_string()]);
    let mut child = command
        .process(root)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{command}`"))?;
    let started = Instant::now();
    let mut told = started;
    let output = child.stdout.take().context("its output is piped")?;
    for line in BufReader::new(output).lines() {
        let line = line.context("reading what the search prints")?;
        match line.strip_prefix("done ").and_then(|done| done.parse().ok()) {
            Some(done) => {
                if told.elapsed() >= TELL_EVERY {
                    told = Instant::now();
                    eprintln!("{}", progress(done, seeds, started.elapsed()));
                }
            }
            None => println!("{line}"),
        }
    }
    let status = child.wait().context("waiting for the search")?;
    if status.success() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("`cargo xtask sim --seed N --trace` tells what happened");
    Ok(ExitCode::FAILURE)
}

fn progress(done: u64, seeds: u64, took: Duration) -> String {
    let rate = done / took.as_secs().max(1);
    let left_s = seeds.saturating_sub(done) / rate.max(1);
    format!("{done} of {seeds}, {rate} a second, {left_s} s to go")
}

fn search(args: &[&str]) -> Command {
    let run = [
        "run",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        "tautline-sim",
        "--example",
        "search_seeds",
        "--",
    ];
    Command::new("cargo", run.iter().chain(args).copied())
}
