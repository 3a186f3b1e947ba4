//! The values of all options that were said or have a default, with their places: `tautline config --show` prints them,
//! and a reload finds the changed ones.

use std::collections::BTreeMap;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    path::{OptionPath, Step},
    schema::{Node, Schema},
    sources::Sources,
};

/// Where comments begin, in characters.
const COMMENT_COLUMN: usize = 44;

/// Each option and its value.
#[derive(Clone, Default)]
pub struct Values(BTreeMap<OptionPath, Value>);

#[derive(Clone)]
struct Value {
    /// As TOML.
    text: String,
    /// Where it was said; none: it is the default.
    place: Option<String>,
    is_secret: bool,
}

impl Values {
    /// What was said, over the defaults of the example. Its lists of tables, such as `[[channels]]`, are no defaults.
    pub(super) fn of(sources: &mut Sources<'_>, example: &str) -> Self {
        let mut values = BTreeMap::new();
        let schema = Schema::get().root();
        if let Ok(example) = DeTable::parse(example) {
            let (span, table) = (example.span(), example.into_inner());
            let defaults = Spanned::new(span, DeValue::Table(table));
            collect(&defaults, schema, OptionPath::default(), &mut |path, text, _, is_secret| {
                if !path.0.iter().any(|step| matches!(step, Step::Index(_))) {
                    values.insert(path, Value { text, place: None, is_secret });
                }
            });
        }
        // `[[listen]]` takes the place of this default.
        if sources.root().get_ref().get("listen").is_some() {
            values.remove(&OptionPath::of_flag("server.listen"));
        }
        let mut said = Vec::new();
        collect(sources.root(), schema, OptionPath::default(), &mut |path, text, span, is_secret| {
            said.push((path, text, span, is_secret));
        });
        for (path, text, span, is_secret) in said {
            values.insert(path, Value { text, place: Some(sources.place(span)), is_secret });
        }
        Self(values)
    }

    /// As TOML with the place of each value; secrets are hidden.
    #[must_use]
    pub fn show(&self) -> String {
        let mut shown = String::new();
        let mut section = &[][..];
        for (path, value) in &self.0 {
            let (outer, key) = path.split();
            if outer != section {
                let name = OptionPath(outer[..1].to_vec());
                let header = if outer.len() > 1 { format!("[[{name}]]") } else { format!("[{name}]") };
                shown += &format!("{}{header}\n", if shown.is_empty() { "" } else { "\n" });
                section = outer;
            }
            let text = if value.is_secret { "\"…\"" } else { &value.text };
            let place = value.place.as_deref().unwrap_or("default");
            shown += &format!("{:COMMENT_COLUMN$} # {place}\n", format!("{key} = {text}"));
        }
        shown
    }

    /// The place where an option was said.
    pub(crate) fn place(&self, option: &str) -> Option<&str> {
        self.0.get(&OptionPath::of_flag(option))?.place.as_deref()
    }

    /// The options whose values are not the same in `other`.
    pub(crate) fn changed(&self, other: &Self) -> Vec<String> {
        let text = |values: &Self, path| values.0.get(path).map(|value| value.text.clone());
        let mut paths: Vec<_> = self.0.keys().chain(other.0.keys()).collect();
        paths.sort_unstable();
        paths.dedup();
        let changed = paths.into_iter().filter(|path| text(self, path) != text(other, path));
        changed.map(ToString::to_string).collect()
    }
}

fn collect(
    value: &Spanned<DeValue<'_>>,
    node: Node<'_>,
    path: OptionPath,
    found: &mut dyn FnMut(OptionPath, String, std::ops::Range<usize>, bool),
) {
    match value.get_ref() {
        DeValue::Table(table) => {
            for (key, inner) in table {
                let key = key.get_ref().as_ref();
                // One that there is not was refused before.
                let Some(node) = node.property(key) else { continue };
                collect(inner, node, path.then(Step::Key(key.to_owned())), found);
            }
        }
        DeValue::Array(array) if array.iter().any(|element| element.get_ref().is_table()) => {
            let Some(node) = node.items() else { return };
            for (index, inner) in array.iter().enumerate() {
                collect(inner, node, path.then(Step::Index(index)), found);
            }
        }
        leaf => {
            let is_secret = node.is_secret() || node.items().is_some_and(Node::is_secret);
            found(path, text_of(leaf), value.span(), is_secret);
        }
    }
}

/// A value as TOML.
fn text_of(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => toml::Value::String(text.clone().into_owned()).to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(array) => {
            let elements: Vec<_> = array.iter().map(|element| text_of(element.get_ref())).collect();
            format!("[{}]", elements.join(", "))
        }
        DeValue::Table(_) => "{ … }".to_owned(),
    }
}
