//! Runs `spec/vectors/packets.json`: what is a packet, what it means, and that it comes out as it went in.
//!
//! An accepted line names its marks, its verb and its body in full, defaults included; it is read, written again and
//! compared as json. Rows marked `strict` ask for checks that a client may leave out.

use serde_json::{Value, json};
use tautline_protocol::{
    json::{
        Marks, packets, parse_client, parse_server, write_client, write_reply, write_request, write_server,
    },
    packet::{ClientPacket, ServerPacket, Verb},
};

fn rows(section: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/vectors/packets.json");
    let text = std::fs::read_to_string(path).expect("the vectors are there");
    let file: Value = serde_json::from_str(&text).expect("json");
    let rows = file[section].as_array().expect("a list").clone();
    assert!(!rows.is_empty(), "{section} has no rows");
    rows
}

#[test]
fn a_message_is_split_as_the_vectors_say() {
    for row in rows("messages") {
        let lines: Vec<_> = packets(row["text"].as_str().expect("a text")).collect();
        assert_eq!(json!(lines), row["lines"], "{}", row["name"]);
    }
}

#[test]
fn a_client_s_packet_means_what_the_vectors_say() {
    for row in rows("client") {
        let line = row["line"].as_str().expect("a line");
        let outcome = match parse_client(line) {
            Ok(packet) => client_outcome(&packet),
            Err(bad) => json!({"bad_packet": without_null(json!({"id": bad.id}))}),
        };
        check(&row, &outcome);
    }
}

#[test]
fn a_server_s_packet_means_what_the_vectors_say() {
    for row in rows("server") {
        let line = row["line"].as_str().expect("a line");
        let outcome = match parse_server(line) {
            Ok(ServerPacket::Unknown(verb)) => json!({"unknown": {"verb": verb}}),
            Ok(packet) => json!({"accept": taken_apart(&written_server(&packet))}),
            Err(bad) => json!({"bad_packet": without_null(json!({"id": bad.id}))}),
        };
        check(&row, &outcome);
    }
}

/// The row must hold just this outcome, beside its name and line.
fn check(row: &Value, outcome: &Value) {
    let mut expected = row.as_object().expect("a row").clone();
    for key in ["name", "line", "strict"] {
        expected.remove(key);
    }
    assert_eq!(*outcome, Value::Object(expected), "{}: {}", row["name"], row["line"]);
}

fn client_outcome(packet: &ClientPacket<'_>) -> Value {
    let mut out = Vec::new();
    let marks = Marks { id: packet.id, seen: packet.seen, again: packet.again };
    match &packet.verb {
        Verb::BadRequest(_) => return json!({"bad_request": {"id": packet.id}}),
        Verb::Unknown(verb) => {
            return json!({"unknown": without_null(json!({"id": packet.id, "verb": verb}))});
        }
        Verb::Hello(body) => write_client(&mut out, marks, "hello", body),
        Verb::Ping(body) => write_client(&mut out, marks, "ping", body),
        Verb::Pause(body) => write_client(&mut out, marks, "pause", body),
        Verb::Bye => write_client(&mut out, marks, "bye", &json!({})),
        Verb::Request(request) => write_request(&mut out, marks, request),
        other => panic!("the vectors do not know {other:?}"),
    }
    json!({"accept": taken_apart(&out)})
}

fn written_server(packet: &ServerPacket<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match packet {
        ServerPacket::Welcome(body) => write_server(&mut out, "welcome", body),
        ServerPacket::Challenge(body) => write_server(&mut out, "challenge", body),
        ServerPacket::Reply(id, Ok(body)) => write_reply(&mut out, *id, Ok(body)),
        ServerPacket::Reply(id, Err(error)) => write_reply(&mut out, *id, Err::<&Value, _>(error)),
        ServerPacket::Pub(body) => write_server(&mut out, "pub", body),
        ServerPacket::Gap(body) => write_server(&mut out, "gap", body),
        ServerPacket::Unsubscribed(body) => write_server(&mut out, "unsubscribed", body),
        ServerPacket::Presence(kind, body) => write_server(&mut out, kind.as_str(), body),
        ServerPacket::Pong(body) => write_server(&mut out, "pong", body),
        ServerPacket::Ticket(body) => write_server(&mut out, "ticket", body),
        ServerPacket::Bye(None, body) => write_server(&mut out, "bye", body),
        // `id` and `seen` are marks on both sides: the form is the client's.
        ServerPacket::Bye(id, body) => {
            write_client(&mut out, Marks { id: *id, ..Marks::default() }, "bye", body)
        }
        other => panic!("the vectors do not know {other:?}"),
    }
    out
}

/// A written line as the vectors show it: its marks, its verb and its body.
fn taken_apart(line: &[u8]) -> Value {
    let Ok(Value::Object(fields)) = serde_json::from_slice(line) else { panic!("a packet is an object") };
    let mut shown = json!({});
    for (name, value) in fields {
        if matches!(&*name, "id" | "seen" | "again") {
            shown[name] = value;
        } else {
            shown["verb"] = json!(name);
            shown["body"] = value;
        }
    }
    shown
}

fn without_null(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    object
}
