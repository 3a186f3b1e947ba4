//! Ids of traces (W3C Trace Context): all sides log what they do about one request under the same one.
//!
//! Start at [`TraceId::parse`].

use std::{fmt, num::NonZeroU128};

/// Names all that is done about one request, on all machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(NonZeroU128);

impl TraceId {
    /// The name of the header.
    pub const HEADER: &str = "traceparent";

    /// The trace of this number; 0 is no trace, and becomes 1.
    #[must_use]
    pub const fn new(id: u128) -> Self {
        match NonZeroU128::new(id) {
            Some(id) => Self(id),
            None => Self(NonZeroU128::MIN),
        }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u128 {
        self.0.get()
    }

    /// The trace of a header `traceparent`; `None` where the header is not valid and has to be ignored.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.splitn(5, '-');
        let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version = hex(version, 2)?;
        // A later version may have more behind these.
        let is_known = version < 255 && (version > 0 || parts.next().is_none());
        let (span, _) = (hex(span, 16)?, hex(flags, 2)?);
        let id = NonZeroU128::new(hex(id, 32)?)?;
        (is_known && span > 0).then_some(Self(id))
    }

    /// The header for one step of the trace. The number of the step is not 0; 0 becomes 1.
    #[must_use]
    pub fn header(self, span: u64) -> String {
        format!("00-{self}-{:016x}-01", span.max(1))
    }
}

/// A number in so many lowercase hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    let is_number = text.len() == digits && text.bytes().all(is_digit);
    is_number.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn header_of_the_standard_is_read_and_written() {
        let trace = TraceId::parse(EXAMPLE).expect("valid");
        assert_eq!(trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.header(0x00f0_67aa_0ba9_02b7), EXAMPLE);
        assert_eq!(TraceId::parse(&trace.header(0)), Some(trace));
        let later = EXAMPLE.replacen("00", "cc", 1) + "-what-comes";
        assert_eq!(TraceId::parse(&later), Some(trace));
    }

    #[test]
    fn malformed_header_is_ignored() {
        let zeros = |digits: usize| "0".repeat(digits);
        for header in [
            "",
            "00",
            &EXAMPLE.replacen("00", "ff", 1),
            &EXAMPLE.to_uppercase(),
            &format!("{EXAMPLE}-more"),
            &EXAMPLE[..EXAMPLE.len() - 1],
            &format!("00-{}-00f067aa0ba902b7-01", zeros(32)),
            &format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", zeros(16)),
            &EXAMPLE.replace("4bf9", "+bf9"),
        ] {
            assert_eq!(TraceId::parse(header), None, "{header}");
        }
    }
}
