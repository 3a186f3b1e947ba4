//! The way in, cheaper than any real client could be: frame by frame and line by line, without a copy and without JSON.
//!
//! Start at [`next`]. A load generator that spent as much on a delivery as the gateway does would measure itself.

use anyhow::{bail, ensure};

const FINAL_BIT: u8 = 0x80;
const RESERVED_BITS: u8 = 0x70;
const MASK_BIT: u8 = 0x80;
const LENGTH_BITS: u8 = 0x7f;

/// What a frame of a server is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Binary,
    /// The rest of a message.
    Continuation,
    Close,
    Ping,
    Pong,
}

/// The first frame of `bytes` and its length with its header; `None` while it is incomplete.
///
/// # Errors
/// When it is none that a server sends: those are unmasked, and whole but for `in_pieces`.
pub(super) fn next(bytes: &[u8], in_pieces: bool) -> anyhow::Result<Option<(Kind, &[u8], usize)>> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    let is_whole = first & FINAL_BIT != 0 || in_pieces;
    ensure!(is_whole && first & RESERVED_BITS == 0, "a frame in pieces, or with an extension");
    ensure!(second & MASK_BIT == 0, "a masked frame from a server");
    let kind = match first & 0x0f {
        0x0 if in_pieces => Kind::Continuation,
        0x1 => Kind::Text,
        0x2 => Kind::Binary,
        0x8 => Kind::Close,
        0x9 => Kind::Ping,
        0xa => Kind::Pong,
        opcode => bail!("a frame of opcode {opcode}"),
    };
    let (length, header) = match second & LENGTH_BITS {
        126 => {
            let Some(length) = rest.first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*length)), 4)
        }
        127 => {
            let Some(length) = rest.first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*length), 10)
        }
        length => (u64::from(length), 2),
    };
    let end = usize::try_from(length)?.saturating_add(header);
    Ok(bytes.get(header..end).map(|payload| (kind, payload, end)))
}

/// The packets of a message: its connections, but for blank ones.
pub(super) fn packets(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = message;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            if !line.is_empty() {
                return Some(line);
            }
        }
        None
    })
}

/// The number at the front of `bytes`.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = &bytes[..digits];
    // Nineteen digits fit in any case, and offsets never have more.
    let fits = (1..=19).contains(&digits.len());
    fits.then(|| digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// What follows the first `"name":` in a packet.
pub(super) fn after<'a>(packet: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let at = memchr::memmem::find(packet, name.as_bytes())?;
    packet[at + name.len()..].strip_prefix(b"\":")
}

/// The text of the first `"name":"…"` in a packet, where it has no escapes.
pub(super) fn text<'a>(packet: &'a [u8], name: &str) -> Option<&'a str> {
    let rest = after(packet, name)?.strip_prefix(b"\"")?;
    std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()
}

#[cfg(test)]
mod tests {
    use tautline_websocket::{encode_close, encode_text};

    use super::*;

    #[test]
    fn frames_of_every_length_round_trip() {
        for bytes in [0, 1, 125, 126, 65_535, 65_536] {
            let mut written = Vec::new();
            encode_text(&mut written, &"x".repeat(bytes), None);
            encode_close(&mut written, Some(1000), "", None);
            let (kind, payload, used) = next(&written, false).unwrap().unwrap();
            assert_eq!((kind, payload.len()), (Kind::Text, bytes));
            assert_eq!(next(&written[used..], false).unwrap().unwrap().0, Kind::Close);
            assert!(next(&written[..used - 1], false).unwrap().is_none());
        }
    }

    #[test]
    fn pieces_are_only_read_where_they_mean_nothing() {
        let pieces = b"\x02\x02ab\x80\x01c";
        assert!(next(pieces, false).is_err());
        assert_eq!(next(pieces, true).unwrap(), Some((Kind::Binary, &b"ab"[..], 4)));
        assert_eq!(next(&pieces[4..], true).unwrap(), Some((Kind::Continuation, &b"c"[..], 3)));
        assert!(next(&pieces[4..], false).is_err());
    }

    #[test]
    fn packets_are_lines_and_blank_ones_are_nothing() {
        let connections: Vec<_> = packets(b"{\"a\":1}\n\n{\"b\":2}\n").collect();
        assert_eq!(connections, [&b"{\"a\":1}"[..], b"{\"b\":2}"]);
    }

    #[test]
    fn fields_are_found_without_a_parser() {
        let packet = br#"{"welcome":{"session":"s","ticket":"DeF","offset":44}}"#;
        assert_eq!(text(packet, "ticket"), Some("DeF"));
        assert_eq!(after(packet, "offset").and_then(number), Some(44));
        assert_eq!(after(packet, "at"), None);
        assert_eq!(number(b"x"), None);
    }
}
