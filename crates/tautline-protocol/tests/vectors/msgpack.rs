//! Runs `spec/vectors/msgpack.json`: the same packets in both formats, and what is no msgpack.

use serde_json::Value;
use tautline_protocol::{
    json::{packets, parse_client},
    msgpack::{from_json, to_json},
};

fn rows(section: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/vectors/msgpack.json");
    let text = std::fs::read_to_string(path).expect("the vectors are there");
    let file: Value = serde_json::from_str(&text).expect("json");
    let rows = file[section].as_array().expect("a list").clone();
    assert!(!rows.is_empty(), "{section} has no rows");
    rows
}

fn message(row: &Value) -> Vec<u8> {
    let hex = row["msgpack"].as_str().expect("hex");
    let pairs = (0..hex.len()).step_by(2).map(|at| &hex[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect()
}

fn lines(row: &Value) -> Vec<&str> {
    row["lines"].as_array().expect("lines").iter().map(|line| line.as_str().expect("a line")).collect()
}

#[test]
fn what_both_formats_say_is_the_same_in_each() {
    for row in rows("same") {
        let (message, lines) = (message(&row), lines(&row));
        assert_eq!(packets(&to_json(&message)).collect::<Vec<_>>(), lines, "{}", row["name"]);
        assert_eq!(from_json(lines.join("\n").as_bytes()), message, "{}", row["name"]);
    }
}

#[test]
fn msgpack_that_could_be_shorter_is_read_all_the_same() {
    for row in rows("read") {
        assert_eq!(packets(&to_json(&message(&row))).collect::<Vec<_>>(), lines(&row), "{}", row["name"]);
    }
}

#[test]
fn what_is_before_the_broken_packet_is_read_and_what_is_broken_is_no_packet() {
    for row in rows("broken") {
        let read = to_json(&message(&row));
        let (broken, kept) =
            packets(&read).collect::<Vec<_>>().split_last().map(|(a, b)| (*a, b.to_vec())).expect("a line");
        assert_eq!(kept, lines(&row), "{}", row["name"]);
        assert!(parse_client(broken).is_err(), "{}", row["name"]);
    }
}
