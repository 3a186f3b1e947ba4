//! `cargo xtask test`: every check there is, each a step, all of them reported even when one fails.
//!
//! [`steps`] lists them, [`jobs`] is what each does.

use std::{path::Path, process::ExitCode, thread};

use anyhow::Result;
use clap::{Args, builder::PossibleValuesParser};

use tautline_steps::{
    prerequisites::{self, Prerequisite},
    report,
    step::{self, Job, Outcome, Verdict},
};

use steps::STEPS;

mod jobs;
mod steps;

/// What to run of the tests.
#[derive(Args)]
pub struct Options {
    /// Leave out what takes minutes: docs, browser, frameworks, conformance
    #[arg(long)]
    quick: bool,
    /// Fail, rather than skip, where no Python 2.7 can be found for the conformance suite
    #[arg(long)]
    require_autobahn: bool,
    /// Run this step alone (may be given several times)
    #[arg(long, value_name = "STEP", value_parser = PossibleValuesParser::new(STEPS.iter().map(|step| step.name)))]
    only: Vec<String>,
}

/// One kind of check.
struct Step {
    name: &'static str,
    about: &'static str,
    /// Whether `--quick` runs it.
    quick: bool,
    lane: Lane,
    needs: &'static [&'static Prerequisite],
    /// Why it cannot be run here, if that is no failure.
    skip: fn(&Path, &Options) -> Option<String>,
    /// Asked when what it needs is there.
    jobs: fn(&Path) -> Result<Vec<Job>>,
}

/// Steps of one lane follow each other, the lanes run at the same time: compilers and simulations use all processors, and what
/// talks to browsers and servers mostly waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// What cargo does.
    Cargo,
    /// What uses the built programs, or Node alone.
    Programs,
}

/// Runs the steps that `options` ask for and prints how they went.
///
/// # Errors
/// None of its own: failed steps are in the exit code.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let wanted = |step: &&Step| match options.only.as_slice() {
        [] => step.quick || !options.quick,
        only => only.iter().any(|name| name == step.name),
    };
    let steps: Vec<_> = STEPS.iter().filter(wanted).collect();
    let run_lane = |lane| {
        steps.iter().filter(|step| step.lane == lane).map(|step| run_step(root, options, step)).collect()
    };
    let outcomes = thread::scope(|scope| {
        let programs = scope.spawn(|| run_lane(Lane::Programs));
        let mut outcomes: Vec<_> = run_lane(Lane::Cargo);
        outcomes.extend(programs.join().expect("a step that fails does not panic"));
        outcomes
    });
    print!("\n{}", report::table(&outcomes));
    let failed = outcomes.iter().any(|outcome| outcome.verdict == Verdict::Failed);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn run_step(root: &Path, options: &Options, step: &Step) -> Outcome {
    if let Some(reason) = (step.skip)(root, options) {
        return step::skipped(step.name, reason);
    }
    step::run(root, step.name, step.about, |live, log| {
        step.needs.iter().try_for_each(|wanted| prerequisites::provide(root, wanted, live, log))?;
        step::do_jobs(root, &(step.jobs)(root)?, live, log)
    })
}
