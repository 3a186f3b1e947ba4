//! Durations and sizes as people write them: `90s`, `24h`, `64KiB`, `1MiB`.

use std::{fmt, time::Duration};

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// Reads a whole number and its unit: `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// In words, with what would be valid.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let refuse = || {
        format!("{text:?} is no duration: write a whole number and ms, s, m, h or d, like 500ms, 90s or 24h")
    };
    let (number, unit) = split(text).ok_or_else(refuse)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 3600 * 1000,
        "d" => 24 * 3600 * 1000,
        _ => return Err(refuse()),
    };
    let ms = number.checked_mul(unit_ms).filter(|ms| *ms <= DURATION_MS_MAX);
    ms.map(Duration::from_millis).ok_or_else(|| format!("{text:?} is too long: 36500d is the most"))
}

/// A hundred years: whatever is added to a wall clock stays a date.
const DURATION_MS_MAX: u64 = 36_500 * 24 * 3600 * 1000;

/// Reads a whole number of bytes, with `KiB`, `MiB` or `GiB` if wanted.
///
/// # Errors
/// In words, with what would be valid.
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    let refuse =
        || format!("{text:?} is no size: write a whole number and B, KiB, MiB or GiB, like 64KiB or 1MiB");
    let (number, unit) = split(text).ok_or_else(refuse)?;
    let unit_bytes = match unit {
        "" | "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        "GiB" => 1024 * 1024 * 1024,
        _ => return Err(refuse()),
    };
    let bytes: Option<u64> = number.checked_mul(unit_bytes);
    bytes
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| format!("{text:?} is more than this machine can count"))
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number = text[..digits].parse().ok()?;
    Some((number, text[digits..].trim_start()))
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
        f.write_str("a duration in quotes, like \"500ms\", \"90s\" or \"24h\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
        parse_duration(text).map(Span).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_with_their_units() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_duration("7 d"), Ok(Duration::from_secs(7 * 24 * 3600)));
        assert_eq!(parse_bytes("1MiB"), Ok(1024 * 1024));
        assert_eq!(parse_bytes("512"), Ok(512));
    }

    #[test]
    fn what_has_no_unit_or_no_end_is_refused_in_words() {
        for text in ["", "10", "s", "-1s", "1.5h", "10 sec", "99999999999999999999s"] {
            assert!(parse_duration(text).unwrap_err().contains("is no duration"), "{text}");
        }
        assert!(parse_duration("40000d").unwrap_err().contains("too long"));
        for text in ["", "KiB", "1kb", "1.5MiB", "-1"] {
            assert!(parse_bytes(text).unwrap_err().contains("is no size"), "{text}");
        }
        assert!(parse_bytes("18446744073709551615GiB").unwrap_err().contains("more than this machine"));
    }
}
