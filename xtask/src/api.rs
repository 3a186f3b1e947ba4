//! `cargo xtask api`: the server API is held against its own document.
//!
//! schemathesis makes requests from the document, good and bad ones, and compares the answers with it; redocly and spectral
//! read the document itself. All of them must have nothing to say.

use std::{
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use anyhow::{Context, Result, ensure};
use tautline_steps::{
    command::Command,
    live::Live,
    npm::{self, npm},
    step,
};

const SCHEMATHESIS: &str = "schemathesis==4.32.5";
const KEY: &str = "a-key-for-schemathesis";
/// Where the Node packages are that read the document.
const LINTERS: &str = "server-client";

/// How thoroughly.
#[derive(clap::Args)]
pub struct Options {
    /// Requests of each operation and phase
    #[arg(long, default_value_t = 25)]
    pub examples: u32,
}

/// Runs all three and fails with the first finding.
///
/// # Errors
/// A finding, or anything that kept the tools from running.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let schemathesis = install(root).context("installing schemathesis")?;
    if let Some(install) = npm::install(root, LINTERS) {
        shell(root, &install)?;
    }
    let server = Server::start(root)?;
    let document = format!("http://{}/api/v1/openapi.json", server.address);
    shell(root, &npm(root, LINTERS, ["exec", "--", "redocly", "lint", &document]))?;
    let spectral = ["exec", "--", "spectral", "lint", "--fail-severity", "error", &document];
    shell(root, &npm(root, LINTERS, spectral))?;
    let (examples, header) = (options.examples.to_string(), format!("Authorization: Bearer {KEY}"));
    let args = ["run", &document, "--header", &header, "--max-examples", &examples];
    let checks = ["--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"];
    // JSON Schema counts characters and the gateway bytes: they agree about ASCII.
    let same = ["--generation-codec", "ascii", "--seed", "1", "--workers", "2", "--no-color"];
    let args = args.into_iter().chain(checks).chain(same);
    shell(root, &Command::new(&schemathesis.to_string_lossy(), args))
}

/// Makes a virtual environment with schemathesis, or finds the one of an earlier run.
fn install(root: &Path) -> Result<PathBuf> {
    let dir = root.join(".tools").join(SCHEMATHESIS);
    let program = dir.join("bin/schemathesis");
    if !program.exists() {
        let environment = dir.to_string_lossy();
        shell(root, &Command::new("python3", ["-m", "venv", "--clear", &environment]))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", SCHEMATHESIS];
        shell(root, &Command::new(&format!("{environment}/bin/python"), pip))?;
    }
    Ok(program)
}

/// Runs a command whose output is ours.
fn shell(root: &Path, command: &Command) -> Result<()> {
    command.run(root, &mut Live::silent(), &mut io::stdout())
}

/// A gateway in memory; ends with this value.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(root: &Path) -> Result<Self> {
        let binary = step::target_dir(root).join("debug/tautline");
        if !binary.exists() {
            shell(root, &Command::new("cargo", ["build", "--locked", "--package", "tautline"]))?;
        }
        let args = ["serve", "--listen", "127.0.0.1:0", "--engine", "memory"];
        let command = Command::new(&binary.to_string_lossy(), args)
            .env("TAUTLINE_API_KEY", KEY)
            // Or else large bodies are refused before anybody sees what is wrong with them.
            .env("TAUTLINE__SERVER__API_BODY_BYTES_MAX", "64MiB");
        let mut process = command.process(root);
        let mut child =
            process.stdout(Stdio::piped()).spawn().with_context(|| format!("starting `{command}`"))?;
        let output = child.stdout.take().expect("its output was asked for");
        let mut server = Self { child, address: String::new() };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).context("reading where the gateway listens")?;
        let address = line.split_once("http://").and_then(|(_, rest)| rest.split_whitespace().next());
        server.address = address.unwrap_or_default().to_owned();
        ensure!(!server.address.is_empty(), "`{command}` ended without saying where it listens");
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Best effort: it may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
