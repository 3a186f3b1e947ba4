//! `cargo xtask prometheus`: metrics, dashboards and alerts against a real Prometheus under a small load.

use std::{io, path::Path};

use anyhow::Result;
use tautline_steps::{command::Command, live::Live, prerequisites, step, step::Job};

/// What it needs: `PROMETHEUS` and Python.
pub static NEEDS: [&prerequisites::Prerequisite; 2] = [&prerequisites::PROMETHEUS, &prerequisites::PYTHON];

/// The check, behind whatever builds the binary in `binaries`.
pub fn job(binaries: &Path) -> Job {
    let binary = binaries.join("tautline").to_string_lossy().into_owned();
    Job::Run(
        Command::new("python3", ["e2e/prometheus/check.py", &binary]).env("PYTHONDONTWRITEBYTECODE", "1"),
    )
}

/// Builds the gateway, and checks.
///
/// # Errors
/// A finding, or anything that kept the tools from running.
pub fn run(root: &Path) -> Result<()> {
    let (mut live, mut log) = (Live::silent(), io::stdout());
    NEEDS.iter().try_for_each(|wanted| prerequisites::provide(root, wanted, &mut live, &mut log))?;
    let build = Job::Run(Command::new("cargo", ["build", "--locked", "--workspace", "--bin", "tautline"]));
    let jobs = [build, job(&step::target_dir(root).join("debug"))];
    step::do_jobs(root, &jobs, &mut live, &mut log)
}
