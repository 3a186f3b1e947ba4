//! `cargo xtask mutants`: breaks the code on purpose, one way at a time, and asks the tests whether they notice.
//!
//! Each entry of a page in `mutants` is one promise broken, named for what the code then does. It is applied to a copy of the
//! tree, and one of its commands has to fail. What nobody notices is a hole in the tests. [`mod@entry`] is the form of a page.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, ensure};

use tautline_steps::{command::Command, npm};

pub use entry::check;
use entry::{FOLDER, Mutant};

mod entry;

/// The copy that is broken, and what is built of it. The same folder each time, so that only what was broken is built anew.
const TREE: &str = "target/mutants/tree";
const BUILD: &str = "target/mutants/build";
/// A mutant may leave a test waiting for ever, which is noticed, too. In seconds, well above what any command takes.
const PATIENCE_S: &str = "120";
/// Whose packages the commands of the SDK need.
const SDK: &str = "sdk";

/// Which mutants to try.
#[derive(clap::Args)]
pub struct Options {
    /// Names of mutants, or parts of them; all of them where none is given
    names: Vec<String>,
}

/// Tries the mutants and prints who noticed each.
///
/// # Errors
/// When the tests fail without any mutant, or a mutant does not fit the code any more.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    check(root)?;
    let mut mutants = entry::read_all(root)?;
    let wanted =
        |name: &str| options.names.is_empty() || options.names.iter().any(|part| name.contains(part));
    mutants.retain(|mutant| wanted(&mutant.name));
    ensure!(!mutants.is_empty(), "no mutant has such a name; they are in {FOLDER}");
    copy_tree(root).context("copying the tree")?;
    println!("{} mutants; first the code as it is", mutants.len());
    check_unbroken(root, &mutants)?;
    let mut unnoticed = 0;
    for mutant in &mutants {
        let verdict = try_mutant(root, mutant).with_context(|| format!("mutant {}", mutant.name))?;
        unnoticed += usize::from(verdict.is_none());
        let told = verdict.map_or("NOBODY NOTICED".to_owned(), |command| format!("noticed by {command}"));
        println!("{}: {told}", mutant.name);
    }
    println!("{} of {} noticed", mutants.len() - unnoticed, mutants.len());
    Ok(if unnoticed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

/// Every command passes before anything is broken, else its failing says nothing.
fn check_unbroken(root: &Path, mutants: &[Mutant]) -> Result<()> {
    let mut asked: Vec<&String> = Vec::new();
    for mutant in mutants {
        for command in &mutant.must_fail {
            if asked.contains(&command) {
                continue;
            }
            asked.push(command);
            if command.starts_with("npm") {
                lend_packages(root)?;
            }
            let passes = builds(root, mutant, command)? && passes(root, command)?;
            ensure!(passes, "`{command}` fails without any mutant");
        }
    }
    Ok(())
}

/// The copy has no Node packages: it borrows those of the checkout.
fn lend_packages(root: &Path) -> Result<()> {
    if let Some(install) = npm::install(root, SDK) {
        let status = install.process(root).status().with_context(|| format!("starting `{install}`"))?;
        ensure!(status.success(), "`{install}` ended with {status}");
    }
    let packages = root.join(TREE).join(SDK).join("node_modules");
    if !packages.exists() {
        std::os::unix::fs::symlink(root.join(SDK).join("node_modules"), &packages)?;
    }
    Ok(())
}

/// The command that noticed; `None` where none did.
fn try_mutant<'a>(root: &Path, mutant: &'a Mutant) -> Result<Option<&'a str>> {
    let mut whole = Vec::new();
    for edit in &mutant.edits {
        let path = root.join(TREE).join(&edit.file);
        let text = fs::read_to_string(&path).with_context(|| edit.file.clone())?;
        fs::write(&path, edit.apply(&text)?).with_context(|| edit.file.clone())?;
        whole.push((path, text));
    }
    let verdict = ask(root, mutant);
    // The last first, for two edits may be in one file.
    for (path, text) in whole.into_iter().rev() {
        fs::write(path, text)?;
    }
    verdict
}

fn ask<'a>(root: &Path, mutant: &'a Mutant) -> Result<Option<&'a str>> {
    for command in &mutant.must_fail {
        let built = builds(root, mutant, command)?;
        ensure!(built, "it does not build: a mutant must be code that could have been written");
        if !passes(root, command)? {
            return Ok(Some(command));
        }
    }
    Ok(None)
}

fn builds(root: &Path, mutant: &Mutant, command: &str) -> Result<bool> {
    match (command.strip_prefix("cargo test "), &mutant.must_build) {
        (Some(tests), _) => succeeds(root, &["cargo", "test", "--no-run", "--quiet", "--locked"], tests),
        (None, Some(build)) => succeeds(root, &[], build),
        (None, None) => Ok(true),
    }
}

fn passes(root: &Path, command: &str) -> Result<bool> {
    match command.strip_prefix("cargo test ") {
        Some(tests) => {
            succeeds(root, &["timeout", PATIENCE_S, "cargo", "test", "--quiet", "--locked"], tests)
        }
        None => succeeds(root, &["timeout", PATIENCE_S], command),
    }
}

fn succeeds(root: &Path, first: &[&str], words: &str) -> Result<bool> {
    let mut words = first.iter().copied().chain(words.split_whitespace());
    let program = words.next().context("a command has at least one word")?;
    let command = Command::new(program, words)
        .within(TREE)
        .env("CARGO_TARGET_DIR", root.join(BUILD).display().to_string())
        .env("RUST_BACKTRACE", "0");
    let output = command.process(root).output().with_context(|| format!("starting `{command}`"))?;
    Ok(output.status.success())
}
