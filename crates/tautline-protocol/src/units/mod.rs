//! Durations and sizes with units: `90s`, `24h`, `64KiB`, `1MiB`.
//!
//! Start at [`Count`], [`Bytes`], [`Wait`] and [`Millis`], which deserialize an option of a configuration:
//! `#[serde(with = "units::Bytes")]`.

mod option;
#[cfg(feature = "schema")]
mod schema;

use std::time::Duration;

pub use self::option::{ByteSize, Bytes, Count, Millis, Milliseconds, Span, Wait};

/// Reads whole numbers with their units, `d`, `h`, `m`, `s` and `ms`, the largest first: `90s`, `1h30m`.
///
/// # Errors
/// A message that says which values are valid.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let refuse = || {
        format!(
            "{text:?} is no duration: write whole numbers and ms, s, m, h or d, the largest first, like 500ms, 90s or 1h30m"
        )
    };
    let too_long = || format!("{text:?} is too long: 36500d is the most");
    let (mut rest, mut sum_ms, mut smallest_ms) = (text.trim_end(), 0_u64, u64::MAX);
    while smallest_ms == u64::MAX || !rest.is_empty() {
        let (number, behind) = split(rest).ok_or_else(refuse)?;
        let unit_len = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let unit_ms = match &behind[..unit_len] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 3600 * 1000,
            "d" => 24 * 3600 * 1000,
            _ => return Err(refuse()),
        };
        if unit_ms >= smallest_ms {
            return Err(refuse());
        }
        smallest_ms = unit_ms;
        rest = behind[unit_len..].trim_start();
        let ms = number.checked_mul(unit_ms).and_then(|ms| sum_ms.checked_add(ms));
        sum_ms = ms.filter(|ms| *ms <= DURATION_MS_MAX).ok_or_else(too_long)?;
    }
    Ok(Duration::from_millis(sum_ms))
}

/// A hundred years: added to a wall clock it is still a date.
const DURATION_MS_MAX: u64 = 36_500 * 24 * 3600 * 1000;

/// Reads a whole number of bytes, with `KiB`, `MiB` or `GiB` if wanted.
///
/// # Errors
/// A message that says which values are valid.
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

/// A duration in milliseconds; one that overflows is the longest possible.
#[must_use]
pub fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_with_their_units() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_duration("7 d"), Ok(Duration::from_secs(7 * 24 * 3600)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("1d 2h 3m 4s 5ms"), Ok(Duration::from_millis(93_784_005)));
        assert_eq!(parse_bytes("1MiB"), Ok(1024 * 1024));
        assert_eq!(parse_bytes("512"), Ok(512));
    }

    #[test]
    fn value_without_unit_or_end_is_refused() {
        for text in ["", "10", "s", "-1s", "1.5h", "10 sec", "99999999999999999999s", "30m1h", "1h1h", "1h30"]
        {
            assert!(parse_duration(text).unwrap_err().contains("is no duration"), "{text}");
        }
        for text in ["40000d", "36500d1ms", "9999999999999999999d"] {
            assert!(parse_duration(text).unwrap_err().contains("too long"), "{text}");
        }
        for text in ["", "KiB", "1kb", "1.5MiB", "-1"] {
            assert!(parse_bytes(text).unwrap_err().contains("is no size"), "{text}");
        }
        assert!(parse_bytes("18446744073709551615GiB").unwrap_err().contains("more than this machine"));
    }
}
