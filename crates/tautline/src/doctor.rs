//! `tautline doctor`: examines what the gateway depends on.

use std::{io::Write as _, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use tautline_process::escape;
use tautline_redis::doctor::{Grade, examine};

use crate::config::{Engine, Settings};

/// What to examine.
#[derive(Debug, Subcommand)]
pub(crate) enum Examined {
    /// The Redis that is the engine: what it can do, what of it is used, and what to change.
    Redis,
}

/// Prints what was found. Exit code 1 where something does not work.
///
/// # Errors
/// Where it cannot be examined at all.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let Engine::Redis(url) = &settings.engine else {
        bail!("the engine is {}: name a Redis, as in --engine redis://127.0.0.1:6379", settings.engine)
    };
    let findings = examine(&settings.redis_options(url))?;
    let text: String =
        findings.iter().map(|finding| escape::line(&finding.to_string()).into_owned() + "\n").collect();
    std::io::stdout().write_all(text.as_bytes()).context("cannot print")?;
    let works = findings.iter().all(|finding| finding.grade < Grade::Fault);
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
