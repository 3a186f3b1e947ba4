//! `cargo xtask torture`: a real gateway with a real disk, killed again and again under hundreds of clients. The test of the
//! same name is half a minute of it.

use std::{path::Path, process::ExitCode};

use anyhow::Result;
use tautline_steps::command::Command;

/// How bad it gets.
#[derive(clap::Args)]
pub struct Options {
    /// How long the storm lasts, in seconds
    #[arg(long, default_value_t = 300)]
    seconds: u32,
    /// How often the gateway is killed
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// How many clients
    #[arg(long, default_value_t = 300)]
    phones: u32,
    /// Repeats the network and the schedule of an earlier run
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// The disk acknowledges first and stores a moment later: what a crash takes back must be told
    #[arg(long)]
    relaxed: bool,
}

/// Runs it in the foreground.
///
/// # Errors
/// When cargo cannot be started. What was found is printed, and in the exit code.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let test = ["test", "--release", "--locked", "-p", "tautline", "--test", "torture", "--", "--nocapture"];
    let durability = if options.relaxed { "relaxed" } else { "strict" };
    let command = Command::new("cargo", test)
        .env("TORTURE_SECONDS", options.seconds.to_string())
        .env("TORTURE_KILLS", options.kills.to_string())
        .env("TORTURE_PHONES", options.phones.to_string())
        .env("TORTURE_SEED", options.seed.to_string())
        .env("TORTURE_DURABILITY", durability);
    crate::in_foreground(root, &command)
}
