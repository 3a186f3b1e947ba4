//! `cargo xtask gold`: builds the game, starts its server on one port and prints the address, for a phone as a QR code.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Args;
use qrcode::{QrCode, render::unicode};
use tautline_steps::{
    command::Command,
    prerequisites::{self, C_TOOLCHAIN, NODE},
    report,
    step::{self, Job, Verdict},
};

use crate::demo;

/// The web page.
pub const PAGE: &str = "examples/gold/web";
/// Where the game is served.
const PORT: u16 = 8010;

/// How the game is served.
#[derive(Args)]
pub struct Options {
    /// Lets phones of the same network play: listens on all addresses of this machine
    #[arg(long)]
    network: bool,
}

impl Options {
    /// Without an app id the mini program makes up its codes.
    fn mock_login(&self) -> bool {
        std::env::var_os("GOLD_WECHAT_APP_ID").is_none()
    }
}

/// Builds, starts the server in the foreground and says where to play once it answers.
///
/// # Errors
/// When the server cannot be started. A failed build has printed why, and is in the exit code.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let outcome = step::run(root, "gold", "building gateway, SDK, game and page", |live, log| {
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
    let listen = if options.network { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    let binary = step::target_dir(root).join("debug/tautline-gold");
    let address = format!("{listen}:{PORT}");
    let login = options.mock_login().then_some("--mock-login");
    let args = ["--listen", &address].into_iter().chain(login);
    let server = Command::new(&binary.to_string_lossy(), args);
    let mut child = server.process(root).spawn().with_context(|| format!("starting `{server}`"))?;
    if demo::answers(&mut child, SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)))? {
        announce(options)?;
    }
    let status = child.wait().context("waiting for the server to end")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// In the profile of tests, as the demo: it is there sooner. The mini program gets its copy of the SDK.
fn build(root: &Path) -> Vec<Command> {
    let server = Command::new("cargo", ["build", "--locked", "--package", "tautline-gold"]);
    let mini = Command::new("node", ["examples/gold/mini/build.mjs"]);
    [server].into_iter().chain(demo::page_of(root, PAGE)).chain([mini]).collect()
}

fn announce(options: &Options) -> Result<()> {
    println!("\nPlay at http://localhost:{PORT} (Ctrl-C ends it; games go on with the next start)");
    if let Some(address) = options.network.then(own_address).flatten() {
        let url = format!("http://{address}:{PORT}");
        println!("Phones in this network play at {url}\n\n{}", picture(&url)?);
    }
    Ok(())
}

fn picture(url: &str) -> Result<String> {
    let code = QrCode::new(url).context("drawing the address")?;
    Ok(code
        .render::<unicode::Dense1x2>()
        .dark_color(unicode::Dense1x2::Light)
        .light_color(unicode::Dense1x2::Dark)
        .build())
}

/// This machine's address in its network: the one that it would send from. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|address| !address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_drawn_as_square_of_blocks() {
        let drawn = picture("http://192.168.1.7:8010").unwrap();
        let widths: Vec<usize> = drawn.lines().map(|line| line.chars().count()).collect();
        assert!(widths.len() >= 14 && widths.iter().all(|width| *width == widths[0]), "{widths:?}");
        assert!(widths[0].div_ceil(2) == widths.len(), "{widths:?}");
    }
}
