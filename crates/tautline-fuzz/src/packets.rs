//! The packet codecs: no message makes them panic, and what was understood comes out so that it is understood again.

use serde_json::{Value, json};
use tautline_protocol::{
    json::{
        Marks, packets, parse_client, parse_server, write_client, write_reply, write_request, write_server,
    },
    msgpack::{from_json, to_json},
    packet::{ClientPacket, ServerPacket, Verb},
};

/// A message of a client.
pub fn client_packets(data: &[u8]) {
    let Ok(message) = std::str::from_utf8(data) else { return };
    for line in packets(message) {
        let Some(once) = parse_client(line).ok().and_then(|packet| written_client(&packet)) else { continue };
        let again = parse_client(one_line(&once)).ok().and_then(|packet| written_client(&packet));
        assert_eq!(again, Some(once), "from {line}");
    }
}

/// A message of the server.
pub fn server_packets(data: &[u8]) {
    let Ok(message) = std::str::from_utf8(data) else { return };
    for line in packets(message) {
        let Some(once) = parse_server(line).ok().and_then(|packet| written_server(&packet)) else { continue };
        let again = parse_server(one_line(&once)).ok().and_then(|packet| written_server(&packet));
        assert_eq!(again, Some(once), "from {line}");
    }
}

/// A message in msgpack, of either end. What it says is said again by the json that it became, and by msgpack made of that.
pub fn msgpack(data: &[u8]) {
    let message = to_json(data);
    for line in packets(&message) {
        let client = parse_client(line).ok().and_then(|packet| written_client(&packet));
        let server = parse_server(line).ok().and_then(|packet| written_server(&packet));
        for once in [client, server].into_iter().flatten() {
            let again = to_json(&from_json(&once));
            if again.contains("$json") {
                // Read one level deeper than it is written: as text, which stands for the last level.
                continue;
            }
            assert_eq!(one_line(again.as_bytes()), one_line(&once), "from {line}");
        }
    }
}

/// The one line of a written packet.
fn one_line(written: &[u8]) -> &str {
    let text = std::str::from_utf8(written).expect("a packet is text");
    let mut lines = packets(text);
    let line = lines.next().expect("a packet is a line");
    assert_eq!(lines.next(), None, "a packet is one line: {text}");
    line
}

/// None for what means nothing, or nothing that is written again.
fn written_client(packet: &ClientPacket<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let marks = Marks { id: packet.id, seen: packet.seen, again: packet.again };
    match &packet.verb {
        Verb::Hello(body) => write_client(&mut out, marks, "hello", body),
        Verb::Ping(body) => write_client(&mut out, marks, "ping", body),
        Verb::Pause(body) => write_client(&mut out, marks, "pause", body),
        Verb::Bye => write_client(&mut out, marks, "bye", &json!({})),
        Verb::Request(request) => write_request(&mut out, marks, request),
        _ => return None,
    }
    Some(out)
}

fn written_server(packet: &ServerPacket<'_>) -> Option<Vec<u8>> {
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
        ServerPacket::Bye(id, body) => {
            write_client(&mut out, Marks { id: *id, ..Marks::default() }, "bye", body);
        }
        _ => return None,
    }
    Some(out)
}
