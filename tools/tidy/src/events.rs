//! Rules for events of the log: each line that a program writes has an event, and `docs/operate/logs.md` has all of them.

use std::collections::BTreeMap;

use super::Finding;

/// The page that lists them.
pub const PAGE: &str = "docs/operate/logs.md";
/// Programs that log for operators of a gateway.
const CRATES: [&str; 9] =
    ["tautline", "backend", "console", "disk", "files", "gateway", "hub", "process", "redis"];
/// How lines begin that operators see by default. What is less is for those who look for faults, and may change.
const CALLS: [&str; 3] = ["info!(", "warn!(", "error!("];
const FIELD: &str = "event = \"";

/// Whether the lines of this file are for operators.
fn is_ours(path: &str) -> bool {
    let in_crate = path.strip_prefix("crates/").and_then(|path| path.split_once("/src/"));
    let Some((name, file)) = in_crate else { return false };
    let name = name.strip_prefix("tautline-").unwrap_or(name);
    CRATES.contains(&name) && file.ends_with(".rs") && !file.contains("tests")
}

/// The calls in the code of a file, each with its line and its event.
fn calls(text: &str) -> impl Iterator<Item = (usize, Option<&str>)> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    code.match_indices("!(").filter_map(|(at, _)| {
        let before = &code[..at + 2];
        let is_call = CALLS.iter().any(|call| before.ends_with(call));
        let line = before.lines().count();
        let is_comment = before.lines().last().is_some_and(|line| line.trim_start().starts_with("//"));
        let inside = code[at + 2..].trim_start();
        let event = inside.strip_prefix(FIELD).and_then(|rest| rest.split('"').next());
        (is_call && !is_comment).then_some((line, event))
    })
}

/// The first cells of the rows of the page.
fn listed(page: &str) -> impl Iterator<Item = (usize, &str)> {
    page.lines()
        .enumerate()
        .filter_map(|(index, line)| Some((index + 1, line.strip_prefix("| `")?.split('`').next()?)))
}

/// Calls without an event, events without a row, and rows without an event.
pub fn check<'a>(page: &str, files: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Finding> {
    let (mut findings, mut known) = (Vec::new(), BTreeMap::new());
    for (path, text) in files.filter(|(path, _)| is_ours(path)) {
        for (line, event) in calls(text) {
            match event {
                Some(event) => drop(known.insert(event, (path, line))),
                None => findings.push(Finding::new(
                    path,
                    line,
                    "this line of the log begins with no `event = \"…\"`",
                )),
            }
        }
    }
    let rows: BTreeMap<_, _> = listed(page).map(|(line, event)| (event, line)).collect();
    for (event, (path, line)) in &known {
        if !rows.contains_key(event) {
            findings.push(Finding::new(path, *line, format!("`{event}` has no row in {PAGE}")));
        }
    }
    for (event, line) in rows {
        if !known.contains_key(event) {
            findings.push(Finding::new(PAGE, line, format!("no line of the log has the event `{event}`")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(page: &str, code: &str) -> Vec<String> {
        let files =
            [("crates/tautline-disk/src/store.rs", code), ("crates/tautline-sim/src/a.rs", "info!(1)")];
        check(page, files.into_iter()).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn line_without_event_is_found() {
        let code = "fn f() {\n    warn!(\"no\");\n}\n#[cfg(test)]\nmod tests {\n    info!(\"test\");";
        assert_eq!(found("", code), ["this line of the log begins with no `event = \"…\"`"]);
        assert_eq!(found("", "    // as info!(…) does\n"), Vec::<String>::new());
    }

    #[test]
    fn page_and_code_have_the_same_events() {
        let code = "tracing::info!(\n    event = \"store_opened\",\n    \"open\"\n);";
        assert_eq!(found("| `store_opened` | open |", code), Vec::<String>::new());
        assert_eq!(
            found("| `store_gone` | gone |", code),
            [
                "`store_opened` has no row in docs/operate/logs.md",
                "no line of the log has the event `store_gone`"
            ]
        );
    }
}
