//! What a panic says. It may happen on any thread and at any time, so saying it neither fails nor waits for long.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::{PanicHookInfo, set_hook},
    sync::atomic::Ordering,
    time::Duration,
};

use tracing::Level;

use super::{IS_JSON, now, object, one_line, stderr};

/// How long the thread that panics waits until its words are out, for it may be the end of the process.
const PATIENCE: Duration = Duration::from_millis(100);

/// From now on panics are told in the log.
pub fn catch() {
    set_hook(Box::new(|info| {
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        stderr().write(lines(&words(info), backtrace.as_deref()).as_bytes());
        stderr().flush(PATIENCE);
    }));
}

fn words(info: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
    let message = info.payload_as_str().unwrap_or("(no message)");
    format!("thread {:?} panicked{place}: {message}", thread.name().unwrap_or("without a name"))
}

fn lines(words: &str, backtrace: Option<&str>) -> String {
    if IS_JSON.load(Ordering::Relaxed) {
        let mut object = object(Level::ERROR, "tautline::panic", words);
        if let Some(backtrace) = backtrace {
            object["backtrace"] = backtrace.into();
        }
        return one_line(&object.to_string());
    }
    let mut lines = one_line(&format!("{} ERROR tautline::panic: {words}", now()));
    // Names of functions and files, which are ours.
    backtrace.into_iter().flat_map(str::lines).for_each(|line| lines = lines.clone() + line + "\n");
    lines
}
