//! One publication, encoded once for all subscribers.

use bytes::Bytes;
use serde_json::{Number, Value};
use tautline_protocol::{ChannelName, UserId, json};

/// The content of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// JSON, as received.
    pub data: Box<str>,
    /// The publishing user; `None` for the back end and for guests.
    pub from: Option<UserId>,
    /// Labels, a JSON object as received.
    pub tags: Option<Box<str>>,
}

/// A publication in a log. Cheap to clone: the bytes are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The packet, line end included.
    line: Bytes,
    offset: u64,
    at: u64,
    /// Where the publication's own fields begin in `line`, after the channel's name.
    fields_at: u32,
}

impl Entry {
    /// Encodes a publication.
    #[must_use]
    pub fn encode(channel: &ChannelName, offset: u64, at: u64, content: &Content) -> Self {
        let mut line =
            Vec::with_capacity(content.data.len() + content.tags.as_ref().map_or(0, |tags| tags.len()) + 160);
        line.extend_from_slice(b"{\"pub\":{\"channel\":");
        json::write_json(&mut line, &channel.as_str());
        line.push(b',');
        let fields_at = u32::try_from(line.len()).expect("a channel's name is short");
        line.extend_from_slice(b"\"offset\":");
        json::write_json(&mut line, &offset);
        line.extend_from_slice(b",\"at\":");
        json::write_json(&mut line, &at);
        line.extend_from_slice(b",\"data\":");
        json::write_data(&mut line, &content.data);
        if let Some(from) = &content.from {
            line.extend_from_slice(b",\"from\":");
            json::write_json(&mut line, &from.as_str());
        }
        if let Some(tags) = &content.tags {
            line.extend_from_slice(b",\"tags\":");
            json::write_data(&mut line, tags);
        }
        line.extend_from_slice(b"}}\n");
        line.shrink_to_fit();
        Self { line: line.into(), offset, at, fields_at }
    }

    /// The packet that every subscriber receives, line end included.
    #[must_use]
    pub const fn line(&self) -> &Bytes {
        &self.line
    }

    /// The offset in the log.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// When it was appended, in wall milliseconds.
    #[must_use]
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// True if the content is equal: by bytes, or else as JSON values. Numbers that are equal are the same in any
    /// spelling: `1` and `1.0`.
    #[must_use]
    pub fn has_same_content(&self, other: &Self) -> bool {
        let json = |entry: &Self| serde_json::from_slice::<Value>(&entry.line).ok();
        self.line == other.line
            || json(self).zip(json(other)).is_some_and(|(one, other)| is_same_value(&one, &other))
    }

    /// The number of bytes that [`Entry::write_history`] writes.
    #[must_use]
    pub fn history_bytes(&self) -> usize {
        self.line.len() - self.fields_at as usize - 1
    }

    /// Writes the publication in the form of `history`: `{"offset":…,"at":…,"data":…}`.
    pub fn write_history(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        // The packet ends in `}}\n`: the publication's brace, the packet's brace, the line end.
        out.extend_from_slice(&self.line[self.fields_at as usize..self.line.len() - 2]);
    }
}

fn is_same_value(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || (!(is_whole(one) && is_whole(other)) && one.as_f64() == other.as_f64())
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same_value(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_same = |(key, one)| other.get(key).is_some_and(|other| is_same_value(one, other));
            one.len() == other.len() && one.iter().all(is_same)
        }
        _ => one == other,
    }
}

/// Spelled as an integer of 64 bits: two of these are compared digit by digit.
fn is_whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_in_other_spellings_are_same_content() {
        let channel = ChannelName::parse("room:7").expect("valid");
        let entry = |data: &str| {
            Entry::encode(&channel, 1, 5, &Content { data: data.into(), from: None, tags: None })
        };
        let is_same = |one: &str, other: &str| entry(one).has_same_content(&entry(other));
        for (one, other) in [
            ("1", "1.0"),
            ("1e3", "1000"),
            ("0", "-0.0"),
            (r#"{"a":[1,{"b":2}]}"#, r#"{"a":[1.0,{"b":2e0}]}"#),
        ] {
            assert!(is_same(one, other) && is_same(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("1", "1.5"),
            ("1", "\"1\""),
            ("[1]", "[1,1]"),
            (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
            ("9007199254740993", "9007199254740992"),
        ] {
            assert!(!is_same(one, other) && !is_same(other, one), "{one} {other}");
        }
    }

    #[test]
    fn publication_is_encoded_once_for_subscribers_and_history() {
        let channel = ChannelName::parse("room:7").expect("valid");
        let from = Some(UserId::parse("u7").expect("valid"));
        let content = Content { data: "{\"a\":\n1}".into(), from, tags: Some("{}".into()) };
        let entry = Entry::encode(&channel, 1, 5, &content);
        let fields = "\"offset\":1,\"at\":5,\"data\":{\"a\": 1},\"from\":\"u7\",\"tags\":{}";
        assert_eq!(entry.line(), &format!("{{\"pub\":{{\"channel\":\"room:7\",{fields}}}}}\n"));
        let mut history = Vec::new();
        entry.write_history(&mut history);
        assert_eq!(history, format!("{{{fields}}}").as_bytes());
        assert_eq!(entry.history_bytes(), history.len());
    }
}
