//! `cargo xtask demo`: builds what the demo needs and starts it on one port.

use std::{
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ExitCode},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use tautline_steps::{
    command::Command,
    npm::{self, npm},
    prerequisites::{self, C_TOOLCHAIN, NODE},
    report,
    step::{self, Job, Verdict},
};

/// Where the demo is served.
const DEMO_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8000);
/// How often the port is tried until it answers.
const KNOCK_EVERY: Duration = Duration::from_millis(100);

/// Builds, starts the demo in the foreground and says where to look once it answers.
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
    let server = Command::new(&binary(root).to_string_lossy(), [""; 0]);
    let mut child = server.process(root).spawn().with_context(|| format!("starting `{server}`"))?;
    if answers(&mut child, DEMO_ADDRESS)? {
        println!("\nThe demo is at http://{DEMO_ADDRESS} (Ctrl-C ends it)");
    }
    let status = child.wait().context("waiting for the gateway to end")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the demo is built with. In the profile of tests: it is there in a third of the time, and fast enough for two phones.
fn build(root: &Path) -> Vec<Command> {
    let server = Command::new("cargo", ["build", "--locked", "--package", "tautline-demo"]);
    [server].into_iter().chain(page(root)).collect()
}

/// Builds the page.
pub fn page(root: &Path) -> Vec<Command> {
    page_of(root, "examples/demo")
}

/// Builds the page in this folder, which bundles the SDK: so the SDK comes first.
pub fn page_of(root: &Path, folder: &str) -> Vec<Command> {
    let build = |dir| npm::install(root, dir).into_iter().chain([npm(root, dir, ["run", "build"])]);
    ["sdk", folder].into_iter().flat_map(build).collect()
}

fn binary(root: &Path) -> PathBuf {
    step::target_dir(root).join("debug/tautline-demo")
}

/// Waits until a server takes connections (true) or has ended without (false).
///
/// # Errors
/// When the system does not tell what became of it.
pub fn answers(child: &mut Child, address: SocketAddr) -> Result<bool> {
    while TcpStream::connect_timeout(&address, KNOCK_EVERY).is_err() {
        if child.try_wait().context("looking after the gateway")?.is_some() {
            return Ok(false);
        }
        thread::sleep(KNOCK_EVERY);
    }
    Ok(true)
}
