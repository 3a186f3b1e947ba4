//! Properties that a table cannot express; `spec/vectors/msgpack.json` holds the rest.

use super::*;
use crate::{
    MSGPACK_DEPTH_MAX,
    json::{packets, parse_client, parse_server},
    packet::client::Verb,
};

/// A small seeded generator, so that failures are reproducible.
struct Generator(u64);

impl Generator {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn value(&mut self, depth: u32) -> serde_json::Value {
        let sides = if depth == 0 { 7 } else { 9 };
        match self.below(sides) {
            0 => serde_json::Value::Null,
            1 => (self.below(2) == 0).into(),
            2 => (self.below(u64::MAX) << self.below(40)).into(),
            3 => (-1 - i64::try_from(self.below(1 << 31) << self.below(31)).expect("it has room")).into(),
            4 => (f64::from_bits(self.below(1 << 30) << 33 | self.below(1 << 30))).into(),
            5 => self.text().into(),
            6 => serde_json::json!({"$bin": "AAECAw=="}),
            7 => (0..self.below(20)).map(|_| self.value(depth - 1)).collect(),
            _ => (0..self.below(20)).map(|_| (self.text(), self.value(depth - 1))).collect(),
        }
    }

    fn text(&mut self) -> String {
        let letters = ['a', '"', '\\', '\n', '\u{1}', 'é', '世', '😀', '/', '\u{2028}'];
        (0..self.below(40)).map(|_| letters[usize::try_from(self.below(10)).expect("small")]).collect()
    }
}

fn read(line: &str) -> serde_json::Value {
    serde_json::from_str(line).expect("json")
}

#[test]
fn json_survives_msgpack_round_trip() {
    let mut generator = Generator(7);
    for _ in 0..2_000 {
        let packet = serde_json::json!({"id": generator.below(9), "publish": {"data": generator.value(3)}})
            .to_string();
        assert!(to_json(&from_json(packet.as_bytes())).trim_end() == packet, "{packet}");
    }
}

#[test]
fn truncated_message_ends_in_bad_packet_of_request() {
    let lines = "{\"id\":7,\"publish\":{\"channel\":\"a\",\"data\":[1.5,{\"$bin\":\"AAEC\"},\"x\",-300]}}\n";
    let whole = from_json(lines.as_bytes());
    for cut in 1..whole.len() {
        let read = to_json(&whole[..cut]);
        let bad = parse_client(read.trim_end()).expect_err("it is cut");
        assert!(bad.message.contains("ends in the middle"), "{}", bad.message);
        assert_eq!(bad.id, (cut > 4).then_some(7), "cut at {cut}");
    }
    let twice = [&*whole, &whole[..9]].concat();
    assert_eq!(to_json(&twice).split_once('\n').map(|(first, _)| read(first)), Some(read(lines)));
}

#[test]
fn arbitrary_bytes_become_lines_for_json() {
    let mut generator = Generator(3);
    for _ in 0..20_000 {
        let length = generator.below(60);
        let message: Vec<u8> = (0..length)
            .map(|at| if at == 0 { 0x82 } else { u8::try_from(generator.below(256)).expect("a byte") })
            .collect();
        let lines = to_json(&message);
        for line in packets(&lines) {
            read(line);
            let (_, _) = (parse_client(line).is_ok(), parse_server(line).is_ok());
        }
    }
}

#[test]
fn declared_length_is_bounded_by_available_bytes() {
    for head in
        ["dfffffffff", "81a161ddffffffff", "81a161c6ffffffff", "81a161dbffffffff", "81a161c9ffffffff01"]
    {
        let message: Vec<u8> = (0..head.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&head[at..at + 2], 16).expect("hex"))
            .collect();
        assert!(parse_client(to_json(&message).trim_end()).is_err(), "{head}");
    }
}

#[test]
fn too_deep_value_is_refused_inbound_text_outbound() {
    let bomb = [b"\x81\xa1a".to_vec(), vec![0x91; 100_000]].concat();
    let bad = parse_client(to_json(&bomb).trim_end()).map(|_| ()).expect_err("too deep");
    assert!(bad.message.contains("too deeply"), "{}", bad.message);

    let deep = |levels: usize| format!("{{\"a\":{}{}}}\n", "[".repeat(levels), "]".repeat(levels));
    let most = deep(MSGPACK_DEPTH_MAX - 1);
    assert_eq!(to_json(&from_json(most.as_bytes())), most);
    let more = to_json(&from_json(deep(100_000).as_bytes()));
    assert!(more.contains("[{\"$json\":\"[[") && parse_client(more.trim_end()).is_ok());
}

#[test]
fn body_without_json_form_is_bad_request() {
    let message =
        b"\x82\xa2id\x05\xa7publish\x82\xa7channel\xa1a\xa4data\xcb\x7f\xf8\0\0\0\0\0\0\x81\xa4ping\x80";
    let lines = to_json(message);
    let mut read = packets(&lines).map(|line| parse_client(line).expect("a packet"));
    let first = read.next().expect("two packets");
    assert_eq!(first.id, Some(5));
    let Verb::BadRequest(words) = first.verb else { panic!("{:?}", first.verb) };
    assert!(words.contains("has no json form"), "{words}");
    assert!(matches!(read.next().map(|packet| packet.verb), Some(Verb::Ping(_))));
}
