//! What a request is made of, and what comes back.

use std::time::Duration;

use serde_json::value::RawValue;
use tautline_protocol::{
    Cursor,
    packet::client::{After, StartWord},
};

use crate::handle_events::HandleEvents;

/// How a request may be treated. `Default` suits most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestOptions {
    /// How long to wait for the answer. Default: `request_ttl_ms` of the session's options, 30 s.
    pub timeout: Option<Duration>,
    /// Executing it twice does no harm: where the session was lost it is sent again rather than left in doubt.
    pub idempotent: bool,
    /// May be dropped unsent where the outbox is full and its policy says so.
    pub volatile: bool,
    /// Of a publication: subscriptions of this client do not hear it, while its session lasts; everybody else does.
    pub without_echo: bool,
}

/// Where a page of history lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HistoryPlace {
    /// At the end of the log. The default.
    #[default]
    Newest,
    /// At its beginning.
    Oldest,
    /// Behind a cursor, forwards.
    After(Cursor),
    /// Just before a cursor.
    Before(Cursor),
}

/// A page of a channel's log.
#[derive(Debug, serde::Deserialize)]
pub struct HistoryPage {
    /// Which life of the log this is.
    pub epoch: String,
    /// The publications, offsets rising.
    pub publications: Vec<HistoryEntry>,
    /// True when there is more in the direction that was asked for.
    pub more: bool,
}

/// One publication on a page of history.
#[derive(Debug, serde::Deserialize)]
pub struct HistoryEntry {
    /// Its place in the log.
    pub offset: u64,
    /// When it was appended, in wall milliseconds.
    pub at: u64,
    /// The payload.
    pub data: Box<RawValue>,
    /// Which user published it.
    #[serde(default)]
    pub from: Option<String>,
    /// Labels of the publisher's.
    #[serde(default)]
    pub tags: Option<Box<RawValue>>,
}

impl HistoryPlace {
    /// As `history` says it: `after` and `before`.
    pub(crate) fn into_body(self) -> (Option<After>, Option<Cursor>) {
        match self {
            Self::Newest => (None, None),
            Self::Oldest => (Some(After::Word(StartWord::Start)), None),
            Self::After(cursor) => (Some(After::Cursor(cursor)), None),
            Self::Before(cursor) => (None, Some(cursor)),
        }
    }
}

/// A request whose future is dropped has nobody waiting for it: if it was not sent yet, it need not be.
pub(crate) struct Waiting<'a> {
    pub handle_events: &'a HandleEvents,
    pub request: u64,
    pub is_settled: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            self.handle_events.cancelled(self.request);
        }
    }
}
