//! Rules about the tree itself that no compiler or linter checks: `cargo xtask tidy`.
//!
//! `source` looks at one source file, `markdown` at one page and at pairs of pages, `words` at the words of both,
//! `limits` at the page of ceilings beside the code, `events` at that of events of the log, `code_names` at what pages say of the code, `crates` at the arrows
//! between crates, `cycles` at imports inside one, `published` at packages that others will build. All are pure: they take
//! text and hand back findings; only this module reads the disk. What does not hold everywhere yet is in `not_yet`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

mod code_names;
mod crates;
mod cycles;
mod events;
mod limits;
mod markdown;
mod not_yet;
mod published;
mod source;
mod words;

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

/// Every file that git knows or would know, with its text; pictures and other binaries are nobody's prose.
type Tree = BTreeMap<String, String>;

/// Checks every file that git knows or would know.
///
/// # Errors
/// All findings, one a line; or why the files could not be listed or read.
pub fn run(root: &Path) -> Result<()> {
    let tree = read_tree(root)?;
    let mut findings = check_files(root, &tree);
    findings.extend(check_imports(&tree));
    findings.extend(crates::check(root)?);
    for (one, other) in PAIRS {
        findings.extend(check_pair(root, one, other)?);
    }
    findings.extend(published::check(&tree));
    findings.extend(check_limits(&tree)?);
    findings.extend(check_events(&tree)?);
    let count = findings.len();
    if count > 0 {
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        bail!("{count} untidy:\n{}", lines.join("\n"));
    }
    Ok(())
}

fn read_tree(root: &Path) -> Result<Tree> {
    let mut tree = Tree::new();
    for path in files(root)? {
        let bytes = fs::read(root.join(&path)).with_context(|| format!("reading {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            tree.insert(path, text);
        }
    }
    Ok(tree)
}

/// What can be told of one file at a time.
fn check_files(root: &Path, tree: &Tree) -> Vec<Finding> {
    let mut known = code_names::Known::default();
    tree.iter().for_each(|(path, text)| known.add(path, text));
    let (mut findings, mut words, mut columns, mut names) = (vec![], vec![], vec![], vec![]);
    for (path, text) in tree {
        findings.extend(source::check(path, text));
        words.extend(words::check(path, text));
        if path.ends_with(".md") {
            findings.extend(markdown::check_links(path, text, |target| root.join(target).exists()));
            columns.extend(markdown::check_columns(path, text));
            names.extend(code_names::check(path, text, &known));
        }
    }
    findings.extend(not_yet::apply(not_yet::WORDS, words));
    findings.extend(not_yet::apply(not_yet::COLUMNS, columns));
    findings.extend(not_yet::apply(not_yet::CODE_NAMES, names));
    findings
}

/// Circles of imports, crate by crate.
fn check_imports(tree: &Tree) -> Vec<Finding> {
    let mut crates: BTreeMap<&str, Vec<(&str, String)>> = BTreeMap::new();
    for (path, text) in tree.iter().filter(|(path, _)| path.ends_with(".rs")) {
        if let Some((krate, file)) = path.split_once("/src/") {
            crates.entry(krate).or_default().push((file, text.clone()));
        }
    }
    let found = crates.iter().flat_map(|(krate, files)| cycles::check(krate, files)).collect();
    not_yet::apply(not_yet::CYCLES, found)
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

fn check_limits(tree: &Tree) -> Result<Vec<Finding>> {
    let read = |path: &str| tree.get(path).cloned().with_context(|| format!("{path} is not there"));
    let declared = limits::DECLARED.into_iter().map(read).collect::<Result<Vec<_>>>()?;
    let sources = tree.iter().filter(|(path, _)| path.ends_with(".rs"));
    let functions: BTreeSet<String> =
        sources.flat_map(|(_, text)| limits::functions(text).map(str::to_owned)).collect();
    Ok(limits::check(&read(limits::PAGE)?, &declared, &functions))
}

fn check_events(tree: &Tree) -> Result<Vec<Finding>> {
    let page = tree.get(events::PAGE).with_context(|| format!("{} is not there", events::PAGE))?;
    Ok(events::check(page, tree.iter().map(|(path, text)| (path.as_str(), text.as_str()))))
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
