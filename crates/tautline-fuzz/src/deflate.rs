//! permessage-deflate: whatever travels, no more comes of it than is allowed, and what is compressed comes back.

use tautline_websocket::{Decoder, Deflate, Opcode, Role, WebSocketError, encode_compressed};

use crate::owned_event::{OwnedEvent, read};

const MESSAGE_BYTES_MAX: usize = 4096;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The first byte says which offer is accepted. The rest is a header with offers, a compressed payload, and a message.
pub fn deflate(data: &[u8]) {
    let [window, rest @ ..] = data else { return };
    if let Ok(header) = std::str::from_utf8(rest) {
        offers(header);
    }
    inflate(rest);
    let window = format!("permessage-deflate; server_max_window_bits={}", 9 + window % 7);
    let (deflate, _) = Deflate::accept([window.as_str()]).expect("zlib has such windows");
    round_trip(deflate, rest);
}

/// What is agreed on is offered and answered in one breath: our own answer is an offer that we would accept.
fn offers(header: &str) {
    let Some((deflate, answer)) = Deflate::accept([header]) else { return };
    assert!(answer.contains("; server_no_context_takeover; client_no_context_takeover"), "{answer}");
    assert_eq!(Deflate::accept([answer.as_str()]), Some((deflate, answer.clone())), "from {header}");
}

fn inflate(payload: &[u8]) {
    let frame = frame(payload);
    let whole = events_in_pieces(&frame, frame.len());
    assert_eq!(events_in_pieces(&frame, 7), whole);
    match &whole[..] {
        [OwnedEvent::Binary(message)] => assert!(message.len() <= MESSAGE_BYTES_MAX),
        [OwnedEvent::Failed(WebSocketError::InvalidDeflate | WebSocketError::MessageTooBig { .. })] => {}
        other => panic!("one compressed message became {other:?}"),
    }
}

fn round_trip(deflate: Deflate, message: &[u8]) {
    let mut stream = Vec::new();
    encode_compressed(&mut stream, Opcode::Binary, message, deflate, Some(KEY));
    let again = stream.clone();
    stream.extend(again);
    let expected = [OwnedEvent::Binary(message.to_vec()), OwnedEvent::Binary(message.to_vec())];
    assert_eq!(events_in_pieces(&stream, stream.len()), expected, "what was compressed");
}

/// A client's frame of a compressed binary message.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    tautline_websocket::encode_binary(&mut frame, payload, Some(KEY));
    // The bit that says that it is compressed.
    frame[0] |= 0x40;
    frame
}

fn events_in_pieces(stream: &[u8], piece_bytes: usize) -> Vec<OwnedEvent> {
    let mut decoder =
        Decoder::new(Role::Server, MESSAGE_BYTES_MAX).with_deflate(Some(Deflate::LARGEST_WINDOW));
    let mut events = Vec::new();
    stream.chunks(piece_bytes).for_each(|piece| read(&mut decoder, piece, &mut events));
    assert_eq!(decoder.held_bytes(), 0, "something is left behind");
    events
}
