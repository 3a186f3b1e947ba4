//! The name that is meant by a similar one.

/// How alike two names are from which on one is taken for a slip of the other: 1 is the same.
const ALIKE_MIN: f64 = 0.85;

/// The most similar of `names`, if one is similar at all.
pub(super) fn similar<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let likeness = |other: &str| strsim::jaro_winkler(name, other);
    let found = names.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(found) >= ALIKE_MIN).then_some(found)
}

/// Names in words.
pub(super) fn join(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slip_finds_its_name_and_another_word_none() {
        let names = ["listen", "node", "engine"];
        let similar = |name| similar(name, names.into_iter());
        assert_eq!(similar("lisen"), Some("listen"));
        assert_eq!(similar("nodes"), Some("node"));
        assert_eq!(similar("colour"), None);
    }
}
