//! One step of a longer task: its jobs, its log, and how it ended.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    command::{Command, CommandFailed},
    live::{Live, say, seconds},
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
    /// The same, needed by several steps: what has ended well is not run again.
    RunOnce(Command),
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
    say(&format!("{mark} {name} {ended} ({})", seconds(took)));
    let verdict = if passed { Verdict::Passed } else { Verdict::Failed };
    Outcome { name, verdict, took, skipped }
}

/// A step that is not run here, for this reason.
pub fn skipped(name: &'static str, reason: String) -> Outcome {
    say(&format!("- {name} skipped: {reason}"));
    Outcome { name, verdict: Verdict::Skipped(reason), took: Duration::ZERO, skipped: Vec::new() }
}

/// Does the jobs one after the other, up to the first that fails.
///
/// # Errors
/// The failure of that job.
pub fn do_jobs(root: &Path, jobs: &[Job], live: &mut Live, log: &mut dyn Write) -> Result<()> {
    jobs.iter().try_for_each(|job| match job {
        Job::Run(command) => command.run(root, live, log),
        Job::RunOnce(command) => run_once(command, || command.run(root, live, log)),
        Job::Check(check) => check(root),
    })
}

/// Steps that run at the same time wait here for each other.
fn run_once(command: &Command, run: impl FnOnce() -> Result<()>) -> Result<()> {
    static DONE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    let command = command.to_string();
    if !done.contains(&command) {
        run()?;
        done.insert(command);
    }
    Ok(())
}

/// Prints why a step failed, the end of what the command said, and how to run it alone.
fn explain(error: &anyhow::Error, log: &Path) {
    let mut lines = vec![format!("  {}", format!("{error:#}").replace('\n', "\n  "))];
    if let Some(failed) = error.downcast_ref::<CommandFailed>() {
        lines.push(format!("  the end of its output (all of it: {}):", log.display()));
        lines.extend(failed.tail.iter().map(|line| format!("  │ {line}")));
        lines.push(format!("  to run it alone: {}", failed.command));
    }
    say(&lines.join("\n"));
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
    fn job_that_failed_runs_again_and_one_that_passed_does_not() {
        let run = |shell: &str| {
            let mut log = Vec::new();
            let job = Job::RunOnce(Command::new("sh", ["-c", shell]));
            let ended = do_jobs(Path::new("/"), &[job], &mut Live::silent(), &mut log);
            (ended.is_ok(), String::from_utf8(log).unwrap().contains("\nran"))
        };
        assert_eq!([run("echo ran; false"), run("echo ran; false")], [(false, true); 2]);
        assert_eq!([run("echo ran"), run("echo ran")], [(true, true), (true, false)]);
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
