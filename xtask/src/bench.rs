//! `cargo xtask bench`: figures of the product, measured on this machine. Nothing here can fail a test run.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result, ensure};

use crate::{
    command::Command,
    prerequisites::{self, C_TOOLCHAIN},
    report,
    step::{self, Job, Verdict},
};

/// The package of each benchmark, its example, and what it finds out.
const BENCHES: [(&str, &str, &str); 2] = [
    ("tautline-gateway", "idle", "what an idle connection costs: 10,000 of them, before and after a burst"),
    ("tautline", "durable", "acknowledged publishes a second on a disk, and a resume storm that reads it"),
];

/// Which benchmarks to run.
#[derive(clap::Args)]
pub struct Options {
    /// Names of benchmarks; all of them where none is given
    names: Vec<String>,
}

/// Builds the benchmarks, then runs them in the foreground, one after the other.
///
/// # Errors
/// When one cannot be started, or none has such a name. A failed build has printed why, and is in the exit code.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let is_wanted =
        |name: &str| options.names.is_empty() || options.names.iter().any(|wanted| wanted == name);
    let benches: Vec<_> = BENCHES.iter().filter(|(_, name, _)| is_wanted(name)).collect();
    ensure!(!benches.is_empty(), "there are idle and durable");
    let outcome = step::run(root, "bench", "building the benchmarks", |live, log| {
        prerequisites::provide(root, &C_TOOLCHAIN, live, log)?;
        // Some of them measure the binary itself.
        let binary = cargo("build", ["--package", "tautline", "--bin", "tautline"]);
        let examples = benches.iter().map(|(package, name, _)| cargo("build", example(package, name)));
        let jobs: Vec<Job> = std::iter::once(binary).chain(examples).map(Job::Run).collect();
        step::do_jobs(root, &jobs, live, log)
    });
    if outcome.verdict == Verdict::Failed {
        print!("\n{}", report::table(&[outcome]));
        return Ok(ExitCode::FAILURE);
    }
    for (package, name, about) in benches {
        println!("\n{name}: {about}");
        let bench = cargo("run", example(package, name));
        let status = bench.process(root).status().with_context(|| format!("starting `{bench}`"))?;
        if !status.success() {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn example<'a>(package: &'a str, name: &'a str) -> [&'a str; 4] {
    ["--package", package, "--example", name]
}

fn cargo(verb: &str, what: [&str; 4]) -> Command {
    Command::new("cargo", [verb, "--quiet", "--release", "--locked"].into_iter().chain(what))
}
