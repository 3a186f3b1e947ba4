//! `cargo xtask mutants`: breaks the code on purpose, one way at a time, and asks the tests whether they notice.
//!
//! Each patch of a `mutants` folder is one promise broken, named for what the code then does. It is applied to a copy of the
//! tree; the simulation's tests have to fail, or at least the unit tests and vectors of the crate that was broken. What is
//! below the simulation, the gateway's sockets, has its own tests. What nobody notices is a hole in the tests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail, ensure};

use crate::command::Command;

/// Where patches lie, and whom they are for.
const PATCHES: [(&str, &[Jury]); 2] =
    [("crates/tautline-sim/mutants", &JURIES), ("crates/tautline-gateway/mutants", &[SOCKETS])];
/// The copy that is broken, and what is built of it. The same folder each time, so that only what was broken is built anew.
const TREE: &str = "target/mutants/tree";
const BUILD: &str = "target/mutants/build";

/// Tests by name, and how they are run.
type Jury = (&'static str, &'static [&'static str]);

/// The tests that are asked, the next only where the one before noticed nothing.
const JURIES: [Jury; 3] = [
    ("promises", &["-p", "tautline-sim", "--test", "promises"]),
    ("storms", &["-p", "tautline-sim", "--test", "storms"]),
    ("unit tests and vectors", &["-p", "tautline-protocol", "-p", "tautline-hub"]),
];

/// The tests of what moves bytes.
const SOCKETS: Jury = ("the gateway's unit tests", &["-p", "tautline-gateway", "--lib"]);
/// A mutant may leave a test waiting for ever, which is noticed, too. In seconds, well above what any jury takes.
const PATIENCE_S: &str = "120";

/// Which mutants to try.
#[derive(clap::Args)]
pub struct Options {
    /// Names of mutants, or parts of them; all of them where none is given
    names: Vec<String>,
}

/// Tries the mutants and prints who noticed each.
///
/// # Errors
/// When the tests fail without any mutant, or a patch does not fit the code any more.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let patches = patches(root, &options.names)?;
    copy_tree(root).context("copying the tree")?;
    println!("{} mutants; first the code as it is", patches.len());
    for (jury, args) in JURIES.into_iter().chain([SOCKETS]) {
        ensure!(builds(root, args)? && passes(root, args)?, "{jury}: the tests fail without any mutant");
    }
    let mut unnoticed = 0;
    for (patch, juries) in &patches {
        let name = patch.file_stem().unwrap_or_default().display();
        let verdict = try_mutant(root, patch, juries).with_context(|| format!("mutant {name}"))?;
        unnoticed += u32::from(verdict.is_none());
        println!(
            "{name}: {}",
            verdict.map_or("NOBODY NOTICED".to_owned(), |jury| format!("noticed by {jury}"))
        );
    }
    println!("{} of {} noticed", patches.len() - unnoticed as usize, patches.len());
    Ok(if unnoticed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn patches(root: &Path, names: &[String]) -> Result<Vec<(PathBuf, &'static [Jury])>> {
    let mut patches = Vec::new();
    for (folder, juries) in PATCHES {
        for entry in fs::read_dir(root.join(folder)).with_context(|| format!("reading {folder}"))? {
            let path = entry?.path();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let wanted = names.is_empty() || names.iter().any(|name| stem.contains(name));
            if wanted && path.extension().is_some_and(|extension| extension == "patch") {
                patches.push((path, juries));
            }
        }
    }
    ensure!(!patches.is_empty(), "no mutant has such a name; they are in {PATCHES:?}");
    patches.sort();
    Ok(patches)
}

/// Copies what git knows or would add. Fresh copies are newer than what was built of the last ones: nothing stale is used.
fn copy_tree(root: &Path) -> Result<()> {
    let tree = root.join(TREE);
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    let listing = Command::new("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = listing.process(root).output().context("starting git")?;
    ensure!(output.status.success(), "`{listing}` ended with {}", output.status);
    for file in String::from_utf8(output.stdout)?.split_terminator('\0') {
        let from = root.join(file);
        // Deleted and not yet committed.
        if !from.is_file() {
            continue;
        }
        let to = tree.join(file);
        fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
        fs::copy(from, to)?;
    }
    Ok(())
}

/// Who noticed; nobody, where `None`.
fn try_mutant(root: &Path, patch: &Path, juries: &[Jury]) -> Result<Option<&'static str>> {
    apply(root, patch, &[])?;
    let verdict = judge(root, juries);
    apply(root, patch, &["--reverse"])?;
    verdict
}

fn judge(root: &Path, juries: &[Jury]) -> Result<Option<&'static str>> {
    for (jury, args) in juries {
        ensure!(builds(root, args)?, "it does not build: a mutant must be code that could have been written");
        if !passes(root, args)? {
            return Ok(Some(jury));
        }
    }
    Ok(None)
}

fn apply(root: &Path, patch: &Path, more: &[&str]) -> Result<()> {
    let directory = format!("--directory={TREE}");
    let mut args = vec!["apply".to_owned(), directory];
    args.extend(more.iter().map(|arg| (*arg).to_owned()));
    args.push(patch.display().to_string());
    let output = Command::new("git", args).process(root).output().context("starting git")?;
    if !output.status.success() {
        bail!("it does not fit the code any more: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn builds(root: &Path, args: &[&str]) -> Result<bool> {
    cargo_test(root, "cargo", &["test", "--no-run"], args)
}

fn passes(root: &Path, args: &[&str]) -> Result<bool> {
    cargo_test(root, "timeout", &[PATIENCE_S, "cargo", "test"], args)
}

fn cargo_test(root: &Path, program: &str, first: &[&str], args: &[&str]) -> Result<bool> {
    let all = first.iter().chain(&["--quiet", "--locked"]).chain(args).copied();
    let command = Command::new(program, all)
        .within(TREE)
        .env("CARGO_TARGET_DIR", root.join(BUILD).display().to_string())
        .env("RUST_BACKTRACE", "0");
    let output = command.process(root).output().with_context(|| format!("starting `{command}`"))?;
    Ok(output.status.success())
}
