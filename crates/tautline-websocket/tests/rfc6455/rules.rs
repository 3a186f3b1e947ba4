//! Each rule of RFC 6455 section 5 with the smallest stream that keeps it and the smallest that breaks it.

use crate::common::{OwnedEvent, Rng, frame, read, read_all};
use tautline_websocket::{Decoder, MaskKey, Role, WebSocketError};

const KEY: MaskKey = [0xa1, 0x5c, 0x00, 0xff];
const MAX: usize = 1 << 20;

const CONTINUATION: u8 = 0x00;
const TEXT: u8 = 0x01;
const BINARY: u8 = 0x02;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const FINAL: u8 = 0x80;

/// What a server makes of these frames, each masked.
fn events<'f>(frames: impl IntoIterator<Item = (u8, &'f [u8])>) -> Vec<OwnedEvent> {
    let stream: Vec<u8> =
        frames.into_iter().flat_map(|(first, payload)| frame(first, payload, Some(KEY))).collect();
    read_all(Role::Server, MAX, [stream.as_slice()])
}

fn failed(error: WebSocketError) -> Vec<OwnedEvent> {
    vec![OwnedEvent::Failed(error)]
}

#[test]
fn whole_messages_and_control_frames_are_heard_in_order() {
    assert_eq!(
        events([
            (FINAL | TEXT, "tide".as_bytes()),
            (PING, b"?"),
            (FINAL | BINARY, b"\xff\0"),
            (PONG, b""),
            (CLOSE, b"\x0f\xa1bye"),
        ]),
        [
            OwnedEvent::Text("tide".to_owned()),
            OwnedEvent::Ping(b"?".to_vec()),
            OwnedEvent::Binary(b"\xff\0".to_vec()),
            OwnedEvent::Pong(Vec::new()),
            OwnedEvent::Close(Some(4001), "bye".to_owned()),
        ]
    );
}

#[test]
fn a_server_takes_only_masked_frames_and_a_client_only_bare_ones() {
    for first in [FINAL | TEXT, FINAL | BINARY, CLOSE, PING, PONG] {
        let bare = frame(first, b"", None);
        let masked = frame(first, b"", Some(KEY));
        assert_eq!(read_all(Role::Server, MAX, [&bare[..]]), failed(WebSocketError::UnmaskedFrame));
        assert_eq!(read_all(Role::Client, MAX, [&masked[..]]), failed(WebSocketError::MaskedFrame));
        assert!(!matches!(read_all(Role::Server, MAX, [&masked[..]])[..], [OwnedEvent::Failed(_)]));
        assert!(!matches!(read_all(Role::Client, MAX, [&bare[..]])[..], [OwnedEvent::Failed(_)]));
    }
}

#[test]
fn reserved_bits_are_refused_at_the_first_byte() {
    for bits in 1..8_u8 {
        let first = FINAL | TEXT | (bits << 4);
        assert_eq!(read_all(Role::Server, MAX, [&[first][..]]), failed(WebSocketError::ReservedBits(first)));
    }
}

#[test]
fn reserved_opcodes_are_refused_at_the_first_byte() {
    for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        let first = [FINAL | opcode];
        assert_eq!(read_all(Role::Server, MAX, [&first[..]]), failed(WebSocketError::ReservedOpcode(opcode)));
    }
}

#[test]
fn a_control_frame_is_never_in_pieces_and_never_over_125_bytes() {
    for first in [CLOSE, PING, PONG] {
        assert_eq!(events([(first & !FINAL, &b""[..])]), failed(WebSocketError::ControlFragmented));
        assert_eq!(events([(first, &[b'x'; 126][..])]), failed(WebSocketError::ControlTooLong));
    }
    assert_eq!(events([(PING, &[7; 125][..])]), [OwnedEvent::Ping(vec![7; 125])]);
}

#[test]
fn a_message_in_pieces_is_heard_whole_and_control_frames_between_them_at_once() {
    assert_eq!(
        events([
            (TEXT, &b"ebb"[..]),
            (PING, b"1"),
            (CONTINUATION, b" and "),
            (PONG, b"2"),
            (FINAL | CONTINUATION, b"flow"),
            (FINAL | BINARY, b"next"),
        ]),
        [
            OwnedEvent::Ping(b"1".to_vec()),
            OwnedEvent::Pong(b"2".to_vec()),
            OwnedEvent::Text("ebb and flow".to_owned()),
            OwnedEvent::Binary(b"next".to_vec()),
        ]
    );
}

#[test]
fn empty_pieces_make_an_empty_message() {
    assert_eq!(
        events([(TEXT, &b""[..]), (CONTINUATION, b""), (FINAL | CONTINUATION, b"")]),
        [OwnedEvent::Text(String::new())]
    );
    assert_eq!(
        events([(BINARY, &b""[..]), (FINAL | CONTINUATION, b"end")]),
        [OwnedEvent::Binary(b"end".to_vec())]
    );
}

#[test]
fn a_continuation_needs_an_unfinished_message() {
    assert_eq!(events([(FINAL | CONTINUATION, &b"x"[..])]), failed(WebSocketError::NothingToContinue));
    assert_eq!(events([(CONTINUATION, &b"x"[..])]), failed(WebSocketError::NothingToContinue));
    assert_eq!(
        events([(FINAL | TEXT, &b"x"[..]), (FINAL | CONTINUATION, b"y")]),
        [OwnedEvent::Text("x".to_owned()), OwnedEvent::Failed(WebSocketError::NothingToContinue)]
    );
}

#[test]
fn no_message_begins_inside_another() {
    for second in [TEXT, BINARY, FINAL | TEXT, FINAL | BINARY] {
        assert_eq!(events([(TEXT, &b"x"[..]), (second, b"y")]), failed(WebSocketError::MessageInterrupted));
    }
}

#[test]
fn lengths_are_spelled_in_their_shortest_form_and_without_the_top_bit() {
    let client = |header: &[u8]| read_all(Role::Client, MAX, [header]);
    for short in [0_u8, 125] {
        let error = failed(WebSocketError::LengthNotMinimal(short.into()));
        assert_eq!(client(&[FINAL | BINARY, 126, 0, short]), error);
        assert_eq!(client(&[FINAL | BINARY, 127, 0, 0, 0, 0, 0, 0, 0, short]), error);
    }
    let error = failed(WebSocketError::LengthNotMinimal(65_535));
    assert_eq!(client(&[FINAL | BINARY, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]), error);
    assert_eq!(
        client(&[FINAL | BINARY, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        failed(WebSocketError::LengthTopBit)
    );
    for bytes in [125, 126, 65_535, 65_536] {
        let payload = vec![b'x'; bytes];
        assert_eq!(client(&frame(FINAL | BINARY, &payload, None)), [OwnedEvent::Binary(payload)]);
    }
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_header() {
    let header_only = |bytes: usize| frame(FINAL | BINARY, &vec![0; bytes], None)[..4].to_vec();
    let limited = |header: &[u8]| read_all(Role::Client, 1000, [header]);
    assert_eq!(limited(&header_only(1000)), []);
    assert_eq!(
        limited(&header_only(1001)),
        failed(WebSocketError::MessageTooBig { bytes: 1001, bytes_max: 1000 })
    );
}

#[test]
fn the_pieces_of_a_message_count_together_against_the_limit() {
    let mut decoder = Decoder::new(Role::Client, 1000);
    assert_eq!(read(&mut decoder, &frame(BINARY, &[0; 600], None)), []);
    assert_eq!(
        read(&mut decoder, &frame(PING, &[0; 100], None)).len(),
        1,
        "a ping is no part of the message"
    );
    assert_eq!(
        read(&mut decoder, &frame(FINAL | CONTINUATION, &[0; 401], None)),
        failed(WebSocketError::MessageTooBig { bytes: 1001, bytes_max: 1000 })
    );
}

#[test]
fn a_new_limit_holds_from_the_next_frame_on() {
    let mut decoder = Decoder::new(Role::Client, 1000);
    assert_eq!(read(&mut decoder, &frame(FINAL | BINARY, &[0; 900], None)).len(), 1);
    decoder.set_message_bytes_max(100);
    assert_eq!(
        read(&mut decoder, &frame(FINAL | BINARY, &[0; 900], None)),
        failed(WebSocketError::MessageTooBig { bytes: 900, bytes_max: 100 })
    );
}

#[test]
fn a_close_says_nothing_or_an_allowed_code_and_a_reason_in_utf8() {
    assert_eq!(events([(CLOSE, &b""[..])]), [OwnedEvent::Close(None, String::new())]);
    assert_eq!(events([(CLOSE, &b"\x03\xe8"[..])]), [OwnedEvent::Close(Some(1000), String::new())]);
    assert_eq!(events([(CLOSE, &b"\x03"[..])]), failed(WebSocketError::CloseTooShort));
    assert_eq!(events([(CLOSE, &b"\x03\xee"[..])]), failed(WebSocketError::CloseCodeNotAllowed(1006)));
    assert_eq!(events([(CLOSE, &b"\x03\xe8\xc3"[..])]), failed(WebSocketError::InvalidUtf8));
}

#[test]
fn nothing_is_heard_after_a_close_or_an_error() {
    let text = frame(FINAL | TEXT, b"late", Some(KEY));
    for last in [frame(CLOSE, b"", Some(KEY)), vec![0xff], frame(CLOSE, b"\0", Some(KEY))] {
        let mut decoder = Decoder::new(Role::Server, MAX);
        assert!(!decoder.is_over());
        assert_eq!(read(&mut decoder, &[&last[..], &text[..]].concat()).len(), 1);
        assert!(decoder.is_over());
        assert_eq!(read(&mut decoder, &text), []);
        assert_eq!(decoder.held_bytes(), 0);
    }
}

#[test]
fn text_is_utf8_wherever_a_character_is_cut() {
    let text = "κόσμε 𝄞 中";
    for cut in 0..=text.len() {
        let (front, back) = text.as_bytes().split_at(cut);
        assert_eq!(
            events([(TEXT, front), (FINAL | CONTINUATION, back)]),
            [OwnedEvent::Text(text.to_owned())]
        );
    }
    for bad in [&b"\xce"[..], b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"a\xff"] {
        assert_eq!(events([(FINAL | TEXT, bad)]), failed(WebSocketError::InvalidUtf8));
        assert_eq!(events([(TEXT, bad), (FINAL | CONTINUATION, b"")]), failed(WebSocketError::InvalidUtf8));
        assert_eq!(
            events([(FINAL | BINARY, bad)]),
            [OwnedEvent::Binary(bad.to_vec())],
            "binary may be anything"
        );
    }
}

#[test]
fn rubbish_in_a_text_is_refused_before_the_text_is_over() {
    let mut decoder = Decoder::new(Role::Server, MAX);
    let stream = frame(FINAL | TEXT, b"tide \xf4\x90 and a long, long rest", Some(KEY));
    let header_bytes = 6;
    assert_eq!(read(&mut decoder, &stream[..header_bytes + 6]), [], "may still become a character");
    assert_eq!(read(&mut decoder, &stream[header_bytes + 6..][..1]), failed(WebSocketError::InvalidUtf8));
}

#[test]
fn each_error_closes_with_the_code_the_rfc_gives_it() {
    assert_eq!(WebSocketError::UnmaskedFrame.close_code(), 1002);
    assert_eq!(WebSocketError::InvalidUtf8.close_code(), 1007);
    assert_eq!(WebSocketError::MessageTooBig { bytes: 2, bytes_max: 1 }.close_code(), 1009);
}

#[test]
fn every_key_comes_off_again_at_every_length() {
    let mut rng = Rng(1);
    for bytes in 0..300 {
        let payload: Vec<u8> = (0..bytes).map(|_| rng.next().to_le_bytes()[0]).collect();
        let stream = frame(FINAL | BINARY, &payload, Some(rng.key()));
        assert_eq!(read_all(Role::Server, MAX, [&stream[..]]), [OwnedEvent::Binary(payload)]);
    }
}
