//! Builds, tests and shows Tautline: `cargo xtask help`.
//!
//! Reading order: [`mod@test`] lists the steps, [`step`] runs and shows one, [`prerequisites`] finds or installs what a step
//! needs, [`command`] is a child process as data, [`tidy`] holds the checks that no other tool makes.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::{Parser, Subcommand};

mod autobahn;
mod bench;
mod command;
mod demo;
mod fuzz;
mod mutants;
mod npm;
mod prerequisites;
mod report;
mod sim;
mod step;
mod test;
mod tidy;
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
    /// Runs everything: lints, unit, integration, simulation, SDK, browser, conformance
    Test(test::Options),
    /// Runs the RFC 6455 conformance suite (Autobahn; needs a Python 2.7)
    Autobahn(autobahn::Options),
    /// Measures what a gateway costs, and writes docs/performance.md
    Bench(bench::Options),
    /// Breaks the code on purpose, one fault at a time, and tells which of them no test notices
    Mutants(mutants::Options),
    /// Lets a fuzzer look for bytes that break a promise (needs a nightly toolchain)
    Fuzz(fuzz::Options),
    /// Hunts for histories in which a promise is broken, and tells one of them as a story
    Sim(sim::Options),
    /// Kills a gateway with a disk again and again under hundreds of clients, and counts what is lost
    Torture(torture::Options),
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
    let root = root();
    match task {
        Task::Demo => demo::run(&root),
        Task::Test(options) => test::run(&root, &options),
        Task::Autobahn(options) => autobahn::run(&root, &options, true).map(|()| ExitCode::SUCCESS),
        Task::Bench(options) => bench::run(&root, &options),
        Task::Mutants(options) => mutants::run(&root, &options),
        Task::Fuzz(options) => fuzz::run(&root, &options),
        Task::Sim(options) => sim::run(&root, &options),
        Task::Torture(options) => torture::run(&root, &options),
        Task::Tidy => tidy::run(&root).map(|()| ExitCode::SUCCESS),
    }
}

/// The checkout that this very binary was built from.
fn root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().expect("xtask lies in a folder of the workspace").to_owned()
}
