//! One step of a longer task, shown while it runs: a spinner on a terminal, plain lines elsewhere.

use std::{
    fs::File,
    io::{BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::command::{Command, CommandFailed};

/// Between two signs of life where there is no spinner; many build servers end a job that is silent for ten minutes.
const PLAIN_SIGN_EVERY: Duration = Duration::from_secs(60);

const FRAMES: [&str; 4] = ["|", "/", "-", "\\"];
const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// How a test begins the line that says what it could not do on this machine, and why.
const SKIPPED: &str = "skipped: ";

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

/// What the person at the terminal sees while a step runs.
pub struct Live {
    name: &'static str,
    spinner: Option<Spinner>,
    plain: bool,
    started: Instant,
    sign_due: Instant,
    last_line: String,
    skipped: Vec<String>,
}

impl Live {
    /// Starts to show a step.
    pub fn start(name: &'static str, about: &str) -> Self {
        let plain = std::env::var_os("CI").is_some() || !std::io::stderr().is_terminal();
        if plain {
            println!("→ {name}: {about}");
        }
        let spinner = (!plain).then(Spinner::default);
        Self { name, spinner, plain, last_line: about.to_owned(), ..Self::silent() }
    }

    /// Shows nothing.
    pub fn silent() -> Self {
        let now = Instant::now();
        Self {
            name: "",
            spinner: None,
            plain: false,
            started: now,
            sign_due: now + PLAIN_SIGN_EVERY,
            last_line: String::new(),
            skipped: Vec::new(),
        }
    }

    /// Takes a line of the running command's output.
    pub fn line(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        if let Some(what) = line.strip_prefix(SKIPPED)
            && !self.skipped.iter().any(|known| known == what)
        {
            self.skipped.push(what.to_owned());
        }
        line.clone_into(&mut self.last_line);
    }

    /// Says that the step is alive, where a spinner does not.
    pub fn tick(&mut self) {
        let now = Instant::now();
        if let Some(spinner) = &mut self.spinner {
            spinner.draw(self.name, now - self.started, &self.last_line);
        }
        if self.plain && now >= self.sign_due {
            println!("  … {}, {}: {}", self.name, seconds(now - self.started), self.last_line);
            self.sign_due = now + PLAIN_SIGN_EVERY;
        }
    }

    /// Ends the show with one line that stays.
    fn finish(self, passed: bool) -> Outcome {
        let took = self.started.elapsed();
        if let Some(spinner) = self.spinner {
            spinner.clear();
        }
        let (mark, ended) = if passed { ("✔", "passed") } else { ("✘", "failed") };
        println!("{mark} {} {ended} ({})", self.name, seconds(took));
        let verdict = if passed { Verdict::Passed } else { Verdict::Failed };
        Outcome { name: self.name, verdict, took, skipped: self.skipped }
    }
}

/// One line on a terminal that is drawn anew.
#[derive(Default)]
struct Spinner {
    frame: usize,
    drawn: Option<Instant>,
}

impl Spinner {
    fn draw(&mut self, name: &str, took: Duration, line: &str) {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < REDRAW_EVERY) {
            return;
        }
        self.drawn = Some(Instant::now());
        self.frame = (self.frame + 1) % FRAMES.len();
        let text = format!("{} {name} {} {line}", FRAMES[self.frame], seconds(took));
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(80);
        let shown: String = text.chars().filter(|c| !c.is_control()).take(columns.max(2) - 1).collect();
        eprint!("\r\x1b[2K{shown}");
    }

    fn clear(self) {
        eprint!("\r\x1b[2K");
    }
}

/// Runs `work` as a step; what it prints through its log is kept in [`log_path`].
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
        Ok(()) => live.finish(true),
        Err(error) => {
            let outcome = live.finish(false);
            explain(&error, &log_path(root, name));
            outcome
        }
    }
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

/// A duration as people read it.
pub fn seconds(took: Duration) -> String {
    let seconds = took.as_secs();
    if seconds >= 60 {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
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
    fn long_times_are_told_in_minutes() {
        assert_eq!(seconds(Duration::from_millis(1_240)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn what_a_test_could_not_do_is_kept_for_the_table() {
        let mut live = Live::silent();
        let told =
            "echo 'skipped: no strace'; echo ok; echo 'skipped: no strace'; echo '  skipped: no mount'";
        let job = Job::Run(Command::new("sh", ["-c", told]));
        do_jobs(Path::new("/"), &[job], &mut live, &mut Vec::new()).unwrap();
        assert_eq!(live.finish(true).skipped, ["no strace", "no mount"]);
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
