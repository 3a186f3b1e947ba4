//! Packets from the client to the server.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _},
};
use serde_json::value::RawValue;

use crate::{
    Cursor, ReadFrom, RequestId,
    limits::{ATTEMPT_MAX, KEY_BYTES_MIN, REQUEST_ID_MAX},
};

/// One packet from a client.
#[derive(Debug)]
pub struct ClientPacket<'a> {
    /// The request's id; none on packets without a reply.
    pub id: Option<RequestId>,
    /// The highest id up to which the client has settled everything.
    pub seen: Option<RequestId>,
    /// True when the request was sent before, on an earlier connection.
    pub again: bool,
    /// The verb with its body.
    pub verb: Verb<'a>,
}

/// The verbs of a client.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verb<'a> {
    /// The first packet of a connection.
    Hello(Box<Hello>),
    /// A request, which gets a reply.
    Request(Request<'a>),
    /// A request whose verb is known and whose body does not match it.
    BadRequest(String),
    /// A heartbeat, with the app's acknowledged positions.
    Ping(Ping),
    /// The client goes away on purpose and will return.
    Pause(Pause),
    /// Ends the session.
    Bye,
    /// A verb unknown to this version.
    Unknown(Cow<'a, str>),
}

/// The requests, which get a reply.
#[derive(Debug)]
pub enum Request<'a> {
    /// Read a channel from a position on.
    Subscribe(Subscribe<'a>),
    /// Stop reading a channel.
    Unsubscribe(ChannelOnly<'a>),
    /// Append to a channel.
    Publish(Publish<'a>),
    /// Call a method of the back end.
    Call(Call<'a>),
    /// Read a page of a channel's log.
    History(History<'a>),
    /// List the subscribers of a channel.
    Presence(ChannelOnly<'a>),
    /// Refresh the authentication.
    Auth(Auth),
}

impl Request<'_> {
    /// True for verbs that are executed at most once per id (protocol, section 4).
    #[must_use]
    pub const fn at_most_once(&self) -> bool {
        matches!(self, Self::Publish(_) | Self::Call(_))
    }
}

/// Opens a connection (protocol, section 3).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol version.
    pub v: u32,
    /// Generated randomly by the client for each new session: a repeated first hello opens the same session.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "session_key")]
    pub key: Option<String>,
    /// The client's login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// The session to resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// The client's software.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientInfo>,
    /// Why the previous connection ended, as the client saw it.
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
    /// A login code issued by a host.
    Code {
        /// The code.
        code: String,
        /// The host that issued it.
        provider: String,
    },
    /// No login.
    Guest {
        /// Always true: a guest must be explicit.
        guest: bool,
    },
}

impl std::fmt::Debug for Auth {
    // Keep secrets out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Token { .. } => "Token(…)",
            Self::Code { .. } => "Code(…)",
            Self::Guest { .. } => "Guest",
        })
    }
}

/// Resumes a session.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// The last ticket issued.
    pub ticket: String,
    /// Rises with every dial of the session; the highest wins. At most [`ATTEMPT_MAX`].
    #[serde(deserialize_with = "attempt")]
    pub attempt: u64,
    /// As beside any verb: all requests up to this id are settled.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "resume_seen")]
    pub seen: Option<RequestId>,
    /// The channels to subscribe to, each from its cursor.
    #[serde(default)]
    pub cursors: BTreeMap<String, Cursor>,
}

fn resume_seen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RequestId>, D::Error> {
    let seen = Option::<RequestId>::deserialize(deserializer)?;
    match seen {
        Some(seen) if seen > REQUEST_ID_MAX => {
            Err(D::Error::custom(format_args!("`seen` is {seen}, at most {REQUEST_ID_MAX} is allowed")))
        }
        _ => Ok(seen),
    }
}

fn session_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let key = Option::<String>::deserialize(deserializer)?;
    match &key {
        // The key is not quoted: it opens a session.
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

/// Reads diagnostic fields leniently. A host's strings may be anything: invalid values are dropped, and the
/// hello succeeds regardless.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}

/// The client's software.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// How the previous connection ended, for the operators of the gateway.
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
    /// How long the client was offline, in milliseconds.
    #[serde(default, deserialize_with = "lenient")]
    pub offline_ms: u64,
    /// The number of dials until this connection.
    #[serde(default, deserialize_with = "lenient")]
    pub attempts: u32,
}

/// Body of `subscribe`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Subscribe<'a> {
    /// The channel.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// The position to read from.
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
    /// False: clients of this session do not hand it to their app. Absent is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<bool>,
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
    /// How long the client waits, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// Body of `history`.
#[derive(Debug, Serialize, Deserialize)]
pub struct History<'a> {
    /// The channel.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// Read forwards from behind this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    /// Read the page that ends before this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Cursor>,
    /// Maximum number of publications. Default 100. An invalid count is rounded to the nearest valid one.
    #[serde(default = "History::limit_default", deserialize_with = "nearest_count")]
    pub limit: usize,
}

impl History<'_> {
    /// Publications per page if the request has no `limit`.
    #[must_use]
    pub const fn limit_default() -> usize {
        100
    }
}

/// Rounds any number to the nearest integer from 0 to 2³² − 1, which exceeds every page.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casting takes the nearest")]
fn nearest_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let text = <&RawValue>::deserialize(deserializer)?.get();
    let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let number = text.parse::<f64>().ok().filter(|_| is_number);
    number
        .map(|number| number.round() as u32 as usize)
        .ok_or_else(|| D::Error::custom("`limit` is no number"))
}

/// The start of a page of history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "`after` is \"start\" or a cursor {epoch, offset, at}")]
pub enum After {
    /// The word `start`.
    Word(StartWord),
    /// Behind this cursor.
    Cursor(Cursor),
}

/// The word `start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartWord {
    /// The oldest publication kept.
    Start,
}

/// Body of `ping`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// The app's positions in channels that keep acknowledged ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub acks: BTreeMap<String, Cursor>,
}

/// Body of `pause`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The reason, for logs.
    #[serde(default)]
    pub reason: String,
}
