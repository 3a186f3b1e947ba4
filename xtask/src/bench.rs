//! `cargo xtask bench`: figures of the product, measured on this machine. Nothing here can fail a test run.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result};

use crate::{
    command::Command,
    prerequisites::{self, C_TOOLCHAIN},
    report,
    step::{self, Job, Verdict},
};

/// What an idle connection costs: 10,000 of them, each with one subscription, before and after a burst.
const IDLE: &str = "idle";

/// Builds every benchmark, then runs them in the foreground, one after the other.
///
/// # Errors
/// When one cannot be started. A failed build has printed why, and is in the exit code.
pub fn run(root: &Path) -> Result<ExitCode> {
    let outcome = step::run(root, "bench", "building the benchmarks", |live, log| {
        prerequisites::provide(root, &C_TOOLCHAIN, live, log)?;
        step::do_jobs(root, &[Job::Run(cargo("build", IDLE))], live, log)
    });
    if outcome.verdict == Verdict::Failed {
        print!("\n{}", report::table(&[outcome]));
        return Ok(ExitCode::FAILURE);
    }
    let bench = cargo("run", IDLE);
    let status = bench.process(root).status().with_context(|| format!("starting `{bench}`"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn cargo(verb: &str, example: &str) -> Command {
    Command::new(
        "cargo",
        [verb, "--quiet", "--release", "--locked", "--package", "tautline-gateway", "--example", example],
    )
}
