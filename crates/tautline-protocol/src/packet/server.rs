//! Packets from the server to the client.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{AnyByeCode, ByeCode, Cursor, ErrorCode, Info, Reconnect, RequestId};

/// One packet from the server.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerPacket<'a> {
    /// The session is open.
    Welcome(Box<Welcome>),
    /// The ticket is invalid: send `hello` again with a login.
    Challenge(Challenge),
    /// The reply to a request: its `ok` body, or the error.
    Reply(RequestId, Result<&'a RawValue, ErrorBody>),
    /// A publication.
    Pub(Publication<'a>),
    /// The log cannot prove what was between two positions.
    Gap(Gap),
    /// The server ended a subscription.
    Unsubscribed(Unsubscribed),
    /// A change of a member's presence in a channel.
    Presence(PresenceKind, PresenceChange),
    /// The answer to a ping.
    Pong(Pong),
    /// A fresh ticket.
    Ticket(Ticket),
    /// The end of the connection. The id names the request at fault, if it could be read.
    Bye(Option<RequestId>, Bye<AnyByeCode>),
    /// A verb unknown to this version, which ignores it.
    Unknown(Cow<'a, str>),
}

/// Body of `welcome` (protocol, section 3).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The session's id.
    pub session: String,
    /// Resumes the session; valid on every node with the same key.
    pub ticket: String,
    /// When the ticket expires, in wall milliseconds.
    pub ticket_expires_at: u64,
    /// True if the session was resumed; false if a new one began.
    pub resumed: bool,
    /// The session's user; absent for guests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// When the login expires, in wall milliseconds; absent for guests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_expires_at: Option<u64>,
    /// The highest request id received in this session; absent if the node does not know it.
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
    /// The name of the node.
    pub node: String,
    /// Every subscribed channel, or the reason why it is not subscribed.
    #[serde(default)]
    pub channels: BTreeMap<String, ChannelWelcome>,
    /// Those of them to which the server subscribed the client because its login says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subs: Vec<String>,
}

/// The result of resuming one channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ChannelWelcome {
    /// The channel is subscribed.
    Subscribed(Subscribed),
    /// The channel may no longer be read.
    Refused {
        /// The reason.
        error: ErrorBody,
    },
}

/// Body of the `ok` of `subscribe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// The epoch of the log.
    pub epoch: String,
    /// The offset of the last publication in the log.
    pub offset: u64,
    /// When it was appended; 0 for a log without publications.
    pub at: u64,
    /// The number of publications up to `offset` that follow.
    pub recovering: u64,
}

/// Body of the `ok` of `publish`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The epoch of the log.
    pub epoch: String,
    /// The publication's offset.
    pub offset: u64,
    /// When it was appended, in wall milliseconds.
    pub at: u64,
}

/// The reason for a refused request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ErrorBody {
    /// Machine-readable.
    pub code: ErrorCode,
    /// Human-readable.
    #[serde(default)]
    pub message: String,
    /// When a retry may succeed, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// With `conflict`: the head of the log at present, where another one was expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Box<Cursor>>,
}

impl ErrorBody {
    /// An error without a retry delay.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None, head: None }
    }
}

/// Body of `challenge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// Why the ticket is invalid.
    pub code: Cow<'static, str>,
    /// Human-readable.
    #[serde(default)]
    pub message: String,
}

/// Body of `pub`: the same bytes for every subscriber.
#[derive(Debug, Serialize, Deserialize)]
pub struct Publication<'a> {
    /// The channel.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// The offset in the log.
    pub offset: u64,
    /// When it was appended, in wall milliseconds.
    pub at: u64,
    /// The payload.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// The publishing user; absent for the back end and for guests.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Cow<'a, str>>,
    /// Labels set by the publisher.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<&'a RawValue>,
}

/// One publication on a page of history.
#[derive(Debug, Serialize, Deserialize)]
pub struct HistoryEntry<'a> {
    /// The offset in the log.
    pub offset: u64,
    /// When it was appended, in wall milliseconds.
    pub at: u64,
    /// The payload.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// The publishing user; absent for the back end and for guests.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Cow<'a, str>>,
    /// Labels set by the publisher.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<&'a RawValue>,
}

/// Body of the `ok` of `history`.
#[derive(Debug, Serialize, Deserialize)]
pub struct HistoryPage<'a> {
    /// The epoch of the log.
    pub epoch: String,
    /// The page, in ascending order of offsets.
    #[serde(borrow)]
    pub publications: Vec<HistoryEntry<'a>>,
    /// True if there is more in the requested direction.
    pub more: bool,
}

/// Why a log cannot prove what was between two positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The publications behind the cursor are deleted.
    Retention,
    /// The log was lost or replaced.
    NewEpoch,
    /// The log is shorter than the cursor.
    Ahead,
    /// The publication at the cursor's offset is a different one.
    Mismatch,
}

/// Body of `gap`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The channel.
    pub channel: String,
    /// The reason.
    pub reason: GapReason,
    /// The offset of the client's cursor.
    pub after: u64,
    /// The position from which reading continues.
    pub cursor: Cursor,
}

/// Body of `unsubscribed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribed {
    /// The channel.
    pub channel: String,
    /// Machine-readable.
    pub code: ErrorCode,
    /// Human-readable.
    #[serde(default)]
    pub message: String,
}

/// A change of a member's presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PresenceKind {
    /// Subscribed.
    Join,
    /// Lost its connection, or paused.
    Away,
    /// Returned within the parking time.
    Back,
    /// Unsubscribed, or did not return.
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
    /// The session's user; absent for guests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The session.
    pub session: String,
    /// What its login says of the user, in a `join`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Info>,
}

/// Body of the `ok` of `presence`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// The first members.
    pub members: Vec<Member>,
    /// The total number of members.
    pub count: usize,
}

/// A member of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The session's user; absent for guests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The session.
    pub session: String,
    /// When it joined, in wall milliseconds.
    pub since: u64,
    /// Whether it is connected.
    pub state: MemberState,
    /// What its login says of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Info>,
}

/// Whether a member is connected.
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
    /// When it expires, in wall milliseconds.
    pub expires_at: u64,
}

/// Body of the `ok` of `auth`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthRefreshed {
    /// When the new authentication expires, in wall milliseconds.
    pub expires_at: u64,
    /// A ticket of the same lifetime.
    pub ticket: String,
}

/// Body of `bye` (protocol, section 7). A client sends it with an empty body.
///
/// A server sends a [`ByeCode`]; a client must accept any code, and reads a `Bye<AnyByeCode>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bye<C = ByeCode> {
    /// The reason.
    pub code: C,
    /// Human-readable.
    #[serde(default)]
    pub message: String,
    /// Whether to reconnect.
    pub reconnect: Reconnect,
    /// When to reconnect, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Beside `taken_over`: the highest attempt that the session has accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
}

impl Bye {
    /// The `bye` for `code`.
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
