//! One step of a longer task: its jobs, its log, and how it ended.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    command::{Command, CommandFailed},
    live::{Live, seconds},
};

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Passed,
    /// Not as it should; what happened has been printed.
    Failed,
    /// It was not run, for this reason.
    Skipped(String),
}

/// A step that is over.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The step's name.
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
    /// What its tests could not do here, as they said.
    pub skipped: Vec<String>,
}

/// Something to do within a step.
pub enum Job {
    /// A child process that has to end with code 0.
    Run(Command),
    /// A check of our own; its error is the finding.
    Check(fn(&Path) -> Result<()>),
}

/// Runs `work` as a step; what it prints through its log is kept in a file of its own.
pub fn run(
    root: &Path,
    name: &'static str,
    about: &str,
    work: impl FnOnce(&mut Live, &mut dyn Write) -> Result<()>,
) -> Outcome {
    let mut live = Live::start(name, about);
    let result = open_log(root, name).and_then(|mut log| {
        work(&mut live, &mut log)?;
        log.flush().context("writing the log of the step")
    });
    match result {
        Ok(()) => finish(name, live, true),
        Err(error) => {
            let outcome = finish(name, live, false);
            explain(&error, &log_path(root, name));
            outcome
        }
    }
}

/// Ends the show with one line that stays.
fn finish(name: &'static str, live: Live, passed: bool) -> Outcome {
    let (took, skipped) = live.end();
    let (mark, ended) = if passed { ("✔", "passed") } else { ("✘", "failed") };
    println!("{mark} {name} {ended} ({})", seconds(took));
    let verdict = if passed { Verdict::Passed } else { Verdict::Failed };
    Outcome { name, verdict, took, skipped }
}

/// A step that is not run here, for this reason.
pub fn skipped(name: &'static str, reason: String) -> Outcome {
    println!("- {name} skipped: {reason}");
    Outcome { name, verdict: Verdict::Skipped(reason), took: Duration::ZERO, skipped: Vec::new() }
}

/// Does the jobs one after the other, up to the first that fails.
///
/// # Errors
/// The failure of that job.
pub fn do_jobs(root: &Path, jobs: &[Job], live: &mut Live, log: &mut dyn Write) -> Result<()> {
    jobs.iter().try_for_each(|job| match job {
        Job::Run(command) => command.run(root, live, log),
        Job::Check(check) => check(root),
    })
}

/// Prints why a step failed, the end of what the command said, and how to run it alone.
fn explain(error: &anyhow::Error, log: &Path) {
    println!("  {}", format!("{error:#}").replace('\n', "\n  "));
    if let Some(failed) = error.downcast_ref::<CommandFailed>() {
        println!("  the end of its output (all of it: {}):", log.display());
        failed.tail.iter().for_each(|line| println!("  │ {line}"));
        println!("  to run it alone: {}", failed.command);
    }
}

/// Where the whole output of a step is kept.
fn log_path(root: &Path, name: &str) -> PathBuf {
    target_dir(root).join("xtask").join(format!("{name}.log"))
}

fn open_log(root: &Path, name: &str) -> Result<BufWriter<File>> {
    let path = log_path(root, name);
    let dir = path.parent().expect("a log lies in a folder");
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    Ok(BufWriter::new(File::create(&path).with_context(|| format!("making {}", path.display()))?))
}

/// Where cargo builds: the folder that this very binary was built into, whatever configured it.
pub fn target_dir(root: &Path) -> PathBuf {
    let exe = std::env::current_exe().ok();
    let dir = exe.as_deref().and_then(Path::parent).and_then(Path::parent);
    dir.map_or_else(|| root.join("target"), Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_lines_reach_the_table() {
        let mut live = Live::silent();
        let told =
            "echo 'skipped: no strace'; echo ok; echo 'skipped: no strace'; echo '  skipped: no mount'";
        let job = Job::Run(Command::new("sh", ["-c", told]));
        do_jobs(Path::new("/"), &[job], &mut live, &mut Vec::new()).unwrap();
        assert_eq!(live.end().1, ["no strace", "no mount"]);
    }

    #[test]
    fn jobs_stop_at_the_first_failure() {
        fn refuse(_: &Path) -> Result<()> {
            anyhow::bail!("no")
        }
        let jobs = [Job::Check(refuse), Job::Run(Command::new("sh", ["-c", "echo reached"]))];
        let mut log = Vec::new();
        let error = do_jobs(Path::new("/"), &jobs, &mut Live::silent(), &mut log).unwrap_err();
        assert_eq!((error.to_string().as_str(), log.as_slice()), ("no", &b""[..]));
    }
}
