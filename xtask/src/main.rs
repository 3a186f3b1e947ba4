//! Builds, tests and shows Tautline: `cargo xtask help`.
//!
//! Reading order: [`mod@test`] lists the steps; [`tautline_steps`] runs and shows one, [`tautline_tidy`] holds the checks that
//! no other tool makes.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use tautline_steps::command::Command;

mod api;
mod autobahn;
mod cards;
mod demo;
mod fuzz;
mod gold;
mod mutants;
mod prometheus;
mod redis;
mod sim;
mod test;
mod torture;

/// Builds, tests and shows Tautline.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Builds what is needed, starts the gateway with the demo page and prints its address
    Demo,
    /// Builds Gold, a game for two to four phones, starts its server and prints the address
    Gold(gold::Options),
    /// Builds the card shop with its back end and a mock of WeChat, starts all of it and prints the address
    Cards(cards::Options),
    /// Runs everything: lints, unit, integration, simulation, SDK, browser, conformance
    Test(test::Options),
    /// Runs the RFC 6455 conformance suite (Autobahn; needs a Python 2.7)
    Autobahn(autobahn::Options),
    /// Holds the server API against its own OpenAPI document
    Api(api::Options),
    /// Measures what a gateway costs, and writes docs/reference/performance.md
    #[command(disable_help_flag = true)]
    Bench {
        /// Passed on as they are: `cargo xtask bench --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Breaks the code on purpose, one fault at a time, and tells which of them no test notices
    Mutants(mutants::Options),
    /// Lets a fuzzer look for bytes that break a promise (needs a nightly toolchain)
    Fuzz(fuzz::Options),
    /// Searches seeds for histories that break a promise, or prints the events of one
    Sim(sim::Options),
    /// Kills a gateway with a disk again and again under hundreds of clients, and counts what is lost
    Torture(torture::Options),
    /// The Redis engine behind Sentinels, in a cluster and on Valkey
    Redis(redis::Options),
    /// Metrics, dashboards and alerts against a real Prometheus under a small load
    Prometheus,
    /// Checks what no other tool does: module docs, file sizes, left-over notes, links, both READMEs
    Tidy,
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    let root = tautline_steps::root();
    match task {
        Task::Demo => demo::run(&root),
        Task::Gold(options) => gold::run(&root, &options),
        Task::Cards(options) => cards::run(&root, &options),
        Task::Test(options) => test::run(&root, &options),
        Task::Autobahn(options) => autobahn::run(&root, &options, true).map(|()| ExitCode::SUCCESS),
        Task::Api(options) => api::run(&root, &options).map(|()| ExitCode::SUCCESS),
        Task::Bench { arguments } => bench(&root, arguments),
        Task::Mutants(options) => mutants::run(&root, &options),
        Task::Fuzz(options) => fuzz::run(&root, &options),
        Task::Sim(options) => sim::run(&root, &options),
        Task::Torture(options) => torture::run(&root, &options),
        Task::Redis(options) => redis::run(&root, &options),
        Task::Prometheus => prometheus::run(&root).map(|()| ExitCode::SUCCESS),
        Task::Tidy => tidy(&root).map(|()| ExitCode::SUCCESS),
    }
}

/// Everything that needs no build: the tree's own rules, and that every mutant fits the code.
fn tidy(root: &Path) -> Result<()> {
    tautline_tidy::run(root)?;
    mutants::check(root)
}

/// A program of its own, so that nothing else has to wait until it is built.
fn bench(root: &Path, arguments: Vec<String>) -> Result<ExitCode> {
    let run = ["run", "--quiet", "--locked", "--package", "tautline-bench-report", "--"].map(str::to_owned);
    in_foreground(root, &Command::new("cargo", run.into_iter().chain(arguments)))
}

/// Runs a command with this process's own input and output.
fn in_foreground(root: &Path, command: &Command) -> Result<ExitCode> {
    let status = command.process(root).status().with_context(|| format!("starting `{command}`"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
