//! Text that must not be seen: it can be used, and never printed.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A key, or anything else that opens doors. `Debug` shows dots, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// 24 random bytes in hex.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 24];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The text itself, to check or sign with.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

/// Marks options as secrets: they may be references (`file:`, `env:`), and are hidden.
#[cfg(feature = "schema")]
impl schemars::JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "password", "writeOnly": true})
    }
}

/// Reads a secret. serde's own words for a wrong type quote the value, so each type has words of ours.
struct SecretVisitor;

impl SecretVisitor {
    fn refuse<E: Error>() -> E {
        E::custom("expected a text in quotes (the value is a secret and not shown)")
    }
}

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::new(text))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
        Err(Self::refuse())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        Err(Self::refuse())
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Secret, E> {
        Err(Self::refuse())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
        Err(Self::refuse())
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Secret, E> {
        Err(Self::refuse())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        Err(Self::refuse())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Secret, A::Error> {
        Err(Self::refuse())
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Secret, A::Error> {
        Err(Self::refuse())
    }
}

/// A list of secrets, read as carefully as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets(pub Vec<Secret>);

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretsVisitor)
    }
}

struct SecretsVisitor;

impl<'de> Visitor<'de> for SecretsVisitor {
    type Value = Secrets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Secrets, A::Error> {
        let mut secrets = Vec::new();
        while let Some(secret) = list.next_element()? {
            secrets.push(secret);
        }
        Ok(Secrets(secrets))
    }

    // The one slip that is likely: a single key without its brackets.
    fn visit_str<E: Error>(self, _: &str) -> Result<Secrets, E> {
        Err(E::custom("expected a list of texts: put the secret into brackets, [\"…\"]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Doc {
        one: Option<Secret>,
        many: Option<Secrets>,
    }

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        let doc: Doc = toml::from_str("one = \"hunter2\"\nmany = [\"hunter3\"]").unwrap();
        assert_eq!(doc.one.as_ref().map(Secret::expose), Some("hunter2"));
        assert_eq!(doc.many.as_ref().map(|many| many.0.len()), Some(1));
        assert!(!format!("{doc:?}").contains("hunter"));
    }

    #[test]
    fn secret_of_wrong_type_is_not_quoted() {
        for text in [
            "one = 4711",
            "one = [4711]",
            "one = 4711.5",
            "one = { a = 4711 }",
            "many = \"4711\"",
            "many = [4711]",
        ] {
            let message = toml::from_str::<Doc>(text).unwrap_err().message().to_owned();
            assert!(message.starts_with("expected "), "{text}: {message}");
            assert!(!message.contains("4711"), "{text}: {message}");
        }
    }
}
