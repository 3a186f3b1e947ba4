//! Close codes and reasons, RFC 6455 section 7.4.

use crate::{CONTROL_BYTES_MAX, WebSocketError};

/// The longest reason that fits a close frame beside its code, in bytes.
pub const CLOSE_REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// Whether `code` may be sent in a close frame.
///
/// 1004 has no meaning, 1005, 1006 and 1015 only say that no code came, and what lies below 1000, from 1016 to 2999 and above
/// 4999 is kept for later (1012 to 1014 were registered after the RFC).
pub fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// As much of the front of `reason` as fits a close frame, cut between two characters.
pub fn close_reason(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX)]
}

/// Reads the payload of a close frame.
pub(crate) fn parse_close(payload: &[u8]) -> Result<(Option<u16>, &str), WebSocketError> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok((None, "")) } else { Err(WebSocketError::CloseTooShort) };
    };
    let code = u16::from_be_bytes(*code);
    if !is_close_code(code) {
        return Err(WebSocketError::CloseCodeNotAllowed(code));
    }
    let reason = simdutf8::basic::from_utf8(reason).map_err(|_| WebSocketError::InvalidUtf8)?;
    Ok((Some(code), reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_say_nothing_or_are_kept_for_later_are_not_allowed() {
        let allowed = |code: &u16| is_close_code(*code);
        assert_eq!(
            (0..=2999).filter(allowed).collect::<Vec<_>>(),
            [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]
        );
        assert!((3000..=4999).all(is_close_code));
        assert!(!(5000..=u16::MAX).any(is_close_code));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(close_reason("short"), "short");
        let long = "é".repeat(100);
        assert_eq!(close_reason(&long).len(), 122, "123 would cut a character in half");
    }

    #[test]
    fn a_close_payload_is_nothing_or_a_code_and_a_reason() {
        assert_eq!(parse_close(b""), Ok((None, "")));
        assert_eq!(parse_close(b"\x03\xe8"), Ok((Some(1000), "")));
        assert_eq!(parse_close(b"\x0f\xa1bye"), Ok((Some(4001), "bye")));
        assert_eq!(parse_close(b"\x03"), Err(WebSocketError::CloseTooShort));
        assert_eq!(parse_close(b"\x03\xed"), Err(WebSocketError::CloseCodeNotAllowed(1005)));
        assert_eq!(parse_close(b"\x03\xe8\xff"), Err(WebSocketError::InvalidUtf8));
    }
}
