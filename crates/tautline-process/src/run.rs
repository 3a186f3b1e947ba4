//! The beginning and the end of a program: the runtime, and the exit code.

use std::process::ExitCode;

use anyhow::Context as _;
use tracing::Level;

use crate::log;

/// Sockets with news that the runtime takes from the kernel at once. As many tasks as a worker's queue holds would push
/// others out of it, and those wait for the end of the storm.
pub const IO_EVENTS_PER_POLL: usize = 128;

/// Runs a program to its exit code. An error is printed on stderr; `exit_code_of` says which code it ends with.
pub fn run(
    program: impl FnOnce() -> anyhow::Result<ExitCode>,
    exit_code_of: impl FnOnce(&anyhow::Error) -> ExitCode,
) -> ExitCode {
    log::catch_panics();
    let code = program().unwrap_or_else(|error| {
        log::say(Level::ERROR, &format!("{error:#}"));
        exit_code_of(&error)
    });
    log::flush();
    code
}

/// A runtime with a thread for each core.
///
/// # Errors
/// When the system starts no threads.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_io_events_per_tick(IO_EVENTS_PER_POLL)
        .build()
        .context("cannot start the runtime")
}
