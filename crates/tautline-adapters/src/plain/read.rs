//! Reads a client's texts.
//!
//! Start at [`read`].

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer as _,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use tautline_protocol::json::write_json;

use super::config::{Heartbeat, PlainConfig};

/// The longest `type`, and the longest `id` that an answer repeats, in bytes: both are kept while a call
/// runs.
pub(super) const NAME_BYTES_MAX: usize = 128;

/// A text of a client.
#[derive(Debug)]
pub(super) enum Inbound<'c, 't> {
    /// A heartbeat, with the text of its answer.
    Heartbeat(&'c str),
    /// A heartbeat in JSON, which gets an answer without data.
    TypedHeartbeat(Message<'t>),
    Message(Message<'t>),
    /// Neither of them, and why.
    Invalid(&'static str),
}

/// A JSON object with a `type`.
#[derive(Debug)]
pub(super) struct Message<'t> {
    pub kind: Cow<'t, str>,
    /// A short text or number that the answer repeats.
    pub id: Option<&'t RawValue>,
    pub account: Option<Cow<'t, str>>,
    /// The other fields, in their order, as one object on one line.
    pub data: Box<RawValue>,
}

/// Reads one text.
pub(super) fn read<'c, 't>(config: &'c PlainConfig, text: &'t str) -> Inbound<'c, 't> {
    if let Some(answer) = config.heartbeats.iter().find_map(|it| it.answer_to_text(text)) {
        return Inbound::Heartbeat(answer);
    }
    let message = match Message::parse(config, text) {
        Ok(message) => message,
        Err(why) => return Inbound::Invalid(why),
    };
    let typed = |it: &'c Heartbeat| match it {
        Heartbeat::Type { kind, answer } if **kind == *message.kind => Some(answer.as_deref()),
        _ => None,
    };
    match config.heartbeats.iter().find_map(typed) {
        Some(Some(answer)) => Inbound::Heartbeat(answer),
        Some(None) => Inbound::TypedHeartbeat(message),
        None => Inbound::Message(message),
    }
}

impl<'t> Message<'t> {
    fn parse(config: &PlainConfig, text: &'t str) -> Result<Self, &'static str> {
        let names = &config.names;
        let Fields(fields) = Fields::parse(text).ok_or("this is no heartbeat and no JSON object")?;
        let (mut kind, mut id, mut account) = (None, None, None);
        let mut data = Vec::with_capacity(text.len());
        data.push(b'{');
        for (Key(name), value) in fields {
            if *name == *names.kind {
                if kind.replace(value).is_some() {
                    return Err("the object has two types");
                }
                continue;
            }
            if *name == *names.account {
                account = Some(value);
                continue;
            }
            if *name == *names.id && is_short_scalar(value.get()) {
                id = Some(value);
            }
            if data.len() > 1 {
                data.push(b',');
            }
            write_json(&mut data, &name);
            data.push(b':');
            // A raw line break stands between tokens, and a packet is one line.
            data.extend(
                value.get().bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }),
            );
        }
        data.push(b'}');
        let kind = kind.ok_or("the object has no type")?;
        let account = match account.map(short_text) {
            Some(None) => return Err("the account is no text"),
            account => account.flatten(),
        };
        let data = String::from_utf8(data).expect("keys and values are text");
        let data = RawValue::from_string(data).expect("keys and values of an object are an object");
        let kind = short_text(kind).filter(|kind| !kind.is_empty() && kind.len() <= NAME_BYTES_MAX);
        let kind = kind.ok_or("the type is no text of 1 to 128 bytes")?;
        Ok(Self { kind, id, account, data })
    }
}

fn is_short_scalar(json: &str) -> bool {
    json.len() <= NAME_BYTES_MAX && json.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit())
}

/// The text that a JSON value is.
fn short_text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Key<'_>>(value.get()).ok().map(|Key(text)| text)
}

/// Borrows a text that has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The fields of an object, in their order.
struct Fields<'a>(Vec<(Key<'a>, &'a RawValue)>);

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let fields = deserializer.deserialize_map(FieldsVisitor).ok()?;
        deserializer.end().ok()?;
        Some(fields)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Result<(String, String), &'static str> {
        Message::parse(&PlainConfig::default(), text)
            .map(|message| (message.kind.into_owned(), message.data.get().to_owned()))
    }

    #[test]
    fn data_is_the_rest_of_the_object() {
        let (kind, data) =
            message("{\"page\": 1.50,\n \"type\":\"list\",\"tags\":[1,\r\n2],\"q\\u0041\":\"\\ud800\"}")
                .unwrap();
        assert_eq!(kind, "list");
        assert_eq!(data, r#"{"page":1.50,"tags":[1,  2],"qA":"\ud800"}"#);
    }

    #[test]
    fn odd_objects_are_no_messages() {
        let odd = [
            ("[]", "no JSON object"),
            ("", "no JSON object"),
            ("hello", "no JSON object"),
            (r#"{"type":"a"} x"#, "no JSON object"),
            (r#"{"type":"a""#, "no JSON object"),
            (r#"{"\ud800":1,"type":"a"}"#, "no JSON object"),
            ("{}", "no type"),
            (r#"{"type":1}"#, "no text"),
            (r#"{"type":null}"#, "no text"),
            (r#"{"type":{"type":"a"}}"#, "no text"),
            (r#"{"type":""}"#, "no text"),
            (r#"{"type":"\ud800"}"#, "no text"),
            (r#"{"type":"a","type":"b"}"#, "two types"),
            (r#"{"type":"a","$user":7}"#, "the account"),
        ];
        for (text, why) in odd {
            let error = message(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(message(&format!(r#"{{"type":"{}"}}"#, "a".repeat(NAME_BYTES_MAX))).is_ok());
        assert!(message(&format!(r#"{{"type":"{}"}}"#, "a".repeat(NAME_BYTES_MAX + 1))).is_err());
    }

    #[test]
    fn deeply_nested_data_is_read_without_recursion() {
        let deep = format!(r#"{{"type":"a","deep":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(message(&deep).unwrap().1.len(), deep.len() - r#""type":"a","#.len());
    }

    #[test]
    fn only_short_texts_and_numbers_are_ids() {
        let config = PlainConfig::default();
        for (id, is_kept) in [
            ("7", true),
            ("\"x\"", true),
            ("-1e9", true),
            ("{}", false),
            ("null", false),
            (&format!("\"{}\"", "x".repeat(200)), false),
        ] {
            let text = format!(r#"{{"type":"a","id":{id}}}"#);
            let message = Message::parse(&config, &text).unwrap();
            assert_eq!(message.id.map(RawValue::get), is_kept.then_some(id));
            assert!(message.data.get().contains("id"), "it stays in the data");
        }
    }
}
