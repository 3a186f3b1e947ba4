//! What a session leaves on the device: one text, always written as a whole (`spec/client-session.md`, *Storage*).
//!
//! [`Stored::parse`] takes it in, or refuses all of it: half a memory would be worse than none.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::RequestVerb;
use crate::{Cursor, RequestId};

/// The form of the text. A session reads no other.
const VERSION: u64 = 1;

/// The highest number that is stored: half of those that are the same in JavaScript, so that counting on never leaves them.
pub(super) const NUMBER_MAX: u64 = 1 << 52;

/// What to do with the storage, before anything else that the session says.
#[derive(Clone, PartialEq, Eq)]
pub enum Store {
    /// Put this text in place of the last one; all of it or nothing.
    Write(String),
    /// Nothing is to be remembered: remove what is there.
    Clear,
}

/// A stored session. Whoever holds its text holds its ticket.
#[derive(Clone, Serialize, Deserialize)]
pub struct Stored {
    v: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ticket: Option<String>,
    #[serde(default)]
    pub(super) attempt: u64,
    pub(super) next_id: RequestId,
    /// Publications past the cursors may have been handed over before the app was destroyed.
    #[serde(default)]
    pub(super) may_repeat: bool,
    /// The user's own channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) own: Option<String>,
    /// The channels that the gateway had subscribed by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) by_server: Vec<String>,
    pub(super) requests: Vec<StoredRequest>,
    pub(super) cursors: BTreeMap<String, Cursor>,
}

/// A request that was not settled.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredRequest {
    /// The number that it came with.
    pub request: u64,
    /// What was asked: `publish` or `call`.
    pub verb: RequestVerb,
    /// The verb's body, as on the wire.
    pub body: Box<RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<RequestId>,
    /// It was about to be sent, in this session or an earlier one.
    #[serde(default)]
    pub(super) sent: bool,
    /// In wall milliseconds: the monotonic clock ends with the process.
    pub(super) asked_at: u64,
    pub(super) ttl: u64,
    #[serde(default)]
    pub(super) idempotent: bool,
    #[serde(default)]
    pub(super) volatile: bool,
}

/// Why a stored text is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoredError {
    /// A later version of this program wrote it.
    #[error("the stored session is of version {0}, and only {VERSION} is understood; a new one begins")]
    Version(u64),
    /// It is no session at all.
    #[error("the stored session cannot be read; a new one begins")]
    Unreadable(#[from] serde_json::Error),
    /// It contradicts itself.
    #[error("the stored session is damaged, {0}; a new one begins")]
    Damaged(&'static str),
}

impl Stored {
    /// Reads what [`Store::Write`] gave.
    ///
    /// # Errors
    /// [`StoredError`]. The session then begins afresh, with `Input::Restore(None)`.
    pub fn parse(text: &str) -> Result<Self, StoredError> {
        #[derive(Deserialize)]
        struct Version {
            v: u64,
        }
        let Version { v } = serde_json::from_str(text)?;
        if v != VERSION {
            return Err(StoredError::Version(v));
        }
        let stored: Self = serde_json::from_str(text)?;
        stored.check().map_err(StoredError::Damaged)?;
        Ok(stored)
    }

    /// The requests that were not settled. Each will be, under its old number: new ones are numbered above them.
    #[must_use]
    pub fn requests(&self) -> &[StoredRequest] {
        &self.requests
    }

    pub(super) const fn new(next_id: RequestId) -> Self {
        Self {
            v: VERSION,
            ticket: None,
            attempt: 0,
            next_id,
            may_repeat: false,
            own: None,
            by_server: Vec::new(),
            requests: Vec::new(),
            cursors: BTreeMap::new(),
        }
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a stored session is json")
    }

    fn check(&self) -> Result<(), &'static str> {
        let fits = |number: u64| number <= NUMBER_MAX;
        if self.next_id < 1 || !fits(self.next_id) || !fits(self.attempt) {
            return Err("a number is out of range");
        }
        // Ids rise, and those without one come last: they were not sent in this session.
        let mut last = Some(0);
        for (index, it) in self.requests.iter().enumerate() {
            if !(it.verb.at_most_once() && fits(it.request) && fits(it.asked_at) && fits(it.ttl)) {
                return Err("a request cannot be one");
            }
            if self.requests[..index].iter().any(|other| other.request == it.request) {
                return Err("two requests have one number");
            }
            if it.id.is_some_and(|id| last.is_none_or(|last| id <= last) || id >= self.next_id) {
                return Err("ids do not rise");
            }
            last = it.id;
        }
        Ok(())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(text) => write!(f, "Write({} bytes)", text.len()),
            Self::Clear => f.write_str("Clear"),
        }
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempt, next_id, requests, cursors, .. } = self;
        let (requests, cursors) = (requests.len(), cursors.len());
        write!(f, "Stored(attempt {attempt}, next id {next_id}, {requests} requests, {cursors} cursors)")
    }
}

impl fmt::Debug for StoredRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredRequest({} {}, id {:?})", self.verb.as_str(), self.request, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"v":1,"ticket":"secret","attempt":7,"next_id":3,"may_repeat":true,"requests":[
        {"request":1,"verb":"publish","body":{"x":"private"},"id":1,"sent":true,"asked_at":1,"ttl":2},
        {"request":2,"verb":"call","body":null,"id":2,"sent":true,"asked_at":1,"ttl":2},
        {"request":3,"verb":"call","body":null,"asked_at":1,"ttl":2}],
        "cursors":{"room:7":{"epoch":"e","offset":1}}}"#;

    #[test]
    fn a_stored_session_comes_out_as_it_went_in() {
        let stored = Stored::parse(GOOD).unwrap();
        assert_eq!(stored.requests().len(), 3);
        assert_eq!(Stored::parse(&stored.to_text()).unwrap().to_text(), stored.to_text());
    }

    #[test]
    fn whatever_is_damaged_or_newer_is_refused_as_a_whole() {
        let damages = [
            ("\"v\":1", "\"v\":2"),
            ("\"v\":1", "\"v\":\"1\""),
            ("\"next_id\":3", "\"next_id\":0"),
            ("\"next_id\":3", "\"next_id\":2"),
            ("\"next_id\":3", "\"next_id\":4503599627370497"),
            ("\"attempt\":7", "\"attempt\":-7"),
            ("\"id\":2", "\"id\":1"),
            ("\"id\":1", "\"id\":0"),
            ("\"id\":1,", ""),
            ("\"request\":2", "\"request\":1"),
            ("\"request\":2,", ""),
            ("\"publish\"", "\"history\""),
            ("\"ttl\":2", "\"ttl\":null"),
            ("\"offset\":1", "\"offset\":\"1\""),
            ("\"cursors\"", "\"courses\""),
            ("}}}", "}}"),
        ];
        for (whole, damaged) in damages {
            let text = GOOD.replacen(whole, damaged, 1);
            assert_ne!(text, GOOD, "{whole}");
            assert!(Stored::parse(&text).is_err(), "{damaged} was taken");
        }
        for length in (0..GOOD.len()).filter(|at| GOOD.is_char_boundary(*at)) {
            assert!(Stored::parse(&GOOD[..length]).is_err(), "the first {length} bytes were taken");
        }
    }

    #[test]
    fn neither_ticket_nor_payload_is_printed() {
        let stored = Stored::parse(GOOD).unwrap();
        let printed = format!("{stored:?} {:?} {:?}", stored.requests(), Store::Write(stored.to_text()));
        assert!(!printed.contains("secret") && !printed.contains("private"), "{printed}");
    }
}
