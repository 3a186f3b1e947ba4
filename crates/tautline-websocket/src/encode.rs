//! Appends whole frames to a buffer. With a key they are a client's and masked, without one a server's.

use crate::{Deflate, FrameHeader, MaskKey, Opcode, apply_mask, close::close_reason};

/// Appends a text message.
pub fn encode_text(out: &mut Vec<u8>, text: &str, key: Option<MaskKey>) {
    encode(out, Opcode::Text, &[text.as_bytes()], key);
}

/// Appends a binary message.
pub fn encode_binary(out: &mut Vec<u8>, payload: &[u8], key: Option<MaskKey>) {
    encode(out, Opcode::Binary, &[payload], key);
}

/// Appends a message that is compressed, text or binary as `opcode` says.
///
/// # Panics
/// When `opcode` is not for a message.
pub fn encode_compressed(
    out: &mut Vec<u8>,
    opcode: Opcode,
    payload: &[u8],
    deflate: Deflate,
    key: Option<MaskKey>,
) {
    let compressed = deflate.compress(payload);
    write(out, FrameHeader::compressed(opcode, compressed.len(), key), &[&compressed], key);
}

/// Appends a ping.
///
/// # Panics
/// When the payload is longer than [`crate::CONTROL_BYTES_MAX`].
pub fn encode_ping(out: &mut Vec<u8>, payload: &[u8], key: Option<MaskKey>) {
    encode(out, Opcode::Ping, &[payload], key);
}

/// Appends a pong. The payload is that of the ping it answers.
///
/// # Panics
/// When the payload is longer than [`crate::CONTROL_BYTES_MAX`].
pub fn encode_pong(out: &mut Vec<u8>, payload: &[u8], key: Option<MaskKey>) {
    encode(out, Opcode::Pong, &[payload], key);
}

/// Appends a close frame. A reason that is too long is cut; without a code there is no reason either (RFC 6455 section 5.5.1).
pub fn encode_close(out: &mut Vec<u8>, code: Option<u16>, reason: &str, key: Option<MaskKey>) {
    match code {
        Some(code) => {
            encode(out, Opcode::Close, &[&code.to_be_bytes(), close_reason(reason).as_bytes()], key);
        }
        None => encode(out, Opcode::Close, &[], key),
    }
}

fn encode(out: &mut Vec<u8>, opcode: Opcode, parts: &[&[u8]], key: Option<MaskKey>) {
    let payload_bytes = parts.iter().map(|part| part.len()).sum();
    write(out, FrameHeader::new(opcode, payload_bytes, key), parts, key);
}

fn write(out: &mut Vec<u8>, header: FrameHeader, parts: &[&[u8]], key: Option<MaskKey>) {
    out.reserve(header.as_bytes().len() + parts.iter().map(|part| part.len()).sum::<usize>());
    out.extend_from_slice(header.as_bytes());
    let start = out.len();
    parts.iter().for_each(|part| out.extend_from_slice(part));
    if let Some(key) = key {
        apply_mask(&mut out[start..], key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn the_examples_of_the_rfc_come_out_to_the_byte() {
        assert_eq!(encoded(|out| encode_text(out, "Hello", None)), b"\x81\x05Hello");
        assert_eq!(
            encoded(|out| encode_text(out, "Hello", Some([0x37, 0xfa, 0x21, 0x3d]))),
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
        );
        assert_eq!(encoded(|out| encode_ping(out, b"Hello", None)), b"\x89\x05Hello");
        assert_eq!(encoded(|out| encode_pong(out, b"Hello", None)), b"\x8a\x05Hello");
        assert_eq!(encoded(|out| encode_binary(out, b"\0\xff", None)), b"\x82\x02\0\xff");
    }

    #[test]
    fn a_close_frame_carries_a_code_with_its_reason_or_nothing() {
        assert_eq!(encoded(|out| encode_close(out, Some(4001), "later", None)), b"\x88\x07\x0f\xa1later");
        assert_eq!(encoded(|out| encode_close(out, None, "unsaid", None)), b"\x88\x00");
        let long = encoded(|out| encode_close(out, Some(1000), &"x".repeat(500), None));
        assert_eq!(long[1], 125);
    }

    #[test]
    fn frames_are_appended_to_what_is_there() {
        let mut out = b"before".to_vec();
        encode_text(&mut out, "a", Some([0xff; 4]));
        assert_eq!(out, b"before\x81\x81\xff\xff\xff\xff\x9e");
    }
}
