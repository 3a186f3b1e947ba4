//! permessage-deflate (RFC 7692), as a peer meets it: which frames may be compressed, and what a message may become.

use tautline_websocket::{
    Decoder, Deflate, FrameHeader, MaskKey, Opcode, Role, WebSocketError, encode_compressed, encode_text,
};

use crate::common::{OwnedEvent, Rng, frame, read};

const KEY: MaskKey = [1, 2, 3, 4];
const MESSAGE_BYTES_MAX: usize = 4096;
/// A compressed text in one frame, a compressed binary message in one frame, the first frame of a compressed text.
const TEXT: u8 = 0xc1;
const BINARY: u8 = 0xc2;
const TEXT_BEGINS: u8 = 0x41;

fn decoder() -> Decoder {
    Decoder::new(Role::Server, MESSAGE_BYTES_MAX).with_deflate(Some(Deflate::LARGEST_WINDOW))
}

fn events(bytes: &[u8]) -> Vec<OwnedEvent> {
    let mut decoder = decoder();
    let events = read(&mut decoder, bytes);
    assert_eq!(decoder.held_bytes(), 0, "something is left behind");
    events
}

fn compressed(message: &[u8]) -> Vec<u8> {
    Deflate::LARGEST_WINDOW.compress(message)
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, payload, Some(KEY))
}

#[test]
fn compressed_messages_and_others_come_in_any_order() {
    let mut stream = Vec::new();
    encode_compressed(&mut stream, Opcode::Text, "grün".as_bytes(), Deflate::LARGEST_WINDOW, Some(KEY));
    encode_text(&mut stream, "plain", Some(KEY));
    encode_compressed(&mut stream, Opcode::Binary, &[7; 4096], Deflate::LARGEST_WINDOW, Some(KEY));
    encode_compressed(&mut stream, Opcode::Text, b"", Deflate::LARGEST_WINDOW, Some(KEY));
    let expected = [
        OwnedEvent::Text("grün".to_owned()),
        OwnedEvent::Text("plain".to_owned()),
        OwnedEvent::Binary(vec![7; 4096]),
        OwnedEvent::Text(String::new()),
    ];
    assert_eq!(events(&stream), expected);
}

#[test]
fn a_compressed_message_may_come_in_pieces_with_a_ping_between_them() {
    let payload = compressed(b"a message that is cut in three");
    let stream = [
        masked(TEXT_BEGINS, &payload[..4]),
        masked(0x00, &payload[4..9]),
        masked(0x89, b"?"),
        masked(0x80, &payload[9..]),
    ];
    let expected =
        [OwnedEvent::Ping(b"?".to_vec()), OwnedEvent::Text("a message that is cut in three".to_owned())];
    assert_eq!(events(&stream.concat()), expected);
}

#[test]
fn only_the_first_frame_of_a_message_says_that_it_is_compressed() {
    let refused = |stream: &[u8], first| {
        assert_eq!(events(stream).pop(), Some(OwnedEvent::Failed(WebSocketError::ReservedBits(first))));
    };
    refused(&[masked(TEXT_BEGINS, b""), masked(0xc0, b"")].concat(), 0xc0);
    refused(&[masked(0x01, b""), masked(0xc0, b"")].concat(), 0xc0);
    for control in [0xc8, 0xc9, 0xca] {
        refused(&masked(control, b""), control);
    }
    for other_bit in [0xa1, 0x91, 0xe1] {
        refused(&masked(other_bit, b""), other_bit);
    }
    refused(&masked(0xc0, b""), 0xc0);
}

#[test]
fn without_the_extension_nothing_is_compressed() {
    let mut plain = Decoder::new(Role::Server, MESSAGE_BYTES_MAX);
    let events = read(&mut plain, &masked(TEXT, &compressed(b"Hello")));
    assert_eq!(events, [OwnedEvent::Failed(WebSocketError::ReservedBits(TEXT))]);
}

#[test]
fn the_limit_counts_the_message_and_not_what_travelled() {
    let longest = vec![b'x'; MESSAGE_BYTES_MAX];
    assert_eq!(events(&masked(BINARY, &compressed(&longest))), [OwnedEvent::Binary(longest)]);
    let bomb = compressed(&vec![b'x'; 100 * MESSAGE_BYTES_MAX]);
    let too_big = |bytes| WebSocketError::MessageTooBig { bytes, bytes_max: MESSAGE_BYTES_MAX };
    for stream in [masked(BINARY, &bomb), [masked(0x42, &bomb[..20]), masked(0x80, &bomb[20..])].concat()] {
        assert_eq!(events(&stream), [OwnedEvent::Failed(too_big(MESSAGE_BYTES_MAX as u64 + 1))]);
    }
    assert_eq!(too_big(0).close_code(), 1009);
}

#[test]
fn noise_of_the_longest_length_fits_although_compressing_makes_it_longer() {
    let mut rng = Rng(1);
    let noise: Vec<u8> = (0..MESSAGE_BYTES_MAX / 8).flat_map(|_| rng.next().to_le_bytes()).collect();
    let payload = compressed(&noise);
    assert!(payload.len() > MESSAGE_BYTES_MAX);
    assert_eq!(events(&masked(BINARY, &payload)), [OwnedEvent::Binary(noise)]);
    // What is much longer is refused by its header.
    let header = FrameHeader::compressed(Opcode::Binary, 2 * MESSAGE_BYTES_MAX, Some(KEY));
    let refused = read(&mut decoder(), header.as_bytes());
    assert!(matches!(refused[..], [OwnedEvent::Failed(WebSocketError::MessageTooBig { .. })]), "{refused:?}");
}

#[test]
fn what_cannot_be_inflated_is_no_message() {
    let events_of = |payload: &[u8]| events(&masked(TEXT, payload));
    let invalid = WebSocketError::InvalidDeflate;
    assert_eq!(invalid.close_code(), 1007);
    assert_eq!(events_of(b"\xff\xff"), [OwnedEvent::Failed(invalid)]);
    assert_eq!(events_of(&compressed(b"gr\xfcn")), [OwnedEvent::Failed(WebSocketError::InvalidUtf8)]);
    assert_eq!(events_of(&compressed("grün".as_bytes())[..]), [OwnedEvent::Text("grün".to_owned())]);
}

#[test]
fn every_split_of_a_compressed_stream_gives_the_events_of_the_whole() {
    let mut stream = Vec::new();
    let text = "the same again, ".repeat(30);
    encode_compressed(&mut stream, Opcode::Text, text.as_bytes(), Deflate::LARGEST_WINDOW, Some(KEY));
    let payload = compressed(text.as_bytes());
    stream.extend([masked(TEXT_BEGINS, &payload[..7]), masked(0x80, &payload[7..])].concat());
    stream.extend(masked(BINARY, b"\xff\xff"));
    let whole = events(&stream);
    assert_eq!(whole.len(), 3);
    for cut in 0..=stream.len() {
        let mut decoder = decoder();
        let mut halves = read(&mut decoder, &stream[..cut]);
        halves.extend(read(&mut decoder, &stream[cut..]));
        assert_eq!(halves, whole, "cut at {cut}");
    }
    let mut decoder = decoder();
    let bytes: Vec<_> = stream.chunks(1).flat_map(|byte| read(&mut decoder, byte)).collect();
    assert_eq!(bytes, whole, "byte by byte");
}

#[test]
fn a_decoder_that_inflates_holds_nothing_either() {
    let mut decoder = decoder();
    assert!(size_of::<Decoder>() <= 24, "{} bytes", size_of::<Decoder>());
    for _ in 0..3 {
        read(&mut decoder, &masked(BINARY, &compressed(&[1; MESSAGE_BYTES_MAX])));
        assert_eq!(decoder.held_bytes(), 0);
    }
}
