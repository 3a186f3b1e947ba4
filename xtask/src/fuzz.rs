//! `cargo xtask fuzz`: lets a fuzzer look for bytes that break a promise of `crates/tautline-fuzz`.
//!
//! It begins with what is kept in `fuzz/corpus` and with what earlier runs found on this machine, and stops at the first input
//! that breaks something. `--keep` adds to `fuzz/corpus` what reaches code that nothing kept does; every `cargo test` replays
//! that on the stable toolchain.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, ensure};

use tautline_steps::{
    command::Command,
    live::Live,
    prerequisites::{self, CARGO_FUZZ, NIGHTLY, cargo_fuzz_bin},
    step,
};

/// Where the targets lie, one a file.
const TARGETS: &str = "fuzz/fuzz_targets";
/// The longest input, in bytes: whatever these decoders can do to each other, they can do it in few.
const INPUT_BYTES_MAX: u32 = 2048;
/// The longest that is kept.
const KEPT_BYTES_MAX: u32 = 512;

/// What to look for, and for how long.
#[derive(clap::Args)]
pub struct Options {
    /// One target alone; all of them, one after the other, where none is given
    target: Option<String>,
    /// How long each target is tried
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Adds what reaches new code to the corpus
    #[arg(long)]
    keep: bool,
}

/// Runs the fuzzer.
///
/// # Errors
/// When something is missing or does not build. What broke a promise is printed, and in the exit code.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    for wanted in [&NIGHTLY, &CARGO_FUZZ] {
        prerequisites::provide(root, wanted, &mut Live::silent(), &mut std::io::stdout())?;
    }
    let mut targets = targets(root)?;
    if let Some(name) = &options.target {
        ensure!(targets.contains(name), "no target is called {name}; there are {}", targets.join(", "));
        targets = vec![name.clone()];
    }
    for target in targets {
        if !fuzz(root, &target, options)? {
            println!("{target}: a promise was broken; the input lies in fuzz/artifacts/{target}");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn targets(root: &Path) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(root.join(TARGETS)).with_context(|| format!("reading {TARGETS}"))? {
        targets.extend(entry?.path().file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    targets.sort();
    Ok(targets)
}

/// Whether every promise held.
fn fuzz(root: &Path, target: &str, options: &Options) -> Result<bool> {
    let found = step::target_dir(root).join("fuzz/corpus").join(target);
    fs::create_dir_all(&found).with_context(|| format!("making {}", found.display()))?;
    let found = found.display().to_string();
    let kept = format!("fuzz/corpus/{target}");
    let time = format!("-max_total_time={}", options.seconds);
    let length = format!("-max_len={INPUT_BYTES_MAX}");
    // New inputs go to the first folder.
    let held = passes(root, target, [&found, &kept], &[&time, &length, "-print_final_stats=1"])?;
    if held && options.keep {
        let length = format!("-max_len={KEPT_BYTES_MAX}");
        ensure!(
            passes(root, target, [&kept, &found], &["-merge=1", &length])?,
            "{target}: merging what was found failed"
        );
    }
    Ok(held)
}

fn passes(root: &Path, target: &str, corpora: [&str; 2], options: &[&str]) -> Result<bool> {
    let build = step::target_dir(root).join("fuzz").display().to_string();
    // No sanitizer: nothing here is unsafe, and panics are what is looked for.
    let tool =
        ["run", "nightly", "cargo", "fuzz", "run", "--sanitizer", "none", "--target-dir", &build, target];
    let args = tool.iter().chain(&corpora).chain(&["--"]).chain(options).copied();
    let command = Command::new("rustup", args).path_front(&cargo_fuzz_bin(root));
    let status = command.process(root).status().with_context(|| format!("starting `{command}`"))?;
    Ok(status.success())
}
