//! `cargo xtask cards`: builds the card shop, starts its back end and its gateway and prints the address.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use tautline_steps::{
    command::Command,
    npm,
    prerequisites::{self, C_TOOLCHAIN, NODE},
    report,
    step::{self, Job, Verdict},
};

use crate::demo;

/// The web page.
pub const PAGE: &str = "examples/cards/web";
/// The back end in Node.
pub const SERVER: &str = "examples/cards/server-node";

/// What the shop is run with.
#[derive(Args)]
pub struct Options {
    /// Which of its back ends
    #[arg(long, value_enum, default_value = "node")]
    server: Server,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Server {
    /// examples/cards/server-node
    Node,
    /// examples/cards/server-rust
    Rust,
}

/// Builds, starts everything in the foreground; `run.mjs` prints where the shop is.
///
/// # Errors
/// When it cannot be started. A failed build has printed why, and is in the exit code.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let outcome = step::run(root, "cards", "building gateway, SDK, back end and page", |live, log| {
        [&C_TOOLCHAIN, &NODE]
            .iter()
            .try_for_each(|wanted| prerequisites::provide(root, wanted, live, log))?;
        let jobs: Vec<_> = build(root, options.server).into_iter().map(Job::Run).collect();
        step::do_jobs(root, &jobs, live, log)
    });
    if outcome.verdict == Verdict::Failed {
        print!("\n{}", report::table(&[outcome]));
        return Ok(ExitCode::FAILURE);
    }
    let gateway = binary(root, "tautline").to_string_lossy().into_owned();
    let mut arguments = vec!["examples/cards/run.mjs".to_owned(), gateway];
    if options.server == Server::Rust {
        arguments.push(binary(root, "tautline-cards").to_string_lossy().into_owned());
    }
    let shop = Command::new("node", arguments).path_front(&npm::own_node_bin(root));
    let status = shop.process(root).status().with_context(|| format!("starting `{shop}`"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// In the profile of tests, as the demo: it is there sooner. The mini program gets its copy of the SDK.
fn build(root: &Path, server: Server) -> Vec<Command> {
    let gateway = Command::new("cargo", ["build", "--locked", "--package", "tautline"]);
    let server = match server {
        Server::Node => npm::install(root, SERVER),
        Server::Rust => Some(Command::new("cargo", ["build", "--locked", "--package", "tautline-cards"])),
    };
    let mini = Command::new("node", ["examples/cards/mini/build.mjs"]).path_front(&npm::own_node_bin(root));
    [gateway].into_iter().chain(server).chain(demo::page_of(root, PAGE)).chain([mini]).collect()
}

fn binary(root: &Path, name: &str) -> PathBuf {
    step::target_dir(root).join("debug").join(name)
}
