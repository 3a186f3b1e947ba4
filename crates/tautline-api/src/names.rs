//! Names and moments in requests: parsed once, and described in the document as exactly what is taken.

#![allow(unused_qualifications, reason = "the macro of the schemas writes them")]

use std::{borrow::Cow, fmt, net::IpAddr};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, Visitor},
};
use serde_json::value::RawValue;
use tautline_hub::Control;
use tautline_protocol::{ChannelName, Cursor, DATA_DEPTH_MAX, UserId, json::is_too_deep};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type,
        schema::{OneOfBuilder, SchemaType},
    },
};

/// The characters that no name has: control characters, bidirectional controls, white space and `*`.
macro_rules! excluded {
    () => {
        r"\u0000-\u0020*\u007F-\u00A0\u061C\u1680\u2000-\u200A\u200E\u200F\u2028-\u202F\u205F\u2066-\u2069\u3000"
    };
}

/// Of users.
const NAME_PATTERN: &str = concat!("^[^", excluded!(), "]+$");
/// Of channels: names that begin with `$` are the gateway's own.
const CHANNEL_PATTERN: &str = concat!("^[^$", excluded!(), "][^", excluded!(), "]*$");
/// A session's id: 128 bits in base64url without padding, of which the last character has two.
const SESSION_PATTERN: &str = "^[A-Za-z0-9_-]{21}[AQgw]$";
const SESSION_CHARS: usize = 22;
/// Integers up to here are exact in every language.
const INTEGER_MAX: u64 = (1 << 53) - 1;
/// The longest text for people.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// A channel's name.
pub(crate) struct Channel(pub(crate) ChannelName);

/// A user's id.
pub(crate) struct User(pub(crate) UserId);

/// A session's id.
pub(crate) struct Session(pub(crate) String);

/// Text for people.
#[derive(Default)]
pub(crate) struct Message(pub(crate) String);

/// A moment in wall milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct WallMs(pub(crate) u64);

/// A position in a log.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    /// The epoch of the log.
    #[schema(example = "k3")]
    epoch: String,
    /// The offset of a publication; 0 before the first.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    #[serde(deserialize_with = "integer")]
    offset: u64,
    /// When that was appended.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<WallMs>,
}

/// An address of the internet.
#[derive(Clone, Copy)]
pub(crate) struct Address(pub(crate) IpAddr);

/// A label and its value, with a colon between them.
pub(crate) struct LabelText(pub(crate) String, pub(crate) String);

/// Why, for operators.
#[derive(Default)]
pub(crate) struct Reason(pub(crate) Box<str>);

/// A payload: any JSON, as it is.
pub(crate) struct Data<'a>(pub(crate) &'a RawValue);

/// Labels of a publication: a JSON object, as it is.
pub(crate) struct Tags<'a>(pub(crate) &'a RawValue);

/// Text, borrowed where it has no escapes.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    struct Text;

    impl<'de> Visitor<'de> for Text {
        type Value = Cow<'de, str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(Cow::Borrowed(text))
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Cow::Owned(text.to_owned()))
        }
    }
    deserializer.deserialize_str(Text)
}

pub(crate) fn parse_channel(name: &str) -> Result<ChannelName, String> {
    ChannelName::parse(name).map_err(|error| format!("no channel's name: {error}"))
}

pub(crate) fn parse_user(id: &str) -> Result<UserId, String> {
    UserId::parse(id).map_err(|error| format!("no user's id: {error}"))
}

pub(crate) fn is_session(id: &str) -> bool {
    let is_of_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    id.len() == SESSION_CHARS && id.bytes().all(is_of_base64) && id.ends_with(['A', 'Q', 'g', 'w'])
}

impl<'de> Deserialize<'de> for Channel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_channel(&text(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_user(&text(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Session {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = text(deserializer)?;
        if is_session(&id) { Ok(Self(id.into_owned())) } else { Err(D::Error::custom("no session's id")) }
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let message = text(deserializer)?;
        if message.chars().count() > MESSAGE_CHARS_MAX {
            return Err(D::Error::custom(format!("longer than {MESSAGE_CHARS_MAX} characters")));
        }
        Ok(Self(message.into_owned()))
    }
}

impl<'de> Deserialize<'de> for WallMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        integer(deserializer).map(Self)
    }
}

/// An integer from 0 to [`INTEGER_MAX`]. `5.0` is one, too: some languages write all numbers so.
pub(crate) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Integer;

    impl Visitor<'_> for Integer {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an integer from 0 to 2^53 - 1")
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<u64, E> {
            if number <= INTEGER_MAX { Ok(number) } else { Err(E::custom("beyond 2^53 - 1")) }
        }

        #[expect(clippy::cast_possible_truncation, reason = "it is checked to be an integer")]
        fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<u64, E> {
            let is_integer = number.fract() == 0.0 && (0.0..=INTEGER_MAX as f64).contains(&number);
            // Exact: such numbers have at most 53 bits.
            if is_integer { Ok(number as u64) } else { Err(E::custom("no integer from 0 to 2^53 - 1")) }
        }
    }
    deserializer.deserialize_u64(Integer)
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer)?.parse().map(Self).map_err(|_| D::Error::custom("no IP address"))
    }
}

impl<'de> Deserialize<'de> for LabelText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text(deserializer)?;
        let (name, value) = text.split_once(':').filter(|(name, _)| !name.is_empty()).unzip();
        let both = name.zip(value).map(|(name, value)| Self(name.to_owned(), value.to_owned()));
        both.ok_or_else(|| D::Error::custom("no label: its name, a colon and its value"))
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reason = text(deserializer)?;
        if reason.len() > Control::BAN_REASON_BYTES_MAX {
            let words = format!("longer than {} bytes", Control::BAN_REASON_BYTES_MAX);
            return Err(D::Error::custom(words));
        }
        Ok(Self(reason.into()))
    }
}

impl From<Position> for Cursor {
    fn from(Position { epoch, offset, at }: Position) -> Self {
        Self { epoch, offset, at: at.map(|at| at.0) }
    }
}

impl From<Cursor> for Position {
    fn from(Cursor { epoch, offset, at }: Cursor) -> Self {
        Self { epoch, offset, at: at.map(WallMs) }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        raw(deserializer).map(Self)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Tags<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tags = raw(deserializer)?;
        if tags.get().starts_with('{') { Ok(Self(tags)) } else { Err(D::Error::custom("no object")) }
    }
}

fn raw<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'de RawValue, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    if is_too_deep(raw.get()) {
        return Err(D::Error::custom(format!("nested more than {DATA_DEPTH_MAX} deep")));
    }
    Ok(raw)
}

fn of_text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn of_format(format: KnownFormat) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(format)))
}

/// The schema of a type that is written by hand, under a name of the document.
macro_rules! schema {
    ($type:ty, $name:literal, $schema:expr) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                $name.into()
            }
        }
    };
}

schema!(
    Channel,
    "ChannelName",
    of_text("At most 255 bytes of UTF-8, the first of them no `$`. An inbox is `user:` and the user's id.")
        .min_length(Some(1))
        .max_length(Some(ChannelName::BYTES_MAX))
        .pattern(Some(CHANNEL_PATTERN))
        .examples(["room:7"])
);
schema!(
    User,
    "UserId",
    of_text("A user's id: at most 250 bytes of UTF-8.")
        .min_length(Some(1))
        .max_length(Some(UserId::BYTES_MAX))
        .pattern(Some(NAME_PATTERN))
        .examples(["u42"])
);
schema!(
    Session,
    "SessionId",
    of_text("A session's id, as rosters and lists of sessions show it.")
        .pattern(Some(SESSION_PATTERN))
        .examples(["q3bkwRUVQkq0sJv0p2d1Nw"])
);
schema!(
    Message,
    "Message",
    of_text("Words for people.").max_length(Some(MESSAGE_CHARS_MAX)).examples(["See you tomorrow."])
);
schema!(
    WallMs,
    "WallMs",
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .description(Some("A moment in milliseconds since 1970 in UTC."))
        .minimum(Some(0))
        .maximum(Some(INTEGER_MAX))
        .examples([1_893_456_000_000_u64])
);
schema!(
    Address,
    "Address",
    OneOfBuilder::new()
        .description(Some("An IP address; in IPv6 it stands for its /64."))
        .item(of_format(KnownFormat::Ipv4))
        .item(of_format(KnownFormat::Ipv6))
        .examples(["203.0.113.9"])
);
schema!(
    LabelText,
    "LabelText",
    of_text("A label of a login: its name, a colon and its value.")
        .pattern(Some("^[^:]+:"))
        .examples(["team:kitchen"])
);
schema!(
    Reason,
    "Reason",
    of_text("Why, for operators: at most 256 bytes.")
        .max_length(Some(Control::BAN_REASON_BYTES_MAX))
        .examples(["spam"])
);
schema!(
    Data<'_>,
    "Data",
    ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .description(Some("Any JSON, nested at most 62 deep. The gateway never looks inside."))
        .examples([serde_json::json!({"text": "Your table is ready"})])
);
schema!(
    Tags<'_>,
    "Tags",
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Labels that travel with the publication, nested at most 62 deep."))
        .examples([serde_json::json!({"lang": "en"})])
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_and_bounded() {
        let read = |text: &str| serde_json::from_str::<WallMs>(text).ok().map(|ms| ms.0);
        assert_eq!(
            ["0", "5.0", "1e3", "9007199254740991"].map(read),
            [Some(0), Some(5), Some(1000), Some(INTEGER_MAX)]
        );
        for text in ["-1", "-0.5", "1.5", "9007199254740992", "1e300", "\"5\"", "null", "true"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn session_id_has_one_spelling() {
        assert!(is_session("q3bkwRUVQkq0sJv0p2d1Nw") && is_session("AAAAAAAAAAAAAAAAAAAAAA"));
        for other in [
            "",
            "AAAAAAAAAAAAAAAAAAAAAB",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAA+A",
            "AAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(!is_session(other), "{other}");
        }
    }

    /// The document says of each character what the parser says.
    #[test]
    fn pattern_of_names_excludes_what_the_parser_refuses() {
        let ranges = excluded!();
        let mut excluded = vec!['*'..='*'];
        let mut points = ranges.replace('*', "").replace("\\u", " ");
        points = points.replace('-', " - ");
        let mut words = points.split_whitespace().peekable();
        let point =
            |word: &str| char::from_u32(u32::from_str_radix(word, 16).expect("hex")).expect("a character");
        while let Some(first) = words.next() {
            let first = point(first);
            let last = words.next_if_eq(&"-").and_then(|_| words.next()).map_or(first, point);
            excluded.push(first..=last);
        }
        for c in (0..=0x10_FFFF).filter_map(char::from_u32) {
            let is_excluded = excluded.iter().any(|range| range.contains(&c));
            assert_eq!(UserId::parse(&c.to_string()).is_err(), is_excluded, "{c:?}");
            let (first, second) = (c.to_string(), format!("a{c}"));
            assert_eq!(ChannelName::parse(&first).is_err(), is_excluded || c == '$', "{c:?}");
            assert_eq!(ChannelName::parse(&second).is_err(), is_excluded, "{c:?}");
        }
    }
}
