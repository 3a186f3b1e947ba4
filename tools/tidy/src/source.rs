//! Rules for one file: it says what it is for, fits in a head, and holds nothing that was left over.

use super::Finding;

/// A file with more lines has a seam that wants a name.
const LINES_MAX: usize = 700;

/// Left-over work, in Rust and in scripts. In halves, so that this list is not a finding itself.
const LEFT_OVERS: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
    concat!("db", "g!("),
];

/// Tests that do not run, or that keep others from running.
const RUST_SWITCHED_OFF: [&str; 1] = [concat!("#[ign", "ore")];
const SCRIPT_SWITCHED_OFF: [&str; 2] = ["skip", "only"];
const SCRIPT_SUITES: [&str; 4] = ["it", "test", "describe", "suite"];

/// Top folders of somebody's machine.
const MACHINE_DIRS: [&str; 4] = ["home", "root", "Users", "work"];

/// All that is wrong with the file at `path`.
pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let kind = Kind::of(path);
    if kind == Kind::Other {
        return Vec::new();
    }
    let mut findings: Vec<_> = check_whole(path, kind, text).into_iter().collect();
    for (index, line) in text.lines().enumerate() {
        findings.extend(check_line(kind, line).into_iter().map(|what| Finding::new(path, index + 1, what)));
    }
    findings
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rust,
    Script,
    /// Text that people write, but no code of ours.
    Text,
    /// Not written by people.
    Other,
}

impl Kind {
    fn of(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        if name == "package-lock.json" || name.starts_with("LICENSE") {
            return Self::Other;
        }
        match name.rsplit('.').next().unwrap_or_default() {
            "rs" => Self::Rust,
            "ts" | "js" | "mjs" | "cjs" => Self::Script,
            "md" | "toml" | "json" | "html" | "css" | "yml" | "sh" | "run" => Self::Text,
            _ => Self::Other,
        }
    }

    fn is_code(self) -> bool {
        matches!(self, Self::Rust | Self::Script)
    }
}

fn check_whole(path: &str, kind: Kind, text: &str) -> Option<Finding> {
    let first = text.lines().find(|line| !line.starts_with("#!/")).unwrap_or_default();
    let opens_with_purpose = match kind {
        Kind::Rust => first.starts_with("//!"),
        Kind::Script => first.starts_with("/*") || first.starts_with("//"),
        Kind::Text | Kind::Other => true,
    };
    if !opens_with_purpose {
        return Some(Finding::new(
            path,
            1,
            "a module opens with its purpose: `//!` in Rust, a comment elsewhere",
        ));
    }
    let lines = text.lines().count();
    let too_long = kind.is_code() && lines > LINES_MAX;
    too_long.then(|| {
        Finding::new(path, lines, format!("{lines} lines, at most {LINES_MAX}: find the seam and name it"))
    })
}

fn check_line(kind: Kind, line: &str) -> Vec<String> {
    let mut found = Vec::new();
    if line.trim_end_matches('\r').ends_with([' ', '\t']) {
        found.push("white space at the end of the line".to_owned());
    }
    if let Some(dir) = MACHINE_DIRS.iter().find(|dir| names_machine_dir(line, dir)) {
        found.push(format!("a path of one machine (/{dir}/…)"));
    }
    if kind.is_code() {
        let left = LEFT_OVERS.iter().filter(|left_over| line.contains(**left_over));
        found.extend(left.map(|left_over| format!("left over: {left_over}")));
    }
    if has_switched_off_test(kind, line) {
        found.push("a test that is switched off, or switches others off".to_owned());
    }
    found
}

fn has_switched_off_test(kind: Kind, line: &str) -> bool {
    match kind {
        Kind::Rust => RUST_SWITCHED_OFF.iter().any(|attribute| line.contains(attribute)),
        Kind::Script => SCRIPT_SWITCHED_OFF.iter().any(|how| {
            let option = format!("{how}: true");
            line.contains(&option)
                || SCRIPT_SUITES.iter().any(|suite| line.contains(&format!("{suite}.{how}(")))
        }),
        Kind::Text | Kind::Other => false,
    }
}

/// Whether `line` names `/<dir>/` as the start of a path rather than in the middle of a URL or of a relative path.
fn names_machine_dir(line: &str, dir: &str) -> bool {
    let needle = format!("/{dir}/");
    line.match_indices(&needle).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-/~*$}>)".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        check(path, text).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_clean_module_has_no_findings() {
        assert_eq!(check("a.rs", "//! Adds.\n\nfn add() {}\n"), []);
        assert_eq!(check("a.ts", "/** Adds. */\nexport {}\n"), []);
        assert_eq!(check("a.mjs", "#!/usr/bin/env node\n// Adds.\n"), []);
    }

    #[test]
    fn a_module_without_a_purpose_is_found() {
        assert_eq!(findings("a.rs", "fn add() {}\n").len(), 1);
        assert_eq!(findings("a.ts", "export {}\n").len(), 1);
        assert_eq!(findings("empty.rs", "").len(), 1);
    }

    #[test]
    fn file_over_the_ceiling_is_found() {
        let text = |lines| format!("//! Long.\n{}", "fn f() {}\n".repeat(lines - 1));
        assert_eq!(findings("a.rs", &text(LINES_MAX)).len(), 0);
        assert_eq!(findings("a.rs", &text(LINES_MAX + 1)).len(), 1);
    }

    #[test]
    fn left_overs_are_found_in_code_only() {
        for left_over in LEFT_OVERS {
            let line = format!("{left_over} later");
            assert_eq!(findings("a.rs", &format!("//! Adds.\n{line}\n")).len(), 1, "{line}");
            assert_eq!(findings("a.md", &line).len(), 0, "{line}");
        }
    }

    #[test]
    fn disabled_tests_are_found() {
        assert_eq!(findings("a.rs", &format!("//! Adds.\n{}]\n", RUST_SWITCHED_OFF[0])).len(), 1);
        assert_eq!(findings("a.rs", "//! Adds.\nlines.iter().skip(1);\n").len(), 0);
        for off in ["test.skip('x')", "describe.only('x')", "test('x', { skip: true })"] {
            assert_eq!(findings("a.test.ts", &format!("// Adds.\n{off}\n")).len(), 1, "{off}");
        }
    }

    #[test]
    fn trailing_space_is_found_with_its_line() {
        assert_eq!(check("a.md", "one\ntwo \n")[0].line, 2);
    }

    #[test]
    fn machine_paths_are_found() {
        for dir in MACHINE_DIRS {
            assert_eq!(findings("a.md", &format!("see `/{dir}/x`")).len(), 1, "{dir}");
            assert_eq!(
                findings("a.md", &format!("see https://a.example/{dir}/x and ./{dir}/x")).len(),
                0,
                "{dir}"
            );
        }
    }
}
