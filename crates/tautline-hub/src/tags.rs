//! The tags that the gateway itself puts on a publication. Their names begin with `$`.

/// Names the session whose clients pass the publication over, beside the publisher's own tags: a JSON object.
pub(crate) fn with_exclude(tags: Option<&str>, session: &str) -> Box<str> {
    let session = serde_json::Value::from(session);
    let others = tags.and_then(|tags| tags.trim().strip_prefix('{')).map_or("}", str::trim_start);
    let comma = if others.starts_with('}') { "" } else { "," };
    format!("{{\"$exclude\":{session}{comma}{others}").into()
}

#[cfg(test)]
mod tests {
    use super::with_exclude;

    #[test]
    fn excluded_session_stands_beside_other_tags() {
        assert_eq!(&*with_exclude(None, "s1"), r#"{"$exclude":"s1"}"#);
        assert_eq!(&*with_exclude(Some(" { } "), "s1"), r#"{"$exclude":"s1"}"#);
        assert_eq!(&*with_exclude(Some(r#"{"lang": "en"}"#), "s\"1"), r#"{"$exclude":"s\"1","lang": "en"}"#);
    }
}
