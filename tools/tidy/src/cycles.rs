//! Rules for imports inside a crate: files that import one another in a circle are at most three.
//!
//! Start at [`check`]. A file imports another where it names one of its items in a `use`; what a module only re-exports is
//! imported from where it is defined. Tests may import what they like.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;

/// More files in one circle cannot be understood apart.
const FILES_MAX: usize = 3;

/// A module's place in its crate: `["peer", "opening"]`.
type Module = Vec<String>;

/// A path in a `use`, from the crate's root, and the name that it gets.
struct Use {
    path: Vec<String>,
    name: String,
    is_public: bool,
}

/// One file of a crate.
struct File<'a> {
    path: &'a str,
    uses: Vec<Use>,
}

/// Circles in the files of one crate, which are given with their paths from the crate's `src`.
pub fn check(krate: &str, files: &[(&str, String)]) -> Vec<Finding> {
    let modules: BTreeMap<Module, File<'_>> = files
        .iter()
        .filter(|(path, _)| !is_test(path))
        .map(|(path, text)| {
            let module = module_of(path);
            let uses = uses(&module, text);
            (module, File { path, uses })
        })
        .collect();
    let imports: BTreeMap<&Module, BTreeSet<&Module>> = modules
        .iter()
        .map(|(module, file)| {
            let own = file.uses.iter().filter(|one| !one.is_public);
            let targets = own.filter_map(|one| resolve(&modules, &one.path, 0)).filter(|to| *to != module);
            (module, targets.collect())
        })
        .collect();
    let circles = circles(&imports);
    let large = circles.into_iter().filter(|circle| circle.len() > FILES_MAX);
    large
        .map(|circle| {
            let paths: Vec<_> = circle.iter().map(|module| modules[*module].path).collect();
            let what = format!("{} files import one another in a circle: {}", paths.len(), paths.join(", "));
            Finding::new(krate, 1, what)
        })
        .collect()
}

fn is_test(path: &str) -> bool {
    path == "main.rs" || path.ends_with("tests.rs") || path.contains("tests/")
}

fn module_of(path: &str) -> Module {
    let path = path.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// The module that defines what a path names; re-exports are followed.
fn resolve<'a>(modules: &'a BTreeMap<Module, File<'_>>, path: &[String], depth: usize) -> Option<&'a Module> {
    let length = (0..=path.len()).rev().find(|length| modules.contains_key(&path[..*length]))?;
    let (module, file) = modules.get_key_value(&path[..length])?;
    let Some(name) = path.get(length) else { return Some(module) };
    let passed_on = file.uses.iter().find(|one| one.name == *name);
    match passed_on {
        // Names may be re-exported in a circle of globs.
        Some(one) if depth < 8 => resolve(modules, &one.path, depth + 1).or(Some(module)),
        _ => Some(module),
    }
}

/// Every `use` before the tests of a file that names something of its own crate.
fn uses(module: &[String], text: &str) -> Vec<Use> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = next_use(rest) {
        let (before, statement) = rest.split_at(at);
        let Some(end) = statement.find(';') else { break };
        let is_public = before.lines().last().is_some_and(|line| line.trim_start().starts_with("pub"));
        let tree: String = statement["use ".len()..end].split_whitespace().collect();
        // `as` has lost its blanks: a renamed import counts as its module's.
        leaves(&tree, "", &mut |path| found.extend(absolute(module, path, is_public)));
        rest = &statement[end..];
    }
    found
}

/// Where the next `use` of a statement begins.
fn next_use(text: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].find("use ").map(|at| at + from) {
        let line = text[..at].rsplit('\n').next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with("pub") && !line.contains("//") {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// Every path of a tree of imports.
fn leaves(tree: &str, prefix: &str, found: &mut impl FnMut(&str)) {
    let Some(open) = tree.find('{') else { return found(&format!("{prefix}{tree}")) };
    let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    let prefix = format!("{prefix}{}", &tree[..open]);
    let (mut depth, mut begin) = (0_usize, 0);
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                if begin < at {
                    leaves(&inner[begin..at], &prefix, found);
                }
                begin = at + 1;
            }
            _ => {}
        }
    }
}

fn absolute(module: &[String], path: &str, is_public: bool) -> Option<Use> {
    let mut segments = path.split("::").peekable();
    let mut absolute: Vec<String> = match *segments.peek()? {
        "crate" => Vec::new(),
        "self" | "super" => module.to_vec(),
        // A child of this module, or another crate.
        _ => module.to_vec(),
    };
    for segment in segments {
        match segment {
            "crate" | "self" | "*" => {}
            "super" => drop(absolute.pop()),
            segment => absolute.push(segment.to_owned()),
        }
    }
    let name = absolute.last().cloned().unwrap_or_default();
    Some(Use { path: absolute, name, is_public })
}

/// Modules that reach one another.
fn circles<'a>(imports: &BTreeMap<&'a Module, BTreeSet<&'a Module>>) -> Vec<Vec<&'a Module>> {
    let reach = |from: &'a Module| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            let targets = imports.get(module).into_iter().flatten();
            next.extend(targets.copied().filter(|target| seen.insert(*target)));
        }
        seen
    };
    let reached: BTreeMap<_, _> = imports.keys().map(|module| (*module, reach(module))).collect();
    let mut placed = BTreeSet::new();
    let mut circles = Vec::new();
    for (module, targets) in &reached {
        if placed.contains(module) || !targets.contains(module) {
            continue;
        }
        let circle: Vec<_> =
            targets.iter().copied().filter(|other| reached[*other].contains(module)).collect();
        placed.extend(circle.iter().copied());
        circles.push(circle);
    }
    circles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|(path, text)| (*path, (*text).to_owned())).collect();
        check("crates/new", &files).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn four_files_in_a_circle_are_refused() {
        let circle = [
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a.rs", "use crate::b::B;\n"),
            ("b.rs", "use crate::{\n    c::{self, C},\n};\n"),
            ("c.rs", "use super::d::D;\n"),
            ("d.rs", "use crate::a::A;\n"),
        ];
        assert_eq!(found(&circle), ["4 files import one another in a circle: a.rs, b.rs, c.rs, d.rs"]);
        assert_eq!(found(&circle[..4]), Vec::<String>::new());
    }

    #[test]
    fn re_export_is_imported_from_its_definition() {
        let files = [
            ("peer/mod.rs", "mod a;\nmod b;\nmod c;\npub use a::A;\npub use self::b::B;\n"),
            ("peer/a.rs", "use super::B;\n"),
            ("peer/b.rs", "use super::c::C;\n"),
            ("peer/c.rs", "pub struct C;\n"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }

    #[test]
    fn imports_of_tests_do_not_count() {
        let files = [
            ("a.rs", "use crate::b::B;\n"),
            ("b.rs", "use crate::c::C;\n"),
            ("c.rs", "use crate::d::D;\n"),
            ("d.rs", "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }
}
