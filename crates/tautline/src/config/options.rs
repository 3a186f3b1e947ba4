//! Divides a section of the file between the crates that own its options.
//!
//! Each crate has one struct with serde for its options; their names are those of its fields. (`#[serde(flatten)]`
//! would lose the place of an error.)

use serde::{
    Deserializer,
    de::{DeserializeOwned, Error as _, Visitor, value::Error},
    forward_to_deserialize_any,
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Takes the options of `T` out of a section, and reads them.
pub(super) fn take<T>(file: &mut DeTable<'_>, section: &str) -> Result<T, toml::de::Error>
where
    T: Default + DeserializeOwned,
{
    let Some(value) = file.get_mut(section) else { return Ok(T::default()) };
    let span = value.span();
    let DeValue::Table(table) = value.get_mut() else { return Ok(T::default()) };
    let taken = names::<T>().iter().filter_map(|name| table.remove_entry(*name)).collect();
    T::deserialize(toml::de::Deserializer::from(Spanned::new(span, taken)))
}

/// The names of the options of `T`.
pub(super) fn names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &[&str] = &[];
    // It reads nothing, and fails once it has the names.
    drop(T::deserialize(Names(&mut names)));
    names
}

struct Names<'n>(&'n mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("only the names were asked for"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("options are a struct"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
