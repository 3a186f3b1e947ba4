//! Secrets that are kept elsewhere: `file:` and a path, `env:` and the name of a variable.

use std::{
    borrow::Cow,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::{Spanned, de::DeValue};

use super::{Environment, schema::Node, sources};

/// The largest file of a secret, in bytes: a set of public keys is far smaller.
const SECRET_FILE_BYTES_MAX: u64 = 256 * 1024;

/// What was found of secrets.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The files that secrets were read from.
    pub files: Vec<PathBuf>,
    /// True where the configuration file itself holds one.
    pub is_in_file: bool,
}

/// Reads secrets from where they are kept.
pub(super) struct Resolver<'r> {
    /// The folder of the configuration file; paths in it begin there.
    pub folder: &'r Path,
    pub environment: &'r Environment,
    pub found: Found,
}

impl Resolver<'_> {
    /// Puts secrets in the place of their references, and refuses values of a wrong type where secrets stand.
    ///
    /// # Errors
    /// The place, with the error message: it repeats no value.
    pub(super) fn resolve(
        &mut self,
        value: &mut Spanned<DeValue<'_>>,
        node: Node<'_>,
    ) -> Result<(), (Range<usize>, String)> {
        let span = value.span();
        if node.holds_secrets()
            && let Some(expected) = node.instead_of_type(kind_of(value.get_ref()))
        {
            // serde's own words for a wrong type quote the value.
            return Err((
                span,
                format!("expected {expected} (a secret stands here, so the value is not shown)"),
            ));
        }
        match value.get_mut() {
            DeValue::Table(table) => {
                for (key, inner) in table.iter_mut() {
                    if let Some(node) = node.property(key.get_ref()) {
                        self.resolve(inner, node)?;
                    }
                }
            }
            DeValue::Array(array) => {
                if let Some(node) = node.items() {
                    array.iter_mut().try_for_each(|inner| self.resolve(inner, node))?;
                }
            }
            DeValue::String(text) if node.is_secret() => {
                let is_outside = sources::is_outside(&span);
                match self.read(text, is_outside) {
                    Ok(Some(secret)) => *text = Cow::Owned(secret),
                    Ok(None) => self.found.is_in_file |= !is_outside,
                    Err(words) => return Err((span, words)),
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The secret behind a reference; none where the text is no reference.
    fn read(&mut self, text: &str, is_outside: bool) -> Result<Option<String>, String> {
        if let Some(path) = text.strip_prefix("file:") {
            // Variables and flags begin where the process does.
            let path = if is_outside { PathBuf::from(path) } else { self.folder.join(path) };
            let secret = self.read_file(&path).map_err(|words| format!("{}: {words}", path.display()))?;
            self.found.files.push(path);
            return Ok(Some(secret));
        }
        let Some(name) = text.strip_prefix("env:") else { return Ok(None) };
        let secret = self.environment.value(name);
        secret
            .map(|secret| Some(secret.to_owned()))
            .ok_or_else(|| format!("environment variable {name} is not set"))
    }

    /// The content of a file, without the new line at its end.
    fn read_file(&self, path: &Path) -> Result<String, String> {
        let text = self.environment.read(path, SECRET_FILE_BYTES_MAX)?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
    }
}

/// The type in JSON.
fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
        DeValue::Boolean(_) => "boolean",
        DeValue::Integer(_) | DeValue::Float(_) => "number",
        DeValue::Datetime(_) => "datetime",
    }
}
