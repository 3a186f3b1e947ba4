//! What a program says on stderr and, beside answers, on stdout: log lines, words for people, panics.
//!
//! Start at [`LogArgs::start`]. Nothing here can fail or wait: lines go to a writer in the background, which drops what cannot be
//! written and counts it. A full disk, a closed pipe or a reader that stops reading costs log lines, and nothing else.

mod background;
mod filter;
mod panics;

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write},
    os::fd::AsFd,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Deserialize;
use serde_json::json;
use tracing::{Level, warn};
use tracing_subscriber::{
    Layer as _, Registry,
    filter::Targets,
    fmt::{self, MakeWriter},
    layer::SubscriberExt as _,
    registry, reload,
    util::SubscriberInitExt as _,
};

use self::background::Background;
pub use self::{filter::LogFilter, panics::catch as catch_panics};
use crate::{escape, units::whole_ms, utc};

/// The variable that says what is logged.
pub const LOG_FILTER: &str = "RUST_LOG";
/// The variable that says what a line of the log looks like.
pub const LOG_FORMAT: &str = "TAUTLINE_LOG_FORMAT";
/// Bytes of lines that wait to be written; more are dropped.
const QUEUE_BYTES_MAX: usize = 1024 * 1024;
/// How long the end of the process waits for what is not written yet.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line, with `timestamp`, `level`, `target`, `message` and what belongs to it.
    Json,
}

/// What the command line says of the log.
#[derive(Clone, Debug, clap::Args)]
pub struct LogArgs {
    /// What to log, and how much of it: `debug`, `warn,tautline_gateway=trace` …; goes to stderr.
    /// [default: info]
    #[arg(long, global = true, env = LOG_FILTER, value_name = "FILTER")]
    log: Option<LogFilter>,
    /// What a line of the log looks like. [default: text]
    #[arg(long, global = true, env = LOG_FORMAT, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

impl std::fmt::Display for LogFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl LogArgs {
    /// The format, where the command line or the environment names one.
    #[must_use]
    pub const fn format(&self) -> Option<LogFormat> {
        self.log_format
    }

    /// What to log, where the command line or the environment says it.
    #[must_use]
    pub const fn filter(&self) -> Option<&LogFilter> {
        self.log.as_ref()
    }

    /// Logs as the command line says from now on.
    pub fn start(&self) {
        start(&self.log.clone().unwrap_or_default(), self.log_format.unwrap_or_default());
    }
}

static IS_JSON: AtomicBool = AtomicBool::new(false);
static IS_COLOURED: AtomicBool = AtomicBool::new(false);

static FILTER: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Logs what `filter` lets through, on stderr, from now on.
pub fn start(filter: &LogFilter, format: LogFormat) {
    let is_json = format == LogFormat::Json;
    // Colours are for people; files get plain text.
    let is_coloured = !is_json && io::stderr().is_terminal();
    IS_JSON.store(is_json, Ordering::Relaxed);
    IS_COLOURED.store(is_coloured, Ordering::Relaxed);
    let lines = fmt::layer()
        .with_writer(LogWriter)
        .with_ansi(is_coloured)
        // It would tell them by `eprintln!`, which panics where stderr is closed.
        .log_internal_errors(false);
    let lines = if is_json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
    let (filter, handle) = reload::Layer::new(filter.targets());
    FILTER.get_or_init(|| handle);
    registry().with(filter).with(lines).init();
}

/// Logs what this filter lets through from now on, where [`start`] was called before.
pub fn set_filter(filter: &LogFilter) {
    if let Some(handle) = FILTER.get() {
        // It fails only where nothing is logged any more.
        let _ = handle.reload(filter.targets());
    }
}

/// Tells a person what no filter may hide.
pub fn say(level: Level, words: &str) {
    let line = if IS_JSON.load(Ordering::Relaxed) {
        object(level, "tautline", words).to_string()
    } else {
        format!("tautline: {words}")
    };
    stderr().write(one_line(&line).as_bytes());
}

/// Prints a line on stdout that others may wait for, such as the address that a server listens on. The server goes on
/// where nobody can read it.
pub fn announce(line: &str) {
    stdout().write((escape::line(line).into_owned() + "\n").as_bytes());
}

/// Waits a moment until everything is written.
pub fn flush() {
    for background in [STDERR.get(), STDOUT.get()].into_iter().flatten() {
        background.flush(FLUSH_PATIENCE);
    }
}

static STDERR: OnceLock<Background> = OnceLock::new();
static STDOUT: OnceLock<Background> = OnceLock::new();

fn stderr() -> &'static Background {
    STDERR.get_or_init(|| Background::start(file_of(&io::stderr()), QUEUE_BYTES_MAX, dropped_notice))
}

fn stdout() -> &'static Background {
    STDOUT
        .get_or_init(|| Background::start(Stdout(file_of(&io::stdout())), QUEUE_BYTES_MAX, |_| String::new()))
}

/// The same file without the standard library's lock, which a stuck writer would hold.
fn file_of(stream: &impl AsFd) -> Box<dyn Write + Send> {
    match stream.as_fd().try_clone_to_owned() {
        Ok(file) => Box::new(File::from(file)),
        // No descriptor is left: lines are dropped.
        Err(_) => Box::new(&mut [][..]),
    }
}

/// Stdout, whose faults are told in the log.
struct Stdout(Box<dyn Write + Send>);

impl Write for Stdout {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line).inspect_err(|error| {
            if !matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) {
                let line = String::from_utf8_lossy(line);
                warn!(event = "stdout_unwritable", %error, line = line.trim_end(), "cannot print on stdout");
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What makes a line of an event. It is given whole events.
struct LogWriter;

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for LogWriter {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        stderr().write(one_line(&String::from_utf8_lossy(event)).as_bytes());
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a peer sent may stand in it: it ends where we end it, and moves no cursor.
fn one_line(text: &str) -> String {
    let text = text.trim_end_matches('\n');
    let line = if IS_JSON.load(Ordering::Relaxed) {
        escape::json(text)
    } else if IS_COLOURED.load(Ordering::Relaxed) {
        escape::coloured_line(text)
    } else {
        escape::line(text)
    };
    line.into_owned() + "\n"
}

fn object(level: Level, target: &str, message: &str) -> serde_json::Value {
    json!({"timestamp": now(), "level": level.as_str(), "message": message, "target": target})
}

fn dropped_notice(count: u64) -> String {
    let words = format!("{count} lines of the log were dropped: stderr did not take them in time");
    one_line(&if IS_JSON.load(Ordering::Relaxed) {
        object(Level::WARN, "tautline::log", &words).to_string()
    } else {
        format!("{}  WARN tautline::log: {words}", now())
    })
}

fn now() -> String {
    utc(whole_ms(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
