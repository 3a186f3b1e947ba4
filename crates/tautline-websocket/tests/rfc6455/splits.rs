//! The promise of the crate: any split of the bytes gives the same events.

use tautline_websocket::Role;

use crate::{
    common::{OwnedEvent, Rng, read_all},
    streams::{MESSAGE_BYTES_MAX, stream},
};

fn cut_at_random<'s>(rng: &mut Rng, mut stream: &'s [u8]) -> Vec<&'s [u8]> {
    let piece_bytes_max = [2, 16, 200, 3000][rng.below(4)];
    let mut pieces = Vec::new();
    while !stream.is_empty() {
        let (piece, rest) = stream.split_at(rng.below(piece_bytes_max + 1).min(stream.len()));
        pieces.push(piece);
        stream = rest;
    }
    pieces
}

#[test]
fn every_split_of_a_stream_gives_the_events_of_the_whole() {
    let mut ended_well = 0;
    for seed in 0..800 {
        let mut rng = Rng(seed);
        let role = [Role::Server, Role::Client][rng.below(2)];
        let stream = stream(&mut rng, role);
        let whole = read_all(role, MESSAGE_BYTES_MAX, [&stream[..]]);
        ended_well += usize::from(!matches!(whole.last(), Some(OwnedEvent::Failed(_))));
        assert_eq!(read_all(role, MESSAGE_BYTES_MAX, stream.chunks(1)), whole, "seed {seed}, byte by byte");
        for _ in 0..5 {
            let pieces = cut_at_random(&mut rng, &stream);
            let lengths: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
            assert_eq!(read_all(role, MESSAGE_BYTES_MAX, pieces), whole, "seed {seed}, pieces {lengths:?}");
        }
    }
    assert!(
        (200..600).contains(&ended_well),
        "both kinds of stream are to be tried: {ended_well} ended well"
    );
}

#[test]
fn every_cut_in_two_of_a_stream_gives_the_events_of_the_whole() {
    for seed in 0..40 {
        let mut stream = stream(&mut Rng(seed), Role::Server);
        stream.truncate(600);
        let whole = read_all(Role::Server, MESSAGE_BYTES_MAX, [&stream[..]]);
        for cut in 0..=stream.len() {
            let (front, back) = stream.split_at(cut);
            let halves = read_all(Role::Server, MESSAGE_BYTES_MAX, [front, back]);
            assert_eq!(halves, whole, "seed {seed}, cut at {cut}");
        }
    }
}
