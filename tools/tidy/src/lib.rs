//! Rules about the tree itself that no compiler or linter checks: `cargo xtask tidy`.
//!
//! [`source`] looks at one source file, [`markdown`] at one page and at pairs of pages, [`limits`] at the page of ceilings
//! beside the code. All are pure: they take text and hand back findings; only this module reads the disk.

use std::{collections::BTreeSet, fmt, fs, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};

mod limits;
mod markdown;
mod source;

/// Pages that say the same in two languages.
const PAIRS: [(&str, &str); 1] = [("README.md", "README.zh-CN.md")];

/// Something that breaks a rule, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// The first line is 1.
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Checks every file that git knows or would know.
///
/// # Errors
/// All findings, one a line; or why the files could not be listed or read.
pub fn run(root: &Path) -> Result<()> {
    let (mut findings, mut functions) = (Vec::new(), BTreeSet::new());
    for path in files(root)? {
        let bytes = fs::read(root.join(&path)).with_context(|| format!("reading {path}"))?;
        // Pictures and other binaries are nobody's prose.
        if let Ok(text) = String::from_utf8(bytes) {
            findings.extend(source::check(&path, &text));
            if path.ends_with(".rs") {
                functions.extend(limits::functions(&text).map(str::to_owned));
            }
            if path.ends_with(".md") {
                findings.extend(markdown::check_links(&path, &text, |target| root.join(target).exists()));
            }
        }
    }
    for (one, other) in PAIRS {
        findings.extend(check_pair(root, one, other)?);
    }
    findings.extend(check_limits(root, &functions)?);
    let count = findings.len();
    if count > 0 {
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        bail!("{count} untidy:\n{}", lines.join("\n"));
    }
    Ok(())
}

/// Neither page is there, or both with the same outline.
fn check_pair(root: &Path, one: &str, other: &str) -> Result<Vec<Finding>> {
    let read = |path: &str| {
        let path = root.join(path);
        path.exists()
            .then(|| fs::read_to_string(&path))
            .transpose()
            .with_context(|| format!("reading {path:?}"))
    };
    Ok(match (read(one)?, read(other)?) {
        (Some(text), Some(other_text)) => markdown::check_pair((one, &text), (other, &other_text)),
        (None, None) => Vec::new(),
        _ => vec![Finding::new(one, 1, format!("{one} and {other} belong together, one is missing"))],
    })
}

fn check_limits(root: &Path, functions: &BTreeSet<String>) -> Result<Vec<Finding>> {
    let read = |path: &str| fs::read_to_string(root.join(path)).with_context(|| format!("reading {path}"));
    let declared = limits::DECLARED.into_iter().map(read).collect::<Result<Vec<_>>>()?;
    Ok(limits::check(&read(limits::PAGE)?, &declared, functions))
}

fn files(root: &Path) -> Result<Vec<String>> {
    let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output =
        Command::new("git").args(args).current_dir(root).output().context("asking git for the files")?;
    ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
    let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    // A file that is deleted but not yet staged is listed and is not there.
    Ok(names.split_terminator('\0').filter(|name| root.join(name).is_file()).map(str::to_owned).collect())
}
