//! Rules for the arrows between crates: those that ARCHITECTURE.md draws, and no others.

use std::{collections::BTreeSet, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::Finding;

/// Where the arrows are drawn.
const PAGE: &str = "ARCHITECTURE.md";
/// How their block begins.
const BLOCK: &str = "```arrows";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None` is what the package is built with; tests may depend on anything.
    kind: Option<String>,
    path: Option<String>,
}

/// An arrow from a crate to one that it is built with.
type Arrow = (String, String);

/// Arrows that are not drawn, and drawn ones that are not there.
///
/// # Errors
/// When cargo cannot be asked.
pub fn check(root: &Path) -> Result<Vec<Finding>> {
    let args = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let output = Command::new("cargo").args(args).current_dir(root).output().context("asking cargo")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    let page = std::fs::read_to_string(root.join(PAGE)).with_context(|| format!("reading {PAGE}"))?;
    compare(&String::from_utf8_lossy(&output.stdout), &page)
}

fn compare(metadata: &str, page: &str) -> Result<Vec<Finding>> {
    let metadata: Metadata = serde_json::from_str(metadata).context("reading what cargo says")?;
    let (line, drawn) = drawn(page).with_context(|| format!("{PAGE} has no block {BLOCK}"))?;
    let there = arrows(&metadata);
    let new = there.difference(&drawn).map(|(from, to)| format!("{from} ─▶ {to} is not drawn there"));
    let gone = drawn.difference(&there).map(|(from, to)| format!("{from} ─▶ {to} is drawn and not there"));
    Ok(new.chain(gone).map(|what| Finding::new(PAGE, line, what)).collect())
}

fn arrows(metadata: &Metadata) -> BTreeSet<Arrow> {
    let of = |package: &Package| -> Vec<Arrow> {
        let ours = package.dependencies.iter().filter(|it| it.path.is_some() && it.kind.is_none());
        ours.map(|it| (short(&package.name), short(&it.name))).collect()
    };
    metadata.packages.iter().flat_map(of).collect()
}

/// Without what all names begin with, but for the binary itself.
fn short(name: &str) -> String {
    name.strip_prefix("tautline-").unwrap_or(name).to_owned()
}

/// The lines of the block, each `from ─▶ to, to`; and where it begins.
fn drawn(page: &str) -> Option<(usize, BTreeSet<Arrow>)> {
    let begin = page.lines().position(|line| line == BLOCK)?;
    let block = page.lines().skip(begin + 1).take_while(|line| !line.starts_with("```"));
    let arrows = block
        .filter_map(|line| line.split_once("─▶"))
        .flat_map(|(from, to)| to.split(',').map(move |to| (from.trim().to_owned(), to.trim().to_owned())));
    Some((begin + 1, arrows.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{"packages": [{"name": "tautline-hub", "dependencies": [
        {"name": "tautline-engine", "kind": null, "path": "/x"}, {"name": "serde", "kind": null, "path": null},
        {"name": "tautline-sim", "kind": "dev", "path": "/x"}]}]}"#;

    fn found(block: &str) -> Vec<String> {
        let page = format!("# Page\n{BLOCK}\n{block}\n```\n");
        compare(METADATA, &page).unwrap().into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn drawn_arrow_passes_and_tests_may_use_anything() {
        assert_eq!(found("hub ─▶ engine"), Vec::<String>::new());
    }

    #[test]
    fn new_arrow_between_crates_is_refused() {
        assert_eq!(
            found("hub ─▶ protocol"),
            ["hub ─▶ engine is not drawn there", "hub ─▶ protocol is drawn and not there"]
        );
    }
}
