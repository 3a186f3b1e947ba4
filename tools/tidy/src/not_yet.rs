//! Folders and files in which a rule does not hold yet. The lists only shrink: an entry in which nothing is found is a finding.

use std::collections::BTreeSet;

use super::Finding;

/// Where the lists are.
const PAGE: &str = "tools/tidy/src/not_yet.rs";

/// Old words.
pub const WORDS: &[&str] =
    &["crates/tautline-client", "crates/tautline-disk", "crates/tautline-hub", "mutants"];
/// Markdown beyond 100 columns.
pub const COLUMNS: &[&str] = &[];
/// Import cycles of more than three files: crates.
pub const CYCLES: &[&str] = &["crates/tautline-client"];
/// Names of code in pages that are nowhere in the code.
pub const CODE_NAMES: &[&str] = &[];

/// Leaves out what the list covers, and finds the entries that cover nothing.
pub fn apply(list: &[&str], findings: Vec<Finding>) -> Vec<Finding> {
    let mut used = BTreeSet::new();
    let mut left: Vec<_> = findings
        .into_iter()
        .filter(|finding| match list.iter().find(|entry| covers(entry, &finding.path)) {
            Some(entry) => {
                used.insert(*entry);
                false
            }
            None => true,
        })
        .collect();
    let done = list.iter().filter(|entry| !used.contains(*entry));
    left.extend(done.map(|entry| Finding::new(PAGE, 1, format!("{entry} is done: take it off its list"))));
    left
}

fn covers(entry: &str, path: &str) -> bool {
    path.strip_prefix(entry).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(path: &str) -> Finding {
        Finding::new(path, 1, "an old word")
    }

    #[test]
    fn listed_folder_is_left_for_later() {
        let findings = vec![finding("a/b.rs"), finding("ab/c.rs")];
        assert_eq!(apply(&["a"], findings), [finding("ab/c.rs")]);
    }

    #[test]
    fn listed_folder_without_findings_is_itself_found() {
        let found = apply(&["a", "b"], vec![finding("a/b.rs")]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].what, "b is done: take it off its list");
    }
}
