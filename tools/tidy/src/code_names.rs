//! Rules for names of code in pages: what stands in `backticks` and looks like a file or a name of ours is there.

use std::collections::BTreeSet;

use super::{Finding, markdown};

/// What a page may name although nothing of ours has this name.
const FOREIGN: [&str; 13] = [
    "AsyncStorage",
    "ToStringSerializer",
    "bbr_main",
    "booleans_as_integers",
    "epoll_wait",
    "lastId",
    "max_auth_age",
    "quick_check",
    "rps_cpus",
    "tcp_ack",
    "tcp_add_backlog",
    "tcp_rto_min_us",
    "unsafe_comps",
];

/// Endings of files that pages name.
const FILES: [&str; 4] = [".rs", ".ts", ".mjs", ".toml"];

/// Everything that a page may name.
#[derive(Default)]
pub struct Known {
    names: BTreeSet<String>,
    files: Vec<String>,
}

impl Known {
    /// Takes the names in a file of code, and its own.
    pub fn add(&mut self, path: &str, text: &str) {
        self.files.push(format!("/{path}"));
        if !path.ends_with(".md") {
            let names = text.split(|c: char| !c.is_alphanumeric() && c != '_');
            self.names.extend(names.filter(|name| is_name(name)).map(str::to_owned));
        }
    }

    fn has(&self, cited: &str) -> bool {
        if FILES.iter().any(|ending| cited.ends_with(ending)) {
            // `hub/src/aging.rs` is that of `crates/tautline-hub`.
            let wanted = cited.trim_start_matches("./");
            let before =
                |file: &str| file.strip_suffix(wanted).is_some_and(|rest| rest.ends_with(['/', '-']));
            return self.files.iter().any(|file| before(file));
        }
        let names = cited.trim_end_matches("()").split("::");
        names.filter(|name| is_name(name)).all(|name| self.names.contains(name) || FOREIGN.contains(&name))
    }
}

/// A page of what was, in the names of its time.
const EXEMPT: &str = "CHANGELOG.md";

/// The names in the page at `path` that nothing has.
pub fn check(path: &str, text: &str, known: &Known) -> Vec<Finding> {
    let mut findings = Vec::new();
    if path == EXEMPT {
        return findings;
    }
    for (line, prose) in markdown::prose_lines(text) {
        let cited = prose.split('`').skip(1).step_by(2).filter(|cited| is_cited(cited));
        findings.extend(
            cited
                .filter(|cited| !known.has(cited))
                .map(|cited| Finding::new(path, line, format!("`{cited}` is nowhere in the code"))),
        );
    }
    findings
}

/// A path, or names with `::` between them; no command and no pattern.
fn is_cited(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_:./-()".contains(c);
    !text.is_empty() && text.chars().all(plain) && !text.contains("...")
}

/// A name that nobody uses for anything but code: of several words, in snake or camel case.
fn is_name(text: &str) -> bool {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let has_small = text.contains(|c: char| c.is_ascii_lowercase());
    let inner_capital = text.chars().skip(1).any(|c| c.is_ascii_uppercase());
    let inner_line = text.trim_matches('_').contains('_');
    is_plain
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && has_small
        && (inner_capital || inner_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(page: &str) -> Vec<String> {
        let mut known = Known::default();
        known.add("crates/hub/src/peer/opening.rs", "pub fn take_turn(&mut self) -> PeerState {}");
        check("docs/a.md", page, &known).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn name_or_file_that_is_gone_is_refused() {
        assert_eq!(found("See `PeerStage`."), ["`PeerStage` is nowhere in the code"]);
        assert_eq!(found("See `Peer::leave_queue()`."), ["`Peer::leave_queue()` is nowhere in the code"]);
        assert_eq!(found("See `peer/closing.rs`."), ["`peer/closing.rs` is nowhere in the code"]);
    }

    #[test]
    fn names_that_are_there_and_ordinary_words_pass() {
        let page = "`take_turn`, `PeerState::take_turn()`, `opening.rs`, `peer/opening.rs`, `offset`, `cargo test`\n\
                    ```\nNoSuchName\n```\n";
        assert_eq!(found(page), Vec::<String>::new());
    }
}
