//! What is wrong with the settings, and exactly where.

use std::{fmt, ops::Range, path::Path};

/// Settings that cannot be used: one message that names the place and what would be valid there.
///
/// The line itself is never quoted, because it may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    place: String,
    message: String,
}

impl ConfigError {
    /// A fault at a place in a file. `span` counts bytes; without one the fault is the file's as a whole.
    pub(crate) fn in_file(path: &Path, text: &str, span: Option<Range<usize>>, message: &str) -> Self {
        let path = path.display();
        let place = match span {
            Some(span) => {
                let (line, column) = line_and_column(text, span.start);
                format!("{path}:{line}:{column}")
            }
            None => path.to_string(),
        };
        // The toml crate breaks some of its messages into lines; this is one message.
        Self { place, message: message.trim_end().replace('\n', ", ") }
    }

    /// Where it is.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// What a flag asks for cannot be had.
    pub(crate) fn in_flag(name: &str, message: &str) -> Self {
        Self { place: name.to_owned(), message: message.to_owned() }
    }

    /// A fault in an environment variable.
    pub(crate) fn in_variable(name: &str, message: impl Into<String>) -> Self {
        Self { place: format!("environment variable {name}"), message: message.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for ConfigError {}

/// Both count from 1; the column counts characters, as editors do.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        assert_eq!(line_and_column("", 0), (1, 1));
        assert_eq!(line_and_column("a\n房间 = 1", "a\n房间".len()), (2, 3));
        assert_eq!(line_and_column("a\n", 2), (2, 1));
    }
}
