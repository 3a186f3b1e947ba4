//! The JSON Schema of the configuration, made from the structs that read it. Names, types and secrets of options are looked
//! up in it, so that a new option has its variable, its flag and its suggestion without a line of code.
//!
//! Start at [`Schema::get`].

use std::sync::OnceLock;

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    file::{self, Options},
    path::Step,
    suggestions::join,
};

/// What a file, the environment and flags may say.
#[derive(Debug)]
pub struct Schema(Value);

impl Schema {
    /// The only one.
    pub fn get() -> &'static Self {
        static SCHEMA: OnceLock<Schema> = OnceLock::new();
        SCHEMA.get_or_init(|| Self(make()))
    }

    /// As a JSON document, with a new line at its end.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{:#}\n", self.0)
    }

    pub(super) const fn root(&self) -> Node<'_> {
        Node(&self.0)
    }
}

fn make() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut generator = settings.for_deserialize().into_generator();
    let mut schema = generator.root_schema_for::<file::File>().to_value();
    for options in file::of_other_crates() {
        let properties = properties_of(&options, &mut generator);
        let sections = schema["properties"].as_object_mut().expect("the file is a struct");
        let section = sections.entry(options.section).or_insert_with(|| {
            json!({
                "type": "object",
                "description": "What a client, and what all clients together may take.",
                "additionalProperties": false,
                "properties": {},
            })
        });
        section["properties"].as_object_mut().expect("a section is a struct").extend(properties);
    }
    schema["title"] = json!("Configuration of Tautline");
    schema
}

fn properties_of(options: &Options, generator: &mut SchemaGenerator) -> Map<String, Value> {
    let mut schema = (options.schema)(generator).to_value();
    match schema["properties"].take() {
        Value::Object(properties) => properties,
        _ => panic!("the options of [{}] are a struct", options.section),
    }
}

/// A place in the schema: what may stand there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'s>(&'s Value);

impl<'s> Node<'s> {
    /// What may stand at a path; none where there is no such option.
    pub(super) fn at(self, path: &[Step]) -> Option<Self> {
        path.iter().try_fold(self, |node, step| match step {
            Step::Key(key) => node.property(key),
            Step::Index(_) => node.items(),
        })
    }

    /// An option of a table.
    pub(super) fn property(self, name: &str) -> Option<Self> {
        let named = self.alternatives().find_map(|node| node.0.get("properties")?.get(name));
        let any = || {
            self.alternatives()
                .find_map(|node| node.0.get("additionalProperties").filter(|it| it.is_object()))
        };
        named.or_else(any).map(Node)
    }

    /// The elements of an array.
    pub(super) fn items(self) -> Option<Self> {
        self.alternatives().find_map(|node| node.0.get("items")).map(Node)
    }

    /// The options of a table.
    pub(super) fn names(self) -> Vec<&'s str> {
        let tables = self.alternatives().filter_map(|node| node.0.get("properties")?.as_object());
        tables.flat_map(Map::keys).map(String::as_str).collect()
    }

    /// True where a value of this JSON type may stand.
    pub(super) fn takes(self, kind: &str) -> bool {
        self.alternatives().any(|node| match node.0.get("type") {
            Some(Value::String(only)) => only == kind,
            Some(Value::Array(several)) => several.iter().any(|one| one == kind),
            _ => false,
        })
    }

    /// True for what must not be shown.
    pub(super) fn is_secret(self) -> bool {
        self.alternatives().any(|node| node.0["format"] == "password")
    }

    /// True where a secret stands here, or somewhere inside.
    pub(super) fn holds_secrets(self) -> bool {
        let inside = |node: Self| {
            let properties = node.0.get("properties").and_then(Value::as_object);
            let named = properties.into_iter().flat_map(Map::values);
            let any = ["additionalProperties", "items"].into_iter().filter_map(|name| node.0.get(name));
            named.chain(any).any(|inner| Self(inner).holds_secrets())
        };
        self.is_secret() || self.alternatives().any(inside)
    }

    /// What stands here, in words, where a value of this JSON type cannot.
    pub(super) fn instead_of_type(self, kind: &str) -> Option<&'static str> {
        let is_taken = |kind: &str| self.takes(kind);
        let words = [("array", "a list"), ("object", "a table"), ("string", "a text in quotes")];
        let expected = words.into_iter().find(|(kind, _)| is_taken(kind));
        expected.filter(|_| !is_taken(kind)).map(|(_, words)| words)
    }

    /// The name in `section` that is meant by one that is not there, or all that are, in words.
    pub(super) fn instead_of(self, name: &str) -> String {
        let names = self.names();
        match super::suggestions::similar(name, names.iter().copied()) {
            Some(similar) => format!("is `{similar}` meant?"),
            None => format!("expected one of {}", join(&names)),
        }
    }

    fn alternatives(self) -> impl Iterator<Item = Self> {
        let lists =
            ["anyOf", "oneOf", "allOf"].into_iter().filter_map(move |list| self.0.get(list)?.as_array());
        std::iter::once(self).chain(lists.flatten().map(Node))
    }
}
