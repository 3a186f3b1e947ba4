//! What a decoder costs: nothing while idle, and never more than twice what a peer has sent.

use crate::common::{OwnedEvent, frame, read};
use tautline_websocket::{Decoder, Event, MaskKey, Role};

const KEY: MaskKey = [1, 2, 3, 4];
/// The box that exists while something is incomplete.
const BOX_BYTES_MAX: usize = 192;

#[test]
fn an_idle_decoder_is_small_and_holds_nothing() {
    assert!(size_of::<Decoder>() <= 24, "{} bytes", size_of::<Decoder>());
    assert_eq!(Decoder::new(Role::Server, 65_536).held_bytes(), 0);
}

#[test]
fn a_burst_of_messages_leaves_nothing_behind_however_it_was_cut() {
    let burst: Vec<u8> = (0..50).flat_map(|_| frame(0x82, &[7; 4096], Some(KEY))).collect();
    for piece_bytes in [1, 13, 1448, 4096, 16_384, burst.len()] {
        let mut decoder = Decoder::new(Role::Server, 65_536);
        let events: usize = burst.chunks(piece_bytes).map(|piece| read(&mut decoder, piece).len()).sum();
        assert_eq!((events, decoder.held_bytes()), (50, 0), "pieces of {piece_bytes}");
    }
}

#[test]
fn a_message_in_pieces_and_a_ping_between_them_leave_nothing_behind() {
    let mut decoder = Decoder::new(Role::Server, 65_536);
    read(&mut decoder, &frame(0x01, &[b'x'; 4096], Some(KEY)));
    assert!(decoder.held_bytes() >= 4096);
    let ping = frame(0x89, b"still there?", Some(KEY));
    read(&mut decoder, &ping[..10]);
    assert_eq!(read(&mut decoder, &ping[10..]), [OwnedEvent::Ping(b"still there?".to_vec())]);
    assert_eq!(read(&mut decoder, &frame(0x80, b"", Some(KEY))), [OwnedEvent::Text("x".repeat(4096))]);
    assert_eq!(decoder.held_bytes(), 0);
}

#[test]
fn a_frame_that_came_whole_is_lent_where_it_lies() {
    let mut bytes = frame(0x81, b"in place", Some(KEY));
    let (start, end) = (bytes.as_ptr().addr(), bytes.as_ptr_range().end.addr());
    let mut decoder = Decoder::new(Role::Server, 65_536);
    let mut unread = bytes.as_mut_slice();
    let event = decoder.decode(&mut unread).unwrap().unwrap();
    let Event::Text(text) = event else { panic!("{event:?} is no text") };
    assert_eq!(text, "in place");
    assert!((start..end).contains(&text.as_ptr().addr()));
    assert_eq!(decoder.held_bytes(), 0);
}

#[test]
fn a_payload_that_follows_its_header_in_the_next_read_is_lent_there_too() {
    let stream = frame(0x82, &[9; 5000], Some(KEY));
    for header_bytes in 1..=8 {
        let mut decoder = Decoder::new(Role::Server, 65_536);
        assert_eq!(read(&mut decoder, &stream[..header_bytes]), []);
        let mut rest = stream[header_bytes..].to_vec();
        let mut unread = rest.as_mut_slice();
        assert_eq!(decoder.decode(&mut unread), Ok(Some(Event::Binary(&[9; 5000]))));
        assert!(decoder.held_bytes() <= BOX_BYTES_MAX, "{} bytes", decoder.held_bytes());
        assert_eq!(decoder.decode(&mut unread), Ok(None));
        assert_eq!(decoder.held_bytes(), 0);
    }
}

#[test]
fn a_header_that_claims_much_costs_nothing_until_the_bytes_come() {
    let claim = 1 << 30;
    let mut decoder = Decoder::new(Role::Client, claim);
    let mut header = vec![0x82, 127];
    header.extend((claim as u64).to_be_bytes());
    assert_eq!(read(&mut decoder, &header), []);
    assert!(decoder.held_bytes() <= BOX_BYTES_MAX, "{} bytes", decoder.held_bytes());
    let mut sent = 0;
    for _ in 0..2000 {
        sent += 1448;
        assert_eq!(read(&mut decoder, &[0; 1448]), []);
        assert!(decoder.held_bytes() <= 2 * sent + BOX_BYTES_MAX, "{} of {sent}", decoder.held_bytes());
    }
}

#[test]
fn a_message_in_many_small_pieces_costs_at_most_twice_its_length() {
    let mut decoder = Decoder::new(Role::Client, 1 << 20);
    assert_eq!(read(&mut decoder, &frame(0x02, b"", None)), []);
    for pieces in 1..5000 {
        assert_eq!(read(&mut decoder, &frame(0x00, &[1; 100], None)), []);
        assert!(decoder.held_bytes() <= 200 * pieces + BOX_BYTES_MAX, "{} bytes", decoder.held_bytes());
    }
}
