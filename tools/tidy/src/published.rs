//! Rules for packages that are published: each has a README, both licences, and what a registry shows of it.

use std::collections::BTreeMap;

use super::Finding;

/// Files of a published package.
const FILES: [&str; 3] = ["README.md", "LICENSE-APACHE", "LICENSE-MIT"];
/// Fields of its manifest.
const FIELDS: [&str; 6] = ["description", "license", "repository", "keywords", "categories", "readme"];

/// What published packages lack.
pub fn check(tree: &BTreeMap<String, String>) -> Vec<Finding> {
    let manifests = tree.iter().filter_map(|(path, text)| Some((path.strip_suffix("/Cargo.toml")?, text)));
    let published =
        manifests.filter(|(folder, text)| is_package(folder, text) && !text.contains("publish = false"));
    published.flat_map(|(folder, text)| lacks(tree, folder, text)).collect()
}

fn is_package(folder: &str, manifest: &str) -> bool {
    !folder.starts_with("fuzz") && manifest.contains("[package]")
}

fn lacks(tree: &BTreeMap<String, String>, folder: &str, manifest: &str) -> Vec<Finding> {
    let path = format!("{folder}/Cargo.toml");
    let files = FILES.iter().filter(|file| !tree.contains_key(&format!("{folder}/{file}")));
    let has = |field: &str| {
        let mut lines = manifest.lines();
        lines.any(|line| line.strip_prefix(field).is_some_and(|rest| rest.starts_with([' ', '.'])))
    };
    let fields = FIELDS.iter().filter(|field| !has(field));
    let words = |what: &&str| Finding::new(&path, 1, format!("a published package has `{what}`"));
    files.chain(fields).map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(manifest: &str, files: &[&str]) -> BTreeMap<String, String> {
        let files = files.iter().map(|file| (format!("crates/a/{file}"), String::new()));
        files.chain([("crates/a/Cargo.toml".to_owned(), manifest.to_owned())]).collect()
    }

    const WHOLE: &str = "[package]\ndescription = \"\"\nlicense.workspace = true\nrepository.workspace = true\n\
                         keywords.workspace = true\ncategories.workspace = true\nreadme = \"README.md\"\n";

    #[test]
    fn whole_package_passes() {
        assert_eq!(check(&tree(WHOLE, &FILES)), []);
    }

    #[test]
    fn package_without_licence_or_description_is_found() {
        let found = check(&tree(&WHOLE.replace("description", "name"), &["README.md", "LICENSE-MIT"]));
        let found: Vec<_> = found.into_iter().map(|finding| finding.what).collect();
        assert_eq!(
            found,
            ["a published package has `LICENSE-APACHE`", "a published package has `description`"]
        );
    }

    #[test]
    fn package_that_stays_here_may_lack_all() {
        assert_eq!(check(&tree("[package]\npublish = false\n", &[])), []);
    }
}
