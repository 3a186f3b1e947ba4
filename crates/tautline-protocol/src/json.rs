//! The json format: one packet per line (protocol, section 2).
//!
//! To read, [`packets`] splits a message, and [`parse_client`] and [`parse_server`] read one packet. To
//! write, [`write_client`], [`write_request`], [`write_reply`] and [`write_server`] append one packet and its
//! line end.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Serialize,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    DATA_DEPTH_MAX, REQUEST_ID_MAX, RequestId,
    packet::{
        client::{Call, ClientPacket, Publish, Request, Verb},
        server::{ErrorBody, PresenceKind, ServerPacket},
    },
};

/// The input is not a packet. Names the request at fault if its id could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadPacket {
    /// The `id` beside the verb, if it could be read.
    pub id: Option<RequestId>,
    /// What is wrong with it.
    pub message: String,
}

/// The packets of a message: its non-blank lines.
pub fn packets(message: &str) -> impl Iterator<Item = &str> {
    message.split('\n').map(str::trim_ascii).filter(|line| !line.is_empty())
}

/// Reads one packet of a client.
///
/// # Errors
/// [`BadPacket`] if the line is not an object with exactly one verb, if `hello`, `ping`, `pause` or `bye`
/// have an invalid body, or if a request has no id. A request with an id and an invalid body is
/// [`Verb::BadRequest`].
pub fn parse_client(line: &str) -> Result<ClientPacket<'_>, BadPacket> {
    let Envelope { id, seen, again, verb: name, body } = Envelope::parse(line)?;
    if id.max(seen).is_some_and(|number| number > REQUEST_ID_MAX) {
        let message = format!("`id` and `seen` are at most {REQUEST_ID_MAX}");
        return Err(BadPacket { id: id.filter(|id| *id <= REQUEST_ID_MAX), message });
    }
    let text = body.get();
    let request = match &*name {
        "subscribe" => serde_json::from_str(text).map(Request::Subscribe),
        "unsubscribe" => serde_json::from_str(text).map(Request::Unsubscribe),
        "publish" => serde_json::from_str(text).map(Request::Publish),
        "call" => serde_json::from_str(text).map(Request::Call),
        "history" => serde_json::from_str(text).map(Request::History),
        "presence" => serde_json::from_str(text).map(Request::Presence),
        "auth" => serde_json::from_str(text).map(Request::Auth),
        _ => {
            let bad = |error: serde_json::Error| BadPacket { id, message: format!("`{name}`: {error}") };
            let verb = match &*name {
                "hello" => Verb::Hello(Box::new(serde_json::from_str(text).map_err(bad)?)),
                "ping" => Verb::Ping(serde_json::from_str(text).map_err(bad)?),
                "pause" => Verb::Pause(serde_json::from_str(text).map_err(bad)?),
                "bye" => Verb::Bye,
                _ => Verb::Unknown(name),
            };
            return Ok(ClientPacket { id, seen, again, verb });
        }
    };
    if id.is_none_or(|id| id == 0) {
        return Err(BadPacket { id, message: format!("`{name}` needs an `id` of 1 or more") });
    }
    let verb = match request {
        Ok(Request::Publish(Publish { data, .. }) | Request::Call(Call { data: Some(data), .. }))
            if is_too_deep(data.get()) =>
        {
            Verb::BadRequest(format!("`{name}`: `data` is nested more than {DATA_DEPTH_MAX} deep"))
        }
        Ok(request) => Verb::Request(request),
        Err(error) => Verb::BadRequest(format!("`{name}`: {error}")),
    };
    Ok(ClientPacket { id, seen, again, verb })
}

/// Reads one packet of the server.
///
/// # Errors
/// [`BadPacket`] when the line is not a packet, or a known verb has a body it cannot have.
pub fn parse_server(line: &str) -> Result<ServerPacket<'_>, BadPacket> {
    let Envelope { id, verb: name, body, .. } = Envelope::parse(line)?;
    let text = body.get();
    let bad = |error: serde_json::Error| BadPacket { id, message: format!("`{name}`: {error}") };
    let presence = |kind| serde_json::from_str(text).map(|change| ServerPacket::Presence(kind, change));
    let packet = match (&*name, id) {
        ("ok", Some(id)) => Ok(ServerPacket::Reply(id, Ok(body))),
        ("error", Some(id)) => {
            serde_json::from_str::<ErrorBody>(text).map(|error| ServerPacket::Reply(id, Err(error)))
        }
        ("pub", _) => serde_json::from_str(text).map(ServerPacket::Pub),
        ("pong", _) => serde_json::from_str(text).map(ServerPacket::Pong),
        ("welcome", _) => serde_json::from_str(text).map(|body| ServerPacket::Welcome(Box::new(body))),
        ("challenge", _) => serde_json::from_str(text).map(ServerPacket::Challenge),
        ("gap", _) => serde_json::from_str(text).map(ServerPacket::Gap),
        ("unsubscribed", _) => serde_json::from_str(text).map(ServerPacket::Unsubscribed),
        ("join", _) => presence(PresenceKind::Join),
        ("away", _) => presence(PresenceKind::Away),
        ("back", _) => presence(PresenceKind::Back),
        ("leave", _) => presence(PresenceKind::Leave),
        ("ticket", _) => serde_json::from_str(text).map(ServerPacket::Ticket),
        ("bye", _) => serde_json::from_str(text).map(|body| ServerPacket::Bye(id, body)),
        _ => return Ok(ServerPacket::Unknown(name)),
    };
    packet.map_err(bad)
}

/// The marks beside a verb.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    /// The request's id.
    pub id: Option<RequestId>,
    /// All requests up to this id are settled.
    pub seen: Option<RequestId>,
    /// The request was sent before.
    pub again: bool,
}

/// Appends a client's packet: `body` under `verb`, with its marks.
pub fn write_client(out: &mut Vec<u8>, marks: Marks, verb: &str, body: &impl Serialize) {
    out.push(b'{');
    if let Some(id) = marks.id {
        out.extend_from_slice(b"\"id\":");
        write_json(out, &id);
        out.push(b',');
    }
    if let Some(seen) = marks.seen {
        out.extend_from_slice(b"\"seen\":");
        write_json(out, &seen);
        out.push(b',');
    }
    if marks.again {
        out.extend_from_slice(b"\"again\":true,");
    }
    write_verb(out, verb, body);
}

/// Appends a client's request.
pub fn write_request(out: &mut Vec<u8>, marks: Marks, request: &Request<'_>) {
    match request {
        Request::Subscribe(body) => write_client(out, marks, "subscribe", body),
        Request::Unsubscribe(body) => write_client(out, marks, "unsubscribe", body),
        Request::Publish(body) => write_client(out, marks, "publish", body),
        Request::Call(body) => write_client(out, marks, "call", body),
        Request::History(body) => write_client(out, marks, "history", body),
        Request::Presence(body) => write_client(out, marks, "presence", body),
        Request::Auth(body) => write_client(out, marks, "auth", body),
    }
}

/// Appends a packet of the server other than a reply: `body` under `verb`.
pub fn write_server(out: &mut Vec<u8>, verb: &str, body: &impl Serialize) {
    out.push(b'{');
    write_verb(out, verb, body);
}

/// Appends a reply: the result or the error.
pub fn write_reply(out: &mut Vec<u8>, id: RequestId, result: Result<&impl Serialize, &ErrorBody>) {
    out.extend_from_slice(b"{\"id\":");
    write_json(out, &id);
    out.push(b',');
    match result {
        Ok(body) => write_verb(out, "ok", body),
        Err(error) => write_verb(out, "error", error),
    }
}

/// Appends `value` as JSON.
///
/// # Panics
/// When `value` holds a map whose keys are not text: packets have none.
pub fn write_json(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("packets serialize, and writing to memory cannot fail");
}

/// True where JSON is nested deeper than a payload may be, [`DATA_DEPTH_MAX`].
#[must_use]
pub fn is_too_deep(data: &str) -> bool {
    // Few payloads contain that many brackets at all, and counting them costs a fraction of the scan below.
    if data.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() <= DATA_DEPTH_MAX {
        return false;
    }
    let (mut depth, mut in_text, mut bytes) = (0_usize, false, data.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_text = !in_text,
            b'\\' if in_text => drop(bytes.next()),
            _ if in_text => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > DATA_DEPTH_MAX {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Appends `data` on one line: raw line breaks between tokens become spaces, nothing else changes.
pub fn write_data(out: &mut Vec<u8>, data: &str) {
    let from = out.len();
    out.extend_from_slice(data.as_bytes());
    // Inside a JSON string a line break is always escaped, so a raw one is between tokens.
    for byte in &mut out[from..] {
        if matches!(*byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

fn write_verb(out: &mut Vec<u8>, verb: &str, body: &impl Serialize) {
    out.push(b'"');
    out.extend_from_slice(verb.as_bytes());
    out.extend_from_slice(b"\":");
    write_json(out, body);
    out.extend_from_slice(b"}\n");
}

struct Envelope<'a> {
    id: Option<RequestId>,
    seen: Option<RequestId>,
    again: bool,
    verb: Cow<'a, str>,
    body: &'a RawValue,
}

impl<'a> Envelope<'a> {
    fn parse(line: &'a str) -> Result<Self, BadPacket> {
        let mut id = None;
        let mut deserializer = serde_json::Deserializer::from_str(line);
        serde::Deserializer::deserialize_map(&mut deserializer, EnvelopeVisitor { id_read: &mut id })
            .and_then(|envelope| deserializer.end().map(|()| envelope))
            .map_err(|error| BadPacket { id, message: error.to_string() })
    }
}

/// Stores the id as soon as it is read, so that an error after it can name the request.
struct EnvelopeVisitor<'i> {
    id_read: &'i mut Option<RequestId>,
}

impl<'de> Visitor<'de> for EnvelopeVisitor<'_> {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a packet: an object with exactly one verb beside `id`, `seen` and `again`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut seen, mut again, mut verb) = (None, false, None);
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "id" => *self.id_read = Some(map.next_value()?),
                "seen" => seen = Some(map.next_value()?),
                "again" => again = map.next_value()?,
                _ if verb.is_some() => {
                    return Err(A::Error::custom(format_args!(
                        "two verbs in one packet, the second is `{key}`"
                    )));
                }
                _ => verb = Some((key, map.next_value::<&'de RawValue>()?)),
            }
        }
        let (verb, body) = verb.ok_or_else(|| A::Error::custom("a packet without a verb"))?;
        Ok(Envelope { id: *self.id_read, seen, again, verb, body })
    }
}

/// Borrows the key where it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_holds_one_packet_per_nonblank_line() {
        let message = "\n{\"a\":1}\r\n\n{\"b\":2}";
        assert_eq!(packets(message).collect::<Vec<_>>(), ["{\"a\":1}", "{\"b\":2}"]);
    }

    #[test]
    fn data_is_unchanged_except_raw_line_breaks() {
        let mut out = Vec::new();
        write_data(&mut out, "{\"a\": 1.50,\n\"b\":\"x\\ny\"}");
        assert_eq!(out, b"{\"a\": 1.50, \"b\":\"x\\ny\"}");
    }

    #[test]
    fn malformed_packet_names_request_with_readable_id() {
        let bad = parse_client(r#"{"id":7,"publish":{"channel":"a","#).expect_err("cut short");
        assert_eq!(bad.id, Some(7));
        assert_eq!(parse_client("[]").expect_err("no object").id, None);
        assert!(
            parse_client(r#"{"id":1,"a":{},"b":{}}"#).expect_err("two verbs").message.contains("two verbs")
        );
        assert!(parse_client(r#"{"id":1}"#).expect_err("no verb").message.contains("without a verb"));
        assert!(
            parse_client(r#"{"call":{"method":"m"}}"#).expect_err("no id").message.contains("needs an `id`")
        );
        assert!(parse_client(r#"{"ping":{}} x"#).is_err(), "nothing may follow a packet on its line");
    }

    #[test]
    fn wrong_body_of_known_verb_is_bad_request() {
        let packet = parse_client(r#"{"id":3,"subscribe":{"from":"now"}}"#).expect("a packet");
        assert_eq!(packet.id, Some(3));
        assert!(matches!(packet.verb, Verb::BadRequest(_)), "{:?}", packet.verb);
    }

    #[test]
    fn data_depth_is_limited_as_in_msgpack() {
        let nested = |depth: usize, core: &str| format!("{}{core}{}", "[".repeat(depth), "]".repeat(depth));
        for core in ["1", r#""[[[\\\"[[[""#, "{}"] {
            let most = DATA_DEPTH_MAX - usize::from(core == "{}");
            assert!(!is_too_deep(&nested(most, core)), "{core}");
            assert!(is_too_deep(&nested(most + 1, core)), "{core}");
        }
        for request in [r#""publish":{"channel":"a","#, r#""call":{"method":"m","#] {
            let packet = |depth| format!(r#"{{"id":3,{request}"data":{}}}}}"#, nested(depth, "1"));
            let (good, bad) = (packet(DATA_DEPTH_MAX), packet(DATA_DEPTH_MAX + 1));
            assert!(matches!(parse_client(&good).expect("a packet").verb, Verb::Request(_)));
            assert!(matches!(parse_client(&bad).expect("a packet").verb, Verb::BadRequest(_)));
            let there_and_back = crate::msgpack::to_json(&crate::msgpack::from_json(good.as_bytes()));
            assert_eq!(there_and_back.trim_end(), good, "a packet in msgpack may be as deep");
        }
    }

    #[test]
    fn limit_is_rounded_to_nearest_count() {
        for (limit, nearest) in [
            ("-5", 0),
            ("0", 0),
            ("2.4", 2),
            ("1e3", 1000),
            ("18446744073709551616", u32::MAX as usize),
            ("1e999", u32::MAX as usize),
            ("-1e999", 0),
        ] {
            let packet = format!(r#"{{"id":3,"history":{{"channel":"a","limit":{limit}}}}}"#);
            let packet = parse_client(&packet).expect("a packet");
            assert!(
                matches!(packet.verb, Verb::Request(Request::History(body)) if body.limit == nearest),
                "{limit}"
            );
        }
        for limit in [r#""7""#, "null", "[]"] {
            let packet = format!(r#"{{"id":3,"history":{{"channel":"a","limit":{limit}}}}}"#);
            assert!(matches!(parse_client(&packet).expect("a packet").verb, Verb::BadRequest(_)), "{limit}");
        }
    }

    #[test]
    fn number_that_javascript_cannot_count_is_bad_packet() {
        let resume = r#"{"hello":{"v":1,"resume":{"ticket":"t","attempt":1,"seen":ID}}}"#;
        let forms = [
            r#"{"id":ID,"call":{"method":"m"}}"#,
            r#"{"id":ID,"dance":{}}"#,
            r#"{"seen":ID,"ping":{}}"#,
            r#"{"id":1,"seen":ID,"call":{"method":"m"}}"#,
            resume,
        ];
        for form in forms {
            assert!(parse_client(&form.replace("ID", "9007199254740991")).is_ok(), "{form}");
            let bad = parse_client(&form.replace("ID", "9007199254740992")).expect_err(form);
            assert!(bad.message.contains("9007199254740991"), "{bad}");
            assert_eq!(bad.id, form.contains(r#""id":1"#).then_some(1), "{form}");
        }
    }

    #[test]
    fn unknown_verb_is_named_and_unknown_keys_ignored() {
        let packet = parse_client(r#"{"id":3,"dance":[1]}"#).expect("a packet");
        assert!(matches!(packet.verb, Verb::Unknown(name) if name == "dance"));
        let packet = parse_client(r#"{"id":3,"unsubscribe":{"channel":"a","new":1}}"#).expect("a packet");
        assert!(matches!(packet.verb, Verb::Request(Request::Unsubscribe(body)) if body.channel == "a"));
    }

    #[test]
    fn secrets_are_absent_from_debug_output() {
        let packet = parse_client(
            r#"{"hello":{"v":1,"auth":{"token":"s3cret"},"resume":{"ticket":"t1cket","attempt":1}}}"#,
        )
        .expect("a packet");
        let shown = format!("{packet:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("t1cket"), "{shown}");
    }
}
