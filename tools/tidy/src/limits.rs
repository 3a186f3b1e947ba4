//! Rules for `docs/reference/limits.md`: every ceiling of the code has a row, and the test that a row names is there.

use std::collections::BTreeSet;

use super::Finding;

/// Where ceilings are declared, as fields of a struct.
pub const DECLARED: [&str; 5] = [
    "crates/tautline-protocol/src/limits.rs",
    "crates/tautline-hub/src/limits.rs",
    "crates/tautline-engine/src/limits.rs",
    "crates/tautline-gateway/src/config.rs",
    "crates/tautline-backend/src/login/options.rs",
];
/// The page that lists them.
pub const PAGE: &str = "docs/reference/limits.md";
/// What names of ceilings contain. Times are no ceilings of what somebody may hold.
const WORDS: [&str; 3] = ["_max", "_bytes", "_floor"];

/// Names of functions in a source file.
pub fn functions(text: &str) -> impl Iterator<Item = &str> {
    let after_fn = |line: &'_ str| line.trim_start().split_once("fn ").map(|(_, rest)| rest.len());
    text.lines().filter_map(move |line| {
        let rest = &line[line.len() - after_fn(line)?..];
        rest.split(['(', '<']).next()
    })
}

/// Ceilings that a source file declares.
fn ceilings(text: &str) -> impl Iterator<Item = &str> {
    let fields = text.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(": "));
    fields
        .filter(|(_, kind)| ["usize,", "u32,", "u64,"].contains(kind))
        .map(|(name, _)| name)
        .filter(|name| !name.contains("_ms") && WORDS.iter().any(|word| name.contains(word)))
}

/// What the page lacks, and what it names that is not there.
pub fn check(page: &str, declared: &[String], functions: &BTreeSet<String>) -> Vec<Finding> {
    let missing = declared.iter().flat_map(|text| ceilings(text)).filter_map(|name| {
        let is_listed = page.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
        (!is_listed).then(|| Finding::new(PAGE, 1, format!("the ceiling `{name}` has no row")))
    });
    let unknown = rows(page).filter_map(|(line, cell)| {
        let test = cell.trim().trim_matches('`');
        (!functions.contains(test)).then(|| Finding::new(PAGE, line, format!("there is no test `{test}`")))
    });
    missing.chain(unknown).collect()
}

/// The last cells of rows of tables whose last column is that of tests.
fn rows(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut names_tests = false;
    page.lines().enumerate().filter_map(move |(index, line)| {
        let last = line.strip_prefix('|')?.trim_end().strip_suffix('|')?.rsplit('|').next()?.trim();
        if last == "test" {
            names_tests = true;
        } else if last == "beyond it" {
            names_tests = false;
        }
        (names_tests && last.starts_with('`')).then_some((index + 1, last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "    pub pages_max: usize,\n    pub ping_ms: u64,\n    pub call_ms_max: u64,\n";

    fn findings(page: &str) -> Vec<String> {
        let known = ["greedy_reader".to_owned()].into();
        check(page, &[SOURCE.to_owned()], &known).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn missing_row_and_missing_test_are_found() {
        let head = "| ceiling | test |\n|---|---|\n";
        assert_eq!(findings(&format!("{head}| `pages_max` | `greedy_reader` |")), Vec::<String>::new());
        assert_eq!(findings(&format!("{head}| `pages_max` | `gone` |")), ["there is no test `gone`"]);
        assert_eq!(findings(head), ["the ceiling `pages_max` has no row"]);
    }

    #[test]
    fn functions_are_found_by_name() {
        let text = "fn one() {}\n    pub(crate) async fn two<T>(it: T) {}\nlet three = 3;\n";
        assert_eq!(functions(text).collect::<Vec<_>>(), ["one", "two"]);
    }
}
