//! `cargo xtask demo`: builds what the demo needs and starts it on one port.

use std::{
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ExitCode},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    command::Command,
    npm::{self, npm},
    prerequisites::{self, C_TOOLCHAIN, NODE},
    report,
    step::{self, Job, Verdict},
};

/// Where the demo is served.
const DEMO_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8000);
/// What `tautline` is called with to serve it.
const DEMO_ARGS: [&str; 1] = ["demo"];
/// How often the port is tried until it answers.
const KNOCK_EVERY: Duration = Duration::from_millis(100);

/// Builds, starts the gateway in the foreground and says where to look once it answers.
///
/// # Errors
/// When the gateway cannot be started. A failed build has printed why, and is in the exit code.
pub fn run(root: &Path) -> Result<ExitCode> {
    let outcome = step::run(root, "demo", "building gateway, SDK and demo page", |live, log| {
        [&C_TOOLCHAIN, &NODE]
            .iter()
            .try_for_each(|wanted| prerequisites::provide(root, wanted, live, log))?;
        let jobs: Vec<_> = build(root).into_iter().map(Job::Run).collect();
        step::do_jobs(root, &jobs, live, log)
    });
    if outcome.verdict == Verdict::Failed {
        print!("\n{}", report::table(&[outcome]));
        return Ok(ExitCode::FAILURE);
    }
    let server = Command::new(&binary(root).to_string_lossy(), DEMO_ARGS);
    let mut child = server.process(root).spawn().with_context(|| format!("starting `{server}`"))?;
    if answers(&mut child)? {
        println!("\nThe demo is at http://{DEMO_ADDRESS} (Ctrl-C ends it)");
    }
    let status = child.wait().context("waiting for the gateway to end")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the demo, and the browser test of it, is built with.
pub fn build(root: &Path) -> Vec<Command> {
    let binary = Command::new("cargo", ["build", "--release", "--locked", "--package", "tautline"]);
    let mut commands = vec![binary];
    // The demo page bundles the SDK, so the SDK comes first.
    for dir in ["sdk", "examples/demo"] {
        commands.extend(npm::install(root, dir));
        commands.push(npm(root, dir, ["run", "build"]));
    }
    commands
}

/// The released binary that [`build`] makes.
pub fn binary(root: &Path) -> PathBuf {
    step::target_dir(root).join("release/tautline")
}

/// Waits until the gateway takes connections (true) or has ended without (false).
fn answers(child: &mut Child) -> Result<bool> {
    while TcpStream::connect_timeout(&DEMO_ADDRESS, KNOCK_EVERY).is_err() {
        if child.try_wait().context("looking after the gateway")?.is_some() {
            return Ok(false);
        }
        thread::sleep(KNOCK_EVERY);
    }
    Ok(true)
}
