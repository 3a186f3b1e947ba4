//! Packets from the client to the server.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _},
};
use serde_json::value::RawValue;

use crate::{
    Cursor, ReadFrom, RequestId,
    limits::{ATTEMPT_MAX, KEY_BYTES_MIN},
};

/// One packet from a client.
#[derive(Debug)]
pub struct ClientPacket<'a> {
    /// The request's number; none on packets that are never replied to.
    pub id: Option<RequestId>,
    /// The highest id up to which the client has settled everything.
    pub seen: Option<RequestId>,
    /// True when the request was sent before, on an earlier connection.
    pub again: bool,
    /// What is said.
    pub verb: Verb<'a>,
}

/// What a client can say.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verb<'a> {
    /// The first packet of a connection.
    Hello(Box<Hello>),
    /// Something that is replied to.
    Request(Request<'a>),
    /// A request whose verb is known and whose body is not what the verb asks for.
    BadRequest(String),
    /// "Are you there?", with what the app has acknowledged.
    Ping(Ping),
    /// "I am going away on purpose and will be back."
    Pause(Pause),
    /// "End my session."
    Bye,
    /// A verb that this version does not know.
    Unknown(Cow<'a, str>),
}

/// What is asked and gets a reply.
#[derive(Debug)]
pub enum Request<'a> {
    /// Read a channel from a place on.
    Subscribe(Subscribe<'a>),
    /// Stop reading a channel.
    Unsubscribe(ChannelOnly<'a>),
    /// Append to a channel.
    Publish(Publish<'a>),
    /// Ask a method of the back end.
    Call(Call<'a>),
    /// Read a page of a channel's log.
    History(History<'a>),
    /// Who is subscribed?
    Presence(ChannelOnly<'a>),
    /// Refresh the authentication.
    Auth(AuthRefresh<'a>),
}

impl Request<'_> {
    /// True for the verbs that are executed at most once for an id (protocol, section 4).
    #[must_use]
    pub const fn at_most_once(&self) -> bool {
        matches!(self, Self::Publish(_) | Self::Call(_))
    }
}

/// Opens a connection (protocol, section 3).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol's version.
    pub v: u32,
    /// Made at random by the client for each new session: a repeated first hello opens the same one.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "session_key")]
    pub key: Option<String>,
    /// Who the client is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// The session to go on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// What software the client is.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientInfo>,
    /// Why the connection before this one ended, as the client saw it.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub last_drop: Option<LastDrop>,
}

/// A login.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "`auth` is {token}, {code, provider} or {guest: true}")]
pub enum Auth {
    /// A signed token of the application.
    Token {
        /// The token as it was issued.
        token: String,
    },
    /// A login code that a host gave out.
    Code {
        /// The code.
        code: String,
        /// Which host gave it.
        provider: String,
    },
    /// No login.
    Guest {
        /// True; a guest must say so.
        guest: bool,
    },
}

impl std::fmt::Debug for Auth {
    // Secrets stay out of logs, whoever prints this.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Token { .. } => "Token(…)",
            Self::Code { .. } => "Code(…)",
            Self::Guest { .. } => "Guest",
        })
    }
}

/// Asks to go on with a session.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// The last ticket that was given out.
    pub ticket: String,
    /// Rises with every dial of the session; the highest wins. At most [`ATTEMPT_MAX`].
    #[serde(deserialize_with = "attempt")]
    pub attempt: u64,
    /// As beside any verb: settled up to here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<RequestId>,
    /// The channels to be subscribed to, each from its cursor.
    #[serde(default)]
    pub cursors: BTreeMap<String, Cursor>,
}

fn session_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let key = Option::<String>::deserialize(deserializer)?;
    match &key {
        // Not quoted: it opens a session.
        Some(key) if key.len() < KEY_BYTES_MIN => Err(D::Error::custom(format_args!(
            "`key` has {} bytes, at least {KEY_BYTES_MIN} are needed",
            key.len()
        ))),
        _ => Ok(key),
    }
}

fn attempt<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let attempt = u64::deserialize(deserializer)?;
    if attempt <= ATTEMPT_MAX {
        return Ok(attempt);
    }
    Err(D::Error::custom(format_args!("`attempt` is {attempt}, at most {ATTEMPT_MAX} is allowed")))
}

impl std::fmt::Debug for Resume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resume")
            .field("attempt", &self.attempt)
            .field("seen", &self.seen)
            .field("cursors", &self.cursors)
            .finish_non_exhaustive()
    }
}

/// What is told for those who run the gateway. Words of a host may be anything: what does not fit is left out, and the
/// client comes in all the same.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}

/// What software a client is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientInfo {
    /// Name and version of the SDK.
    #[serde(default, deserialize_with = "lenient")]
    pub sdk: String,
    /// The host it runs in.
    #[serde(default, deserialize_with = "lenient")]
    pub platform: String,
    /// The host's version.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// How the connection before ended, for those who run the gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDrop {
    /// One of the causes of section 6.
    #[serde(default, deserialize_with = "lenient")]
    pub cause: String,
    /// The host's raw close code.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// The host's raw reason.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long the client was without a connection, in milliseconds.
    #[serde(default, deserialize_with = "lenient")]
    pub offline_ms: u64,
    /// How many dials it took.
    #[serde(default, deserialize_with = "lenient")]
    pub attempts: u32,
}

/// Body of `subscribe`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Subscribe<'a> {
    /// The channel.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// Where to begin.
    #[serde(default)]
    pub from: ReadFrom,
}

/// Body of `unsubscribe` and `presence`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChannelOnly<'a> {
    /// The channel.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
}

/// Body of `publish`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Publish<'a> {
    /// The channel.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// The payload; any JSON value.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

/// Body of `call`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Call<'a> {
    /// The method's name.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// The payload; any JSON value. Absent is `null`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a RawValue>,
    /// How long the client will wait, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// Body of `history`.
#[derive(Debug, Serialize, Deserialize)]
pub struct History<'a> {
    /// The channel.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// Read forwards from behind this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    /// Read the page that ends before this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Cursor>,
    /// Publications wanted. Default 100. What is no count is taken as the nearest one.
    #[serde(default = "History::limit_default", deserialize_with = "nearest_count")]
    pub limit: usize,
}

impl History<'_> {
    /// Publications on a page when the request does not say.
    #[must_use]
    pub const fn limit_default() -> usize {
        100
    }
}

/// Any number, however large, as the nearest whole one from 0 to 2³² − 1, which is more than any page has.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casting takes the nearest")]
fn nearest_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let text = <&RawValue>::deserialize(deserializer)?.get();
    let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let number = text.parse::<f64>().ok().filter(|_| is_number);
    number
        .map(|number| number.round() as u32 as usize)
        .ok_or_else(|| D::Error::custom("`limit` is no number"))
}

/// Where a page of history begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "`after` is \"start\" or a cursor {epoch, offset, at}")]
pub enum After {
    /// A word: `start`.
    Word(StartWord),
    /// Behind this cursor.
    Cursor(Cursor),
}

/// The word `start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartWord {
    /// The oldest publication that is kept.
    Start,
}

/// Body of `auth`.
#[derive(Serialize, Deserialize)]
pub struct AuthRefresh<'a> {
    /// The new token.
    #[serde(borrow)]
    pub token: Cow<'a, str>,
}

impl std::fmt::Debug for AuthRefresh<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthRefresh(…)")
    }
}

/// Body of `ping`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// How far the app has taken the channels that keep an acknowledged position.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub acks: BTreeMap<String, Cursor>,
}

/// Body of `pause`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Why, for those who read logs.
    #[serde(default)]
    pub reason: String,
}
