//! One mutant as text: a place in the code, what stands there instead, and which commands have to fail then.
//!
//! Start at [`read_all`]. Pure but for reading the folder: an edit takes the text of a file and gives the broken one.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// Where mutants are kept, one file for each part of the code.
pub const FOLDER: &str = "mutants";

/// A fault that the tests have to notice.
#[derive(Debug)]
pub struct Mutant {
    /// What the code does then.
    pub name: String,
    /// All of them together are the fault.
    pub edits: Vec<Edit>,
    /// Asked one after the other, until one fails.
    pub must_fail: Vec<String>,
    /// What tells whether it is code at all, where `must_fail` are no tests of cargo.
    pub must_build: Option<String>,
}

/// One place in the code, and what stands there instead.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The file, from the root of the repository.
    pub file: String,
    /// Text that stands in this file exactly once.
    find: String,
    /// What takes its place.
    replace: String,
}

impl Edit {
    /// The text of the file with the fault in it.
    ///
    /// # Errors
    /// Where the text to find does not stand there exactly once: the code has moved on, and the mutant has to follow.
    pub fn apply(&self, text: &str) -> Result<String> {
        ensure!(self.find != self.replace, "an edit in {} changes nothing", self.file);
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            count => bail!("{} has {count} times, not once: {}", self.file, self.find),
        }
    }
}

#[derive(Deserialize)]
struct Page {
    must_fail: Vec<String>,
    must_build: Option<String>,
    #[serde(flatten)]
    mutants: BTreeMap<String, Entry>,
}

/// Either one edit or several; `must_fail` where the page's own commands are not those to ask.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    file: Option<String>,
    find: Option<String>,
    replace: Option<String>,
    #[serde(default)]
    edits: Vec<Edit>,
    must_fail: Option<Vec<String>>,
}

/// All mutants, in the order of their names.
///
/// # Errors
/// A page that cannot be read, an entry that is incomplete, or a name that stands twice.
pub fn read_all(root: &Path) -> Result<Vec<Mutant>> {
    let mut mutants: BTreeMap<String, Mutant> = BTreeMap::new();
    for page in fs::read_dir(root.join(FOLDER)).with_context(|| format!("reading {FOLDER}"))? {
        let path = page?.path();
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        for mutant in parse(&text).with_context(|| path.display().to_string())? {
            let name = mutant.name.clone();
            ensure!(mutants.insert(name.clone(), mutant).is_none(), "two mutants are called {name}");
        }
    }
    Ok(mutants.into_values().collect())
}

fn parse(page: &str) -> Result<Vec<Mutant>> {
    let page: Page = toml::from_str(page)?;
    let mutant = |(name, entry): (String, Entry)| {
        let must_fail = entry.must_fail.unwrap_or_else(|| page.must_fail.clone());
        let edits = match (entry.file, entry.find, entry.replace) {
            (Some(file), Some(find), Some(replace)) if entry.edits.is_empty() => {
                vec![Edit { file, find, replace }]
            }
            (None, None, None) if !entry.edits.is_empty() => entry.edits,
            _ => bail!("{name} needs `file`, `find` and `replace`, or `edits` with these"),
        };
        Ok(Mutant { name, edits, must_fail, must_build: page.must_build.clone() })
    };
    page.mutants.into_iter().map(mutant).collect()
}

/// Whether every mutant still fits the code, which takes no build.
///
/// # Errors
/// All that do not, one a line.
pub fn check(root: &Path) -> Result<()> {
    let mut findings = Vec::new();
    for mutant in read_all(root)? {
        let mut broken: BTreeMap<&str, String> = BTreeMap::new();
        for edit in &mutant.edits {
            let text = match broken.remove(edit.file.as_str()) {
                Some(text) => Ok(text),
                None => fs::read_to_string(root.join(&edit.file)).with_context(|| edit.file.clone()),
            };
            match text.and_then(|text| edit.apply(&text)) {
                Ok(text) => drop(broken.insert(&edit.file, text)),
                Err(error) => findings.push(format!("mutant {}: {error:#}", mutant.name)),
            }
        }
    }
    ensure!(findings.is_empty(), "mutants that do not fit the code:\n{}", findings.join("\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"
must_fail = ["cargo test -p a"]

[adds-too-much]
file = "a.rs"
find = "a + b"
replace = "a + b + 1"

[forgets-twice]
edits = [
    { file = "a.rs", find = "one", replace = "" },
    { file = "b.rs", find = "two", replace = "" },
]
must_fail = ["cargo test -p b"]
"#;

    #[test]
    fn entry_without_commands_inherits_the_page() {
        let mutants = parse(PAGE).unwrap();
        let told: Vec<_> = mutants.iter().map(|one| (one.edits.len(), one.must_fail[0].as_str())).collect();
        assert_eq!(told, [(1, "cargo test -p a"), (2, "cargo test -p b")]);
    }

    #[test]
    fn incomplete_entry_is_refused_by_name() {
        let error = parse(&PAGE.replace("find = \"a + b\"\n", "")).unwrap_err().to_string();
        assert!(error.starts_with("adds-too-much needs"), "{error}");
    }

    #[test]
    fn text_that_stands_twice_or_nowhere_is_refused() {
        let edit = Edit { file: "a.rs".to_owned(), find: "a + b".to_owned(), replace: "a".to_owned() };
        assert_eq!(edit.apply("x(a + b)").unwrap(), "x(a)");
        assert!(edit.apply("x(a + b, a + b)").unwrap_err().to_string().contains("2 times"));
        assert!(edit.apply("x(b + a)").unwrap_err().to_string().contains("0 times"));
    }
}
