//! Rules for pages: relative links lead somewhere, and two languages of a page have the same outline.

use super::Finding;

/// The links of the page at `path` whose target `exists` (asked with a path relative to the root) denies.
pub fn check_links(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
    let mut findings = Vec::new();
    for (line, prose) in prose_lines(text) {
        for link in links(&without_code(prose)).filter(|link| is_relative(link)) {
            let target = link.split(['#', '?']).next().unwrap_or_default();
            let leads_somewhere = normalized(dir, target).is_some_and(|target| exists(&target));
            if !target.is_empty() && !leads_somewhere {
                findings.push(Finding::new(path, line, format!("a link to {target}, which is not there")));
            }
        }
    }
    findings
}

/// The longest line of prose, in characters.
const COLUMNS_MAX: usize = 100;

/// Lines of prose that could be broken and are not. Tables and headings cannot be.
pub fn check_columns(path: &str, text: &str) -> Vec<Finding> {
    let long = prose_lines(text).filter(|(_, line)| {
        let is_whole = line.trim_start().starts_with('|') || is_heading(line);
        line.chars().count() > COLUMNS_MAX && !is_whole && can_break(line)
    });
    long.map(|(line, text)| {
        Finding::new(path, line, format!("{} columns: wrap at {COLUMNS_MAX}", text.chars().count()))
    })
    .collect()
}

/// Whether something other than one long link stands in a line. Chinese can be broken anywhere.
fn can_break(line: &str) -> bool {
    let words = line.trim_start_matches([' ', '-', '*']).split(' ').map(|word| word.chars().count());
    words.max().is_some_and(|longest| longest <= COLUMNS_MAX) || line.contains('\u{3002}')
}

/// What the outlines of two pages that should say the same differ in.
pub fn check_pair(one: (&str, &str), other: (&str, &str)) -> Vec<Finding> {
    let (headings, blocks) = outline(one.1);
    let (other_headings, other_blocks) = outline(other.1);
    let differ = |what: &str, here: usize, there: usize| {
        let words = || format!("{here} {what}, where {} has {there}", other.0);
        (here != there).then(|| Finding::new(one.0, 1, words()))
    };
    let headings = differ("headings", headings, other_headings);
    headings.into_iter().chain(differ("code blocks", blocks, other_blocks)).collect()
}

/// How many headings and fenced code blocks a page has.
fn outline(text: &str) -> (usize, usize) {
    let headings = prose_lines(text).filter(|(_, line)| is_heading(line)).count();
    let fences = text.lines().filter(|line| is_fence(line)).count();
    (headings, fences.div_ceil(2))
}

/// The lines outside fenced code, with their numbers.
pub fn prose_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = is_fence(line);
        in_code ^= fence;
        (!fence && !in_code).then_some((index + 1, line))
    })
}

fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

fn is_heading(line: &str) -> bool {
    let text = line.trim_start_matches('#');
    text.len() < line.len() && text.starts_with(' ')
}

/// The line with its `inline code` cut out: what is quoted there is no link.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// Targets of `[text](target "title")`, and of `src="…"` and `href="…"` in HTML.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let after = |opening: &'static str, closing: &'static [char]| {
        line.match_indices(opening).filter_map(move |(at, _)| {
            let rest = &line[at + opening.len()..];
            rest.find(closing).map(|end| &rest[..end])
        })
    };
    after("](", &[')', ' ']).chain(after("src=\"", &['"'])).chain(after("href=\"", &['"']))
}

fn is_relative(link: &str) -> bool {
    !link.contains(':') && !link.starts_with(['#', '/'])
}

/// `target` as seen from `dir`, relative to the root; `None` where it leaves the root.
fn normalized(dir: &str, target: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in dir.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(path: &str, text: &str) -> usize {
        check_links(path, text, |target| ["docs/a.md", "README.md"].contains(&target)).len()
    }

    #[test]
    fn links_are_followed_from_where_the_page_lies() {
        assert_eq!(broken("README.md", "[a](docs/a.md#top) ![b](docs/a.md \"title\")"), 0);
        assert_eq!(broken("docs/b.md", "[a](a.md) [up](../README.md)"), 0);
        assert_eq!(broken("docs/b.md", "[a](docs/a.md)"), 1);
        assert_eq!(broken("README.md", "[out](../elsewhere.md)"), 1);
        assert_eq!(broken("README.md", "<img src=\"docs/lost.png\">"), 1);
    }

    #[test]
    fn urls_anchors_and_code_are_no_relative_links() {
        assert_eq!(broken("README.md", "[w](https://a.example/x) [m](mailto:a@b.example) [t](#top)"), 0);
        assert_eq!(broken("README.md", "`[a](lost.md)`\n```\n[a](lost.md)\n```\n"), 0);
    }

    #[test]
    fn long_prose_line_is_refused() {
        let long = "word ".repeat(30);
        let table = format!("| {long} |");
        let link = format!("- [a]({})", "x".repeat(120));
        let code = format!("```\n{long}\n```\n");
        let found = |text: &str| check_columns("a.md", text).len();
        assert_eq!([found(&long), found(&table), found(&link), found(&code)], [1, 0, 0, 0]);
    }

    #[test]
    fn heading_missing_in_one_language_is_found() {
        let english = "# A\n## B\n```sh\n# no heading\n```\n";
        assert_eq!(check_pair(("a", english), ("b", "# 甲\n## 乙\n```sh\nls\n```\n")), []);
        assert_eq!(check_pair(("a", english), ("b", "# 甲\n")).len(), 2);
    }
}
