//! The examples of `spec/protocol.md` are packets that this crate reads, with no field that it does not know, and
//! together they show everything that can be said.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};
use tautline_protocol::{
    ByeCode, ErrorCode,
    client::DropCause,
    json::{self as codec, Marks},
    packet::{
        ServerPacket, Verb,
        server::{AuthRefreshed, GapReason, HistoryPage, Published, Roster, Subscribed},
    },
};

const SPEC: &str = include_str!("../../../spec/protocol.md");

const CLIENT_VERBS: [&str; 11] = [
    "auth",
    "bye",
    "call",
    "hello",
    "history",
    "pause",
    "ping",
    "presence",
    "publish",
    "subscribe",
    "unsubscribe",
];
const SERVER_VERBS: [&str; 14] = [
    "away",
    "back",
    "bye",
    "challenge",
    "error",
    "gap",
    "join",
    "leave",
    "ok",
    "pong",
    "pub",
    "ticket",
    "unsubscribed",
    "welcome",
];

/// The lines of the fenced blocks that begin with `fence`, with their numbers in the page.
fn examples(fence: &str) -> Vec<(usize, &'static str)> {
    let mut inside = None;
    let mut found = Vec::new();
    for (index, line) in SPEC.lines().enumerate() {
        match (line.strip_prefix("```"), inside) {
            (Some(info), None) => inside = Some(info),
            (Some(_), Some(_)) => inside = None,
            (None, Some(info)) if info == fence => found.push((index + 1, line)),
            (None, _) => {}
        }
    }
    found
}

fn value(line: &str) -> Value {
    serde_json::from_str(line).expect("an example is JSON")
}

/// The verb of an example: its one key that is no mark.
fn verb(packet: &Value) -> String {
    let keys = packet.as_object().expect("an example is an object").keys();
    keys.filter(|key| !["id", "seen", "again"].contains(&key.as_str())).cloned().collect()
}

/// True when everything that `example` says is said by `whole` too.
fn is_part_of(example: &Value, whole: &Value) -> bool {
    match (example, whole) {
        (Value::Object(example), Value::Object(whole)) => {
            example.iter().all(|(key, value)| whole.get(key).is_some_and(|found| is_part_of(value, found)))
        }
        (Value::Array(example), Value::Array(whole)) => {
            example.len() == whole.len()
                && example.iter().zip(whole).all(|(value, found)| is_part_of(value, found))
        }
        _ => example == whole,
    }
}

/// A client's packet, read and written again.
fn client_again(line: &str) -> Result<Value, String> {
    let packet = codec::parse_client(line).map_err(|bad| bad.to_string())?;
    let marks = Marks { id: packet.id, seen: packet.seen, again: packet.again };
    let mut out = Vec::new();
    match &packet.verb {
        Verb::Hello(body) => codec::write_client(&mut out, marks, "hello", body),
        Verb::Request(request) => codec::write_request(&mut out, marks, request),
        Verb::Ping(body) => codec::write_client(&mut out, marks, "ping", body),
        Verb::Pause(body) => codec::write_client(&mut out, marks, "pause", body),
        Verb::Bye => codec::write_client(&mut out, marks, "bye", &json!({})),
        other => return Err(format!("not a packet of a client: {other:?}")),
    }
    Ok(serde_json::from_slice(&out).expect("what is written is JSON"))
}

/// The body of a server's packet, read and written again.
fn server_body_again(line: &str) -> Result<Value, String> {
    match codec::parse_server(line).map_err(|bad| bad.to_string())? {
        ServerPacket::Welcome(body) => again(&body),
        ServerPacket::Challenge(body) => again(&body),
        ServerPacket::Reply(_, Ok(body)) => ok_again(body.get()),
        ServerPacket::Reply(_, Err(body)) => again(&body),
        ServerPacket::Pub(body) => again(&body),
        ServerPacket::Gap(body) => again(&body),
        ServerPacket::Unsubscribed(body) => again(&body),
        ServerPacket::Presence(_, body) => again(&body),
        ServerPacket::Pong(body) => again(&body),
        ServerPacket::Ticket(body) => again(&body),
        ServerPacket::Bye(_, body) => again(&body),
        other => Err(format!("not a packet of the server: {other:?}")),
    }
}

/// The body of an `ok`, which does not name its request: through the type that its fields speak of.
fn ok_again(body: &str) -> Result<Value, String> {
    let read = |error: serde_json::Error| error.to_string();
    let said = value(body);
    match said.as_object().expect("the body of an `ok` is an object") {
        body if body.is_empty() || body.keys().eq(["data"]) => Ok(said.clone()),
        has if has.contains_key("publications") => {
            again(&serde_json::from_str::<HistoryPage<'_>>(body).map_err(read)?)
        }
        has if has.contains_key("members") => again(&serde_json::from_str::<Roster>(body).map_err(read)?),
        has if has.contains_key("ticket") => {
            again(&serde_json::from_str::<AuthRefreshed>(body).map_err(read)?)
        }
        has if has.contains_key("recovering") => {
            again(&serde_json::from_str::<Subscribed>(body).map_err(read)?)
        }
        _ => again(&serde_json::from_str::<Published>(body).map_err(read)?),
    }
}

fn again(body: &impl Serialize) -> Result<Value, String> {
    serde_json::to_value(body).map_err(|error| error.to_string())
}

/// What is wrong with the examples behind `fence`; `read` reads one and writes it again, as `part` of it.
fn faults(fence: &str, read: fn(&str) -> Result<Value, String>, part: fn(&Value) -> Value) -> Vec<String> {
    let fault = |(number, line): (usize, &str)| match read(line) {
        Ok(whole) if is_part_of(&part(&value(line)), &whole) => None,
        Ok(whole) => Some(format!("spec/protocol.md:{number}: says what the code does not know: {whole}")),
        Err(error) => Some(format!("spec/protocol.md:{number}: {error}")),
    };
    examples(fence).into_iter().filter_map(fault).collect()
}

#[test]
fn every_example_of_a_client_is_a_packet_of_a_client() {
    assert_eq!(faults("json client", client_again, Value::clone), Vec::<String>::new());
}

#[test]
fn every_example_of_the_server_is_a_packet_of_the_server() {
    assert_eq!(
        faults("json server", server_body_again, |packet| packet[verb(packet)].clone()),
        Vec::<String>::new()
    );
}

#[test]
fn every_block_of_json_says_who_speaks() {
    let nameless = SPEC.lines().filter(|line| line.trim_end() == "```json").count();
    assert_eq!(nameless, 0, "write `json client` or `json server` behind the fence");
}

#[test]
fn everything_that_can_be_said_has_an_example() {
    let shown =
        |fence| examples(fence).into_iter().map(|(_, line)| verb(&value(line))).collect::<BTreeSet<_>>();
    assert_eq!(shown("json client"), CLIENT_VERBS.map(str::to_owned).into());
    assert_eq!(shown("json server"), SERVER_VERBS.map(str::to_owned).into());
}

#[test]
fn the_table_of_byes_is_the_one_in_the_code() {
    for code in ByeCode::ALL {
        let reconnect = serde_json::to_value(code.reconnect()).expect("a word");
        let row = format!(
            "| `{}` | {} | {}",
            code.as_str(),
            code.close_code(),
            reconnect.as_str().expect("a word")
        );
        assert!(SPEC.contains(&row), "no row begins with: {row}");
    }
}

#[test]
fn every_code_and_reason_has_a_row_that_explains_it() {
    let reasons = [GapReason::Retention, GapReason::NewEpoch, GapReason::Ahead, GapReason::Mismatch];
    let words = reasons.map(|reason| serde_json::to_value(reason).expect("a word"));
    let words = words.iter().map(|word| word.as_str().expect("a word").to_owned());
    let codes = SPEC
        .lines()
        .skip_while(|line| *line != "### Error codes")
        .take_while(|line| !line.starts_with("### P"));
    let codes = codes.filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect::<Vec<_>>();
    assert!(codes.len() >= 13, "{codes:?}");
    for code in codes {
        assert!(!matches!(ErrorCode::from(code), ErrorCode::Other(_)), "the code does not know `{code}`");
    }
    for word in words.chain(DropCause::ALL.map(|cause| cause.as_str().to_owned())) {
        assert!(
            SPEC.lines().any(|line| line.starts_with("| `") && line.contains(&format!("`{word}`"))),
            "{word}"
        );
    }
}
