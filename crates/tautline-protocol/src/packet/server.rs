//! Packets from the server to the client.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{AnyByeCode, ByeCode, Cursor, ErrorCode, Reconnect, RequestId};

/// One packet from the server.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerPacket<'a> {
    /// The session is open.
    Welcome(Box<Welcome>),
    /// The ticket is no good: say `hello` again with a login.
    Challenge(Challenge),
    /// The answer to a request: its `ok` body, or why not.
    Reply(RequestId, Result<&'a RawValue, ErrorBody>),
    /// A publication.
    Pub(Publication<'a>),
    /// The log cannot prove what lay between two places.
    Gap(Gap),
    /// The server ended a subscription.
    Unsubscribed(Unsubscribed),
    /// Somebody's presence in a channel changed.
    Presence(PresenceKind, PresenceChange),
    /// The answer to a ping.
    Pong(Pong),
    /// A fresh ticket.
    Ticket(Ticket),
    /// The connection ends. The id names the request at fault, where one could be read.
    Bye(Option<RequestId>, Bye<AnyByeCode>),
    /// Something that this version does not know, and ignores.
    Unknown(Cow<'a, str>),
}

/// Body of `welcome` (protocol, section 3).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The session's id.
    pub session: String,
    /// Opens the session again; good on every node with the same key.
    pub ticket: String,
    /// When the ticket stops being good, in wall milliseconds.
    pub ticket_expires_at: u64,
    /// True when the session goes on; false when a new one began.
    pub resumed: bool,
    /// Whose session it is; absent for guests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The highest request id received in this session; absent where the node does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_seen: Option<RequestId>,
    /// See [`crate::Limits::ping_ms`].
    pub ping_ms: u64,
    /// See [`crate::Limits::pong_ms`].
    pub pong_ms: u64,
    /// See [`crate::Limits::park_ms`].
    pub park_ms: u64,
    /// See [`crate::Limits::message_bytes_max`].
    pub max_message_bytes: usize,
    /// The server's wall clock, in milliseconds.
    pub now: u64,
    /// The node that answers.
    pub node: String,
    /// Every channel that is subscribed, or why it is not.
    #[serde(default)]
    pub channels: BTreeMap<String, ChannelWelcome>,
}

/// How one channel was resumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ChannelWelcome {
    /// It is subscribed.
    Subscribed(Subscribed),
    /// It may not be read any more.
    Refused {
        /// Why.
        error: ErrorBody,
    },
}

/// Body of the `ok` of `subscribe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// The log's life.
    pub epoch: String,
    /// The last publication in the log.
    pub offset: u64,
    /// When it was appended; 0 for a log that never had one.
    pub at: u64,
    /// How many publications up to there follow.
    pub recovering: u64,
}

/// Body of the `ok` of `publish`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The log's life.
    pub epoch: String,
    /// The publication's offset.
    pub offset: u64,
    /// When it was appended, in wall milliseconds.
    pub at: u64,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ErrorBody {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// When trying again may help, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ErrorBody {
    /// An error without a hint about time.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None }
    }
}

/// Body of `challenge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// Why the ticket is no good.
    pub code: Cow<'static, str>,
    /// The same in words.
    #[serde(default)]
    pub message: String,
}

/// Body of `pub`: the same bytes for every subscriber.
#[derive(Debug, Serialize, Deserialize)]
pub struct Publication<'a> {
    /// The channel.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// Its place in the log.
    pub offset: u64,
    /// When it was appended, in wall milliseconds.
    pub at: u64,
    /// The payload.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// Which user published it; absent where the back end did, or a guest.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Cow<'a, str>>,
    /// Labels of the publisher's.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<&'a RawValue>,
}

/// One publication on a page of history.
#[derive(Debug, Serialize, Deserialize)]
pub struct HistoryEntry<'a> {
    /// Its place in the log.
    pub offset: u64,
    /// When it was appended, in wall milliseconds.
    pub at: u64,
    /// The payload.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// Which user published it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Cow<'a, str>>,
    /// Labels of the publisher's.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<&'a RawValue>,
}

/// Body of the `ok` of `history`.
#[derive(Debug, Serialize, Deserialize)]
pub struct HistoryPage<'a> {
    /// The log's life.
    pub epoch: String,
    /// The page, offsets rising.
    #[serde(borrow)]
    pub publications: Vec<HistoryEntry<'a>>,
    /// True when there is more in the direction that was asked for.
    pub more: bool,
}

/// Why a log cannot prove what lay between two places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// What followed the cursor is no longer kept.
    Retention,
    /// The log was lost or replaced.
    NewEpoch,
    /// The log is shorter than the cursor.
    Ahead,
    /// The entry at the cursor's offset is another one.
    Mismatch,
}

/// Body of `gap`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The channel.
    pub channel: String,
    /// Why.
    pub reason: GapReason,
    /// The offset that the client's cursor had.
    pub after: u64,
    /// Where it stands now.
    pub cursor: Cursor,
}

/// Body of `unsubscribed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribed {
    /// The channel.
    pub channel: String,
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    #[serde(default)]
    pub message: String,
}

/// What happened to a member of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PresenceKind {
    /// Subscribed.
    Join,
    /// Lost its connection, or paused.
    Away,
    /// Came back within the parking time.
    Back,
    /// Unsubscribed, or did not come back.
    Leave,
}

impl PresenceKind {
    /// The verb on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Away => "away",
            Self::Back => "back",
            Self::Leave => "leave",
        }
    }
}

/// Body of `join`, `away`, `back` and `leave`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceChange {
    /// The channel.
    pub channel: String,
    /// Whose session it is; absent for guests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The session.
    pub session: String,
}

/// Body of the `ok` of `presence`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// The first members.
    pub members: Vec<Member>,
    /// How many there are in all.
    pub count: usize,
}

/// A member of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Whose session it is; absent for guests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The session.
    pub session: String,
    /// When it joined, in wall milliseconds.
    pub since: u64,
    /// Whether it is there right now.
    pub state: MemberState,
}

/// Whether a member is there right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// It has a connection.
    Online,
    /// It is parked.
    Away,
}

/// Body of `pong`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// The server's wall clock, in milliseconds.
    #[serde(default)]
    pub now: u64,
}

/// Body of `ticket`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The ticket.
    pub ticket: String,
    /// When it stops being good, in wall milliseconds.
    pub expires_at: u64,
}

/// Body of the `ok` of `auth`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthRefreshed {
    /// When the new authentication expires, in wall milliseconds.
    pub expires_at: u64,
    /// A ticket that lives as long.
    pub ticket: String,
}

/// Body of `bye` (protocol, section 7). A client says it with an empty body.
///
/// A server says a [`ByeCode`]; a client must be ready for any, and hears a `Bye<AnyByeCode>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bye<C = ByeCode> {
    /// Why.
    pub code: C,
    /// The same in words.
    #[serde(default)]
    pub message: String,
    /// Whether to come back.
    pub reconnect: Reconnect,
    /// When, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Beside `taken_over`: the highest attempt that the session has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
}

impl Bye {
    /// The last word for `code`.
    pub fn new(code: ByeCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            reconnect: code.reconnect(),
            retry_after_ms: None,
            attempt: None,
        }
    }
}
