//! A child process as data: run it with its output caught, or say it so that a person can run it alone.

use std::{
    collections::VecDeque,
    env, fmt,
    io::{BufRead, BufReader, PipeReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command as Process, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::live::Live;

/// No command may take longer; a hung browser must not hold the whole run for ever.
const RUN_TIME_MAX: Duration = Duration::from_secs(30 * 60);
/// How often a silent command is looked at.
const TICK: Duration = Duration::from_millis(200);
/// How long output may still trickle in once the command itself has ended.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);
/// How many of the last lines a failure keeps.
const TAIL_LINES_MAX: usize = 80;

/// What to run, where and with which environment.
#[derive(Clone, Debug)]
pub struct Command {
    program: String,
    args: Vec<String>,
    dir: String,
    env: Vec<(&'static str, String)>,
    path_front: Option<String>,
}

/// A command that did not end well.
#[derive(Debug, thiserror::Error)]
#[error("`{command}` {why}")]
pub struct CommandFailed {
    /// The command as a person would type it.
    pub command: String,
    /// How it ended.
    pub why: String,
    /// The end of what it printed.
    pub tail: Vec<String>,
}

impl Command {
    /// Runs `program` at the root of the checkout.
    pub fn new<I: IntoIterator<Item = A>, A: Into<String>>(program: &str, args: I) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self { program: program.to_owned(), args, dir: String::new(), env: Vec::new(), path_front: None }
    }

    /// Runs in `dir`, relative to the root.
    pub fn within(mut self, dir: &str) -> Self {
        dir.clone_into(&mut self.dir);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Looks in `dir` (absolute) for programs before everything on `PATH`.
    pub fn path_front(mut self, dir: &Path) -> Self {
        self.path_front = Some(dir.display().to_string());
        self
    }

    /// Whether its program is installed.
    pub fn is_runnable(&self) -> bool {
        on_path(&self.program).is_some()
    }

    /// The process, ready to spawn, with this process's own input and output.
    pub fn process(&self, root: &Path) -> Process {
        let mut process = Process::new(&self.program);
        process.args(&self.args).current_dir(root.join(&self.dir));
        process.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(front) = &self.path_front {
            let path = env::var("PATH").unwrap_or_default();
            process.env("PATH", format!("{front}:{path}"));
        }
        process
    }

    /// Runs to the end with nothing on standard input; every line goes to `live` and to `log`.
    ///
    /// # Errors
    /// [`CommandFailed`] when it does not start, ends with another code than 0, or takes more than 30 minutes.
    pub fn run(&self, root: &Path, live: &mut Live, log: &mut dyn Write) -> Result<()> {
        writeln!(log, "$ {self}").context("writing the log of the step")?;
        let (reader, writer) = std::io::pipe().context("opening a pipe for the output")?;
        let mut process = self.process(root);
        process.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let mut child = match process.spawn() {
            Ok(child) => child,
            Err(error) => return Err(self.failed(format!("did not start: {error}"), VecDeque::new())),
        };
        // The parent's copies of the pipe's writing end live in `process`; with them open the output never ends.
        drop(process);

        let mut tail = VecDeque::new();
        let lines = lines_of(reader);
        let ended = follow(&mut child, &lines, RUN_TIME_MAX, |line| {
            if let Some(line) = line {
                live.line(&line);
                writeln!(log, "{line}")?;
                if tail.len() == TAIL_LINES_MAX {
                    tail.pop_front();
                }
                tail.push_back(line);
            }
            live.tick();
            Ok(())
        })?;
        match ended {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.failed(format!("ended with {status}"), tail)),
            None => Err(self.failed(format!("took longer than {RUN_TIME_MAX:?} and was stopped"), tail)),
        }
    }

    fn failed(&self, why: String, tail: VecDeque<String>) -> anyhow::Error {
        CommandFailed { command: self.to_string(), why, tail: tail.into() }.into()
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.dir.is_empty() {
            write!(f, "cd {} && ", self.dir)?;
        }
        for (name, value) in &self.env {
            write!(f, "{name}={} ", quoted(value))?;
        }
        write!(f, "{}", self.program)?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", quoted(arg)))
    }
}

/// Where `PATH` has a program of this name.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|candidate| candidate.is_file())
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

/// Reads the pipe on a thread of its own, so that a silent command can be timed.
fn lines_of(reader: PipeReader) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        // An unreadable pipe is the end of the output; what the command itself says of it is in its exit code.
        while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    receiver
}

/// Hands over each line, and `None` at every tick, until the command has ended (its status) or its time is up (`None`).
fn follow(
    child: &mut Child,
    lines: &Receiver<String>,
    time_max: Duration,
    mut on: impl FnMut(Option<String>) -> Result<()>,
) -> Result<Option<ExitStatus>> {
    let started = Instant::now();
    let mut exited: Option<Instant> = None;
    while started.elapsed() < time_max {
        match lines.recv_timeout(TICK) {
            Ok(line) => on(Some(line))?,
            Err(RecvTimeoutError::Timeout) => {
                on(None)?;
                if child.try_wait()?.is_some() {
                    // A daemon it left behind may hold the pipe open for ever.
                    let since = exited.get_or_insert_with(Instant::now);
                    if since.elapsed() > DRAIN_TIME_MAX {
                        break;
                    }
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(Some(child.wait()?)),
        }
    }
    if exited.is_none() {
        kill_tree(child);
    }
    let status = child.wait()?;
    Ok(exited.map(|_| status))
}

/// Ends a command and everything it started: killing `npm` alone would leave its browser running.
fn kill_tree(child: &mut Child) {
    let mut pids = vec![child.id().to_string()];
    let mut next = 0;
    while next < pids.len() {
        let children = format!("/proc/{0}/task/{0}/children", pids[next]);
        let children = std::fs::read_to_string(children).unwrap_or_default();
        pids.extend(children.split_whitespace().map(str::to_owned));
        next += 1;
    }
    // Best effort from here: the failure itself is reported, and a process that is gone already is no news.
    let _ = Process::new("sh").args(["-c", &format!("kill -KILL {}", pids.join(" "))]).status();
    let _ = child.kill();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str) -> (Result<()>, String) {
        let mut log = Vec::new();
        let command = Command::new("sh", ["-c", script]);
        let result = command.run(Path::new("/"), &mut Live::silent(), &mut log);
        (result, String::from_utf8(log).unwrap())
    }

    #[test]
    fn stdout_and_stderr_are_logged_in_order() {
        let (result, log) = run("echo one; echo two >&2; echo three");
        result.unwrap();
        assert!(log.ends_with("one\ntwo\nthree\n"), "{log}");
    }

    #[test]
    fn failure_keeps_output_tail_and_exit_code() {
        let (result, _) = run("seq 1 200; exit 3");
        let error = result.unwrap_err();
        let failed = error.downcast_ref::<CommandFailed>().unwrap();
        assert!(failed.why.contains('3'), "{}", failed.why);
        assert_eq!(failed.tail.len(), TAIL_LINES_MAX);
        assert_eq!(failed.tail.last().unwrap(), "200");
    }

    #[test]
    fn daemon_holding_the_pipe_does_not_block() {
        let started = Instant::now();
        run("sleep 60 & echo started").0.unwrap();
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn hanging_command_is_killed_with_its_children() {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut hanging = Process::new("sh");
        let mut child = hanging.args(["-c", "sleep 600; echo woken"]).stdout(writer).spawn().unwrap();
        drop(hanging);
        let lines = lines_of(reader);
        let ended = follow(&mut child, &lines, 2 * TICK, |_| Ok(())).unwrap();
        assert_eq!(ended, None);
        // The pipe closes only when the last process that holds it is gone.
        assert_eq!(lines.recv_timeout(DRAIN_TIME_MAX), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn command_displays_as_typed() {
        let command = Command::new("npm", ["run", "a b"]).within("sdk").env("CI", "true");
        assert_eq!(command.to_string(), "cd sdk && CI=true npm run 'a b'");
    }
}
