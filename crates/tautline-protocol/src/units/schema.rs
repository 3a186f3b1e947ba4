//! The JSON Schemas of options with units.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{ByteSize, Bytes, Count, Millis, Milliseconds, Span, Wait};

macro_rules! schemas {
    ($($type:ty: $schema:tt,)*) => {$(
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

schemas! {
    Count: {"type": "integer", "minimum": 1},
    ByteSize: {"type": ["integer", "string"], "minimum": 1, "pattern": "^[0-9]+ *(B|KiB|MiB|GiB)?$"},
    Bytes: {"type": ["integer", "string"], "minimum": 1, "pattern": "^[0-9]+ *(B|KiB|MiB|GiB)?$"},
    Milliseconds: {"type": ["integer", "string"], "minimum": 1, "pattern": "^([0-9]+ *(ms|s|m|h|d) *)+$"},
    Millis: {"type": ["integer", "string"], "minimum": 1, "pattern": "^([0-9]+ *(ms|s|m|h|d) *)+$"},
    Wait: {"type": "string", "pattern": "^([0-9]+ *(ms|s|m|h|d) *)+$"},
    Span: {"type": "string", "pattern": "^([0-9]+ *(ms|s|m|h|d) *)+$"},
}
