//! The frame parser: however a stream is cut, it means the same, costs no more than it brought, and can be said again.

use tautline_websocket::{
    Decoder, Deflate, MaskKey, Role, encode_binary, encode_close, encode_ping, encode_pong, encode_text,
};

use crate::owned_event::{OwnedEvent, read};

/// The box that a decoder keeps while something is incomplete, in bytes.
const BOX_BYTES_MAX: usize = 192;
const KEY: MaskKey = [0x37, 0xfa, 0x21, 0x3d];

/// The first byte says who reads with which limit and whether messages may be compressed, the second how the rest is cut.
pub fn frames(data: &[u8]) {
    let [how, cut, stream @ ..] = data else { return };
    let (role, message_bytes_max) = setting(*how);
    let inflates = how & 0x80 != 0;
    let whole = events_in_pieces(role, message_bytes_max, inflates, stream, stream.len());
    for piece_bytes in [1, 2 + usize::from(*cut)] {
        let pieces = events_in_pieces(role, message_bytes_max, inflates, stream, piece_bytes);
        assert_eq!(pieces, whole, "in pieces of {piece_bytes}");
    }
    encode_again(role, message_bytes_max, &whole);
}

/// Who reads, and the longest message, in bytes.
pub(crate) fn setting(how: u8) -> (Role, usize) {
    let role = if how & 1 == 0 { Role::Server } else { Role::Client };
    (role, [4096, 0, 20, 130][usize::from(how >> 1) % 4])
}

fn decoder(role: Role, message_bytes_max: usize, inflates: bool) -> Decoder {
    Decoder::new(role, message_bytes_max).with_deflate(inflates.then_some(Deflate::LARGEST_WINDOW))
}

fn events_in_pieces(
    role: Role,
    message_bytes_max: usize,
    inflates: bool,
    stream: &[u8],
    piece_bytes: usize,
) -> Vec<OwnedEvent> {
    let mut decoder = decoder(role, message_bytes_max, inflates);
    let mut events = Vec::new();
    let mut sent = 0;
    for piece in stream.chunks(piece_bytes.max(1)) {
        read(&mut decoder, piece, &mut events);
        sent += piece.len();
        let held = decoder.held_bytes();
        assert!(held <= 2 * sent + BOX_BYTES_MAX, "{held} bytes held of {sent} sent");
        assert!(!decoder.is_over() || held == 0, "{held} bytes held after the end");
    }
    let ends = events.iter().position(|event| matches!(event, OwnedEvent::Close(..) | OwnedEvent::Failed(_)));
    assert!(ends.is_none_or(|at| at + 1 == events.len()), "something follows the end: {events:?}");
    events
}

/// What was events, written with our own encoder, is events again.
fn encode_again(role: Role, message_bytes_max: usize, events: &[OwnedEvent]) {
    let key = (role == Role::Server).then_some(KEY);
    let mut out = Vec::new();
    let said: Vec<_> =
        events.iter().filter(|event| !matches!(event, OwnedEvent::Failed(_))).cloned().collect();
    for event in &said {
        match event {
            OwnedEvent::Text(text) => encode_text(&mut out, text, key),
            OwnedEvent::Binary(payload) => encode_binary(&mut out, payload, key),
            OwnedEvent::Ping(payload) => encode_ping(&mut out, payload, key),
            OwnedEvent::Pong(payload) => encode_pong(&mut out, payload, key),
            OwnedEvent::Close(code, reason) => encode_close(&mut out, *code, reason, key),
            OwnedEvent::Failed(_) => {}
        }
    }
    assert_eq!(events_in_pieces(role, message_bytes_max, false, &out, out.len()), said, "said again");
}
