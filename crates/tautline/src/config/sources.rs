//! All that is said about the configuration, in one table: the file, over it the environment, over it flags.
//!
//! Start at [`Sources::in_file`]. Each value keeps its place, so that an error points at it wherever it comes from: spans
//! below [`OUTSIDE`] count bytes of the file, each one above it is a variable or a flag.

use std::{borrow::Cow, ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::{
    ConfigError,
    path::{OptionPath, Step},
    schema::{Node, Schema},
};

/// The first span that is no place in the file.
const OUTSIDE: usize = usize::MAX / 2;

/// A value outside of the file.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The environment variable of this name.
    Variable(String),
    /// The flag of this name.
    Flag(&'static str),
}

/// The table, and the places of its values.
pub(super) struct Sources<'t> {
    file: Option<&'t Path>,
    text: &'t str,
    root: Spanned<DeValue<'t>>,
    outside: Vec<Source>,
}

impl<'t> Sources<'t> {
    /// What a file says; without one, nothing.
    pub(super) fn in_file(file: Option<&'t Path>, text: &'t str) -> Result<Self, ConfigError> {
        let fault = |error: toml::de::Error| {
            ConfigError::in_file(file.unwrap_or(Path::new("")), text, error.span(), error.message())
        };
        let table = DeTable::parse(text).map_err(fault)?;
        let (span, table) = (table.span(), table.into_inner());
        let sources =
            Self { file, text, root: Spanned::new(span, DeValue::Table(table)), outside: Vec::new() };
        match first_unknown(&sources.root, Schema::get().root(), &OptionPath::default()) {
            Some((span, words)) => Err(sources.error(Some(span), &words)),
            None => Ok(sources),
        }
    }

    /// Puts the value of a variable or a flag over what was said before. Its text is read as the type that the schema names.
    pub(super) fn put(
        &mut self,
        source: Source,
        path: &OptionPath,
        text: &'t str,
    ) -> Result<(), ConfigError> {
        let at = OUTSIDE + self.outside.len();
        self.outside.push(source);
        let span = at..at + 1;
        let put = node_at(path)
            .and_then(|node| value_of(text, node))
            .and_then(|value| put(&mut self.root, &path.0, spanned(value, &span), &span));
        put.map_err(|words| self.error(Some(span), &words))
    }

    /// An error at a place.
    pub(super) fn error(&self, span: Option<Range<usize>>, words: &str) -> ConfigError {
        match span.as_ref().and_then(|span| self.outside.get(span.start.checked_sub(OUTSIDE)?)) {
            Some(Source::Variable(name)) => ConfigError::in_variable(name, words),
            Some(Source::Flag(name)) => ConfigError::in_flag(name, words),
            None => ConfigError::in_file(self.file.unwrap_or(Path::new("")), self.text, span, words),
        }
    }

    /// A place in words.
    pub(super) fn place(&self, span: Range<usize>) -> String {
        self.error(Some(span), "").place().to_owned()
    }

    /// True where nothing is said.
    pub(super) fn is_empty(&self) -> bool {
        self.root.get_ref().as_table().is_none_or(|table| table.is_empty())
    }

    pub(super) const fn root(&mut self) -> &mut Spanned<DeValue<'t>> {
        &mut self.root
    }
}

/// True for the place of a variable or a flag.
pub(super) const fn is_outside(span: &Range<usize>) -> bool {
    span.start >= OUTSIDE
}

/// What may stand at a path.
fn node_at(path: &OptionPath) -> Result<Node<'static>, String> {
    let mut node = Schema::get().root();
    let mut here = OptionPath::default();
    for step in &path.0 {
        node = match (node.at(std::slice::from_ref(step)), step) {
            (Some(inner), _) => inner,
            (None, Step::Key(key)) => return Err(unknown(node, key, &here)),
            (None, Step::Index(index)) => {
                return Err(format!("`{here}` is no list, and has no element {index}"));
            }
        };
        here = here.then(step.clone());
    }
    Ok(node)
}

fn unknown(node: Node<'_>, key: &str, section: &OptionPath) -> String {
    let names = node.names();
    if names.is_empty() {
        return format!("`{section}` has no options, and none named `{key}`");
    }
    let place = if section.0.is_empty() { String::new() } else { format!(" in `{section}`") };
    format!("unknown option `{key}`{place}: {}", node.instead_of(key))
}

/// The first option of the file that there is not, in its order.
fn first_unknown(
    value: &Spanned<DeValue<'_>>,
    node: Node<'_>,
    path: &OptionPath,
) -> Option<(Range<usize>, String)> {
    match value.get_ref() {
        DeValue::Table(table) if node.takes("object") => {
            let faults = table.iter().filter_map(|(key, value)| {
                let name = key.get_ref().as_ref();
                match node.property(name) {
                    Some(inner) => first_unknown(value, inner, &path.then(Step::Key(name.to_owned()))),
                    None => Some((key.span(), unknown(node, name, path))),
                }
            });
            faults.min_by_key(|(span, _)| span.start)
        }
        DeValue::Array(array) => {
            let items = node.items()?;
            let mut elements = array.iter().enumerate();
            elements.find_map(|(index, value)| first_unknown(value, items, &path.then(Step::Index(index))))
        }
        _ => None,
    }
}

/// A text as the type that may stand there. Lists may be written with commas, without brackets and quotes.
fn value_of<'t>(text: &'t str, node: Node<'_>) -> Result<DeValue<'t>, String> {
    let as_toml =
        || DeValue::parse(text).map(Spanned::into_inner).map_err(|error| error.message().to_owned());
    if node.takes("array") {
        if text.trim_start().starts_with('[') {
            return as_toml();
        }
        let items = node.items().ok_or("a list of nothing")?;
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let elements = parts.map(|part| value_of(part, items).map(|value| Spanned::new(0..0, value)));
        return elements.collect::<Result<DeArray<'_>, _>>().map(DeValue::Array);
    }
    if node.takes("object") {
        return as_toml();
    }
    let is_number = |value: &DeValue<'_>| value.is_integer() || value.is_float();
    match (text, as_toml()) {
        ("true" | "false", Ok(value)) if node.takes("boolean") => Ok(value),
        (_, Ok(value)) if is_number(&value) && (node.takes("integer") || node.takes("number")) => Ok(value),
        _ => Ok(DeValue::String(Cow::Borrowed(text))),
    }
}

/// The value, and all that is in it, at one place.
fn spanned<'t>(value: DeValue<'t>, span: &Range<usize>) -> Spanned<DeValue<'t>> {
    let value = match value {
        DeValue::Array(array) => {
            DeValue::Array(array.into_iter().map(|element| spanned(element.into_inner(), span)).collect())
        }
        DeValue::Table(table) => {
            let options = table.into_iter().map(|(key, value)| {
                (Spanned::new(span.clone(), key.into_inner()), spanned(value.into_inner(), span))
            });
            DeValue::Table(options.collect())
        }
        other => other,
    };
    Spanned::new(span.clone(), value)
}

fn put<'t>(
    slot: &mut Spanned<DeValue<'t>>,
    steps: &[Step],
    value: Spanned<DeValue<'t>>,
    span: &Range<usize>,
) -> Result<(), String> {
    let Some((step, rest)) = steps.split_first() else {
        *slot = value;
        return Ok(());
    };
    let empty = || {
        let container = match rest.first() {
            Some(Step::Index(_)) => DeValue::Array(DeArray::default()),
            _ => DeValue::Table(DeTable::default()),
        };
        Spanned::new(span.clone(), container)
    };
    match (slot.get_mut(), step) {
        (DeValue::Table(table), Step::Key(key)) => {
            if !table.contains_key(key.as_str()) {
                table.insert(Spanned::new(span.clone(), Cow::Owned(key.clone())), empty());
            }
            put(table.get_mut(key.as_str()).expect("it was put there"), rest, value, span)
        }
        (DeValue::Array(array), Step::Index(index)) => {
            let elements = array.len();
            if *index > elements {
                return Err(format!("element {index} of a list that has {elements}: they count from 0"));
            }
            if *index == elements {
                array.push(empty());
            }
            put(array.get_mut(*index).expect("it is no longer missing"), rest, value, span)
        }
        (other, _) => Err(format!("the file has a {} there", other.type_str())),
    }
}
