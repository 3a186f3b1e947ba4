//! The frame parser: however a stream is cut, it means the same, costs no more than it brought, and can be said again.

use tautline_websocket::{
    Decoder, Deflate, MaskKey, Role, encode_binary, encode_close, encode_ping, encode_pong, encode_text,
};

use crate::heard::{Heard, read};

/// The box that a decoder keeps while something is incomplete, in bytes.
const BOX_BYTES_MAX: usize = 192;
const KEY: MaskKey = [0x37, 0xfa, 0x21, 0x3d];

/// The first byte says who reads with which limit and whether messages may be compressed, the second how the rest is cut.
pub fn frames(data: &[u8]) {
    let [how, cut, stream @ ..] = data else { return };
    let (role, message_bytes_max) = setting(*how);
    let inflates = how & 0x80 != 0;
    let whole = heard_in_pieces(role, message_bytes_max, inflates, stream, stream.len());
    for piece_bytes in [1, 2 + usize::from(*cut)] {
        let pieces = heard_in_pieces(role, message_bytes_max, inflates, stream, piece_bytes);
        assert_eq!(pieces, whole, "in pieces of {piece_bytes}");
    }
    say_again(role, message_bytes_max, &whole);
}

/// Who reads, and the longest message, in bytes.
pub(crate) fn setting(how: u8) -> (Role, usize) {
    let role = if how & 1 == 0 { Role::Server } else { Role::Client };
    (role, [4096, 0, 20, 130][usize::from(how >> 1) % 4])
}

fn decoder(role: Role, message_bytes_max: usize, inflates: bool) -> Decoder {
    Decoder::new(role, message_bytes_max).with_deflate(inflates.then_some(Deflate::LARGEST_WINDOW))
}

fn heard_in_pieces(
    role: Role,
    message_bytes_max: usize,
    inflates: bool,
    stream: &[u8],
    piece_bytes: usize,
) -> Vec<Heard> {
    let mut decoder = decoder(role, message_bytes_max, inflates);
    let mut heard = Vec::new();
    let mut sent = 0;
    for piece in stream.chunks(piece_bytes.max(1)) {
        read(&mut decoder, piece, &mut heard);
        sent += piece.len();
        let held = decoder.held_bytes();
        assert!(held <= 2 * sent + BOX_BYTES_MAX, "{held} bytes held of {sent} sent");
        assert!(!decoder.is_over() || held == 0, "{held} bytes held after the end");
    }
    let ends = heard.iter().position(|event| matches!(event, Heard::Close(..) | Heard::Failed(_)));
    assert!(ends.is_none_or(|at| at + 1 == heard.len()), "something follows the end: {heard:?}");
    heard
}

/// What was heard, written with our own encoder, is heard again.
fn say_again(role: Role, message_bytes_max: usize, heard: &[Heard]) {
    let key = (role == Role::Server).then_some(KEY);
    let mut out = Vec::new();
    let said: Vec<_> = heard.iter().filter(|event| !matches!(event, Heard::Failed(_))).cloned().collect();
    for event in &said {
        match event {
            Heard::Text(text) => encode_text(&mut out, text, key),
            Heard::Binary(payload) => encode_binary(&mut out, payload, key),
            Heard::Ping(payload) => encode_ping(&mut out, payload, key),
            Heard::Pong(payload) => encode_pong(&mut out, payload, key),
            Heard::Close(code, reason) => encode_close(&mut out, *code, reason, key),
            Heard::Failed(_) => {}
        }
    }
    assert_eq!(heard_in_pieces(role, message_bytes_max, false, &out, out.len()), said, "said again");
}
