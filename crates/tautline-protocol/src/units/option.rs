//! Options of a configuration: numbers, or texts such as `"90s"` and `"64KiB"`.

use std::{fmt, num::NonZero, time::Duration};

use serde::{
    Serialize, Serializer,
    de::{Deserialize, Deserializer, Error, Visitor},
};

use super::{DURATION_MS_MAX, parse_bytes, parse_duration, whole_ms};

/// A number above zero.
#[derive(Clone, Copy, Debug)]
pub enum Count {}

impl Count {
    /// For `#[serde(with)]`.
    ///
    /// # Errors
    /// For any other value.
    pub fn deserialize<'de, D: Deserializer<'de>, N: TryFrom<u64>>(deserializer: D) -> Result<N, D::Error> {
        let count = NonZero::<u64>::deserialize(deserializer)?.get();
        N::try_from(count)
            .map_err(|_| D::Error::custom(format!("{count} is more than this machine can count")))
    }

    /// For `#[serde(with)]`, and for the defaults of a schema.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<N: Serialize, S: Serializer>(value: &N, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }
}

/// A [`ByteSize`] as a number.
#[derive(Clone, Copy, Debug)]
pub enum Bytes {}

impl Bytes {
    /// For `#[serde(with)]`.
    ///
    /// # Errors
    /// For any other value.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
        ByteSize::deserialize(deserializer).map(|size| size.0)
    }

    /// For `#[serde(with)]`, and for the defaults of a schema.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &usize, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }
}

/// [`Milliseconds`] as a number.
#[derive(Clone, Copy, Debug)]
pub enum Millis {}

impl Millis {
    /// For `#[serde(with)]`.
    ///
    /// # Errors
    /// For any other value.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        Milliseconds::deserialize(deserializer).map(|ms| ms.0)
    }

    /// For `#[serde(with)]`, and for the defaults of a schema.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }
}

/// A duration above zero, in an option whose name does not end in `_ms`: a [`Span`]. A bare number would be taken
/// for seconds by its reader.
#[derive(Clone, Copy, Debug)]
pub enum Wait {}

impl Wait {
    /// For `#[serde(with)]`.
    ///
    /// # Errors
    /// For any other value.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        match Span::deserialize(deserializer)?.0 {
            Duration::ZERO => Err(D::Error::custom("a wait is longer than nothing, like \"10s\"")),
            wait => Ok(wait),
        }
    }

    /// For `#[serde(with)]`, and for the defaults of a schema.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}ms", whole_ms(*value)))
    }
}

/// A size in a file: a number of bytes, or a text like `"64KiB"`. At least one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub usize);

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ByteSizeVisitor)
    }
}

struct ByteSizeVisitor;

impl Visitor<'_> for ByteSizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size above zero, like 65536 or \"64KiB\"")
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<ByteSize, E> {
        match usize::try_from(bytes) {
            Ok(bytes) if bytes > 0 => Ok(ByteSize(bytes)),
            _ => Err(E::invalid_value(serde::de::Unexpected::Signed(bytes), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ByteSize, E> {
        match parse_bytes(text).map_err(E::custom)? {
            0 => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
            bytes => Ok(ByteSize(bytes)),
        }
    }
}

/// A duration in a file: a text like `"90s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration in quotes, like \"500ms\", \"90s\" or \"1h30m\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
        parse_duration(text).map(Span).map_err(E::custom)
    }
}

/// A wait in a file: a number of milliseconds, or a text like `"10s"`. At least one millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Milliseconds(pub u64);

impl<'de> Deserialize<'de> for Milliseconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MillisecondsVisitor)
    }
}

struct MillisecondsVisitor;

impl Visitor<'_> for MillisecondsVisitor {
    type Value = Milliseconds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a time above zero: milliseconds like 10000, or a duration in quotes like \"10s\" or \"1h30m\"",
        )
    }

    fn visit_i64<E: Error>(self, ms: i64) -> Result<Milliseconds, E> {
        match u64::try_from(ms) {
            Ok(ms) if ms > DURATION_MS_MAX => Err(E::custom(format!("{ms} is too long: 36500d is the most"))),
            Ok(ms) if ms > 0 => Ok(Milliseconds(ms)),
            _ => Err(E::invalid_value(serde::de::Unexpected::Signed(ms), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Milliseconds, E> {
        match whole_ms(parse_duration(text).map_err(E::custom)?) {
            0 => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
            ms => Ok(Milliseconds(ms)),
        }
    }
}
