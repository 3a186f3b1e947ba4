//! The app on a phone: what it asks, what it is told, and a strict memory of both.
//!
//! Every rule that a client promises to its app is asserted here, at the moment when it would be broken.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tautline_protocol::{
    Cursor, ErrorCode,
    client::{LocalError, PublicationEvent, Settlement},
    packet::server::Gap,
};

/// A request and what became of it.
#[derive(Debug)]
pub struct Asked {
    /// `publish` or `call`.
    pub verb: &'static str,
    /// Text that no other request carries.
    pub payload: String,
    /// How it was settled.
    pub outcome: Option<Outcome>,
}

/// A publication that the app was handed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// In which channel.
    pub channel: String,
    /// Of which epoch of its log.
    pub epoch: String,
    /// Where in the log.
    pub offset: u64,
    /// What it carries.
    pub payload: String,
}

/// How a request was settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was executed.
    Ok,
    /// It was not executed, or nobody knows (`in_doubt`, `timeout`).
    Failed(String),
}

impl Outcome {
    /// True where its session was lost, or whoever executed it.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        matches!(self, Self::Failed(code) if code == "in_doubt")
    }

    /// True where the request may have been executed or not.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        let Self::Failed(code) = self else { return false };
        ["in_doubt", "timeout", "closed", "cancelled"].contains(&code.as_str())
    }
}

/// The app's memory.
#[derive(Debug, Default)]
pub struct App {
    /// Everything it asked, by number.
    pub asked: BTreeMap<u64, Asked>,
    /// Where it stands in each channel, once a subscription was confirmed.
    pub standing: BTreeMap<String, Cursor>,
    /// Every publication, in the order in which it came.
    pub received: Vec<Received>,
    /// Every gap it was told of.
    pub gaps: Vec<Gap>,
}

impl App {
    /// A request went to the session.
    ///
    /// # Panics
    /// When its number was used before.
    pub fn ask(&mut self, request: u64, verb: &'static str, payload: &str) {
        let asked = Asked { verb, payload: payload.to_owned(), outcome: None };
        assert!(self.asked.insert(request, asked).is_none(), "request {request} was numbered twice");
    }

    /// A request was settled.
    ///
    /// # Panics
    /// When it was settled before, or never asked.
    pub fn settled(&mut self, request: u64, settlement: &Settlement) {
        let outcome = match settlement {
            Settlement::Ok(_) => Outcome::Ok,
            Settlement::Refused(error) => Outcome::Failed(error.code.as_str().to_owned()),
            Settlement::Local(local) => Outcome::Failed(LocalError::as_str(*local).to_owned()),
        };
        let asked = self.asked.get_mut(&request).expect("only what was asked is settled");
        assert!(
            asked.outcome.is_none(),
            "request {request} was settled twice: {:?}, then {outcome:?}",
            asked.outcome
        );
        asked.outcome = Some(outcome);
    }

    /// A subscription was confirmed.
    ///
    /// # Panics
    /// When that moved the app without a gap.
    pub fn subscribed(&mut self, channel: &str, cursor: &Cursor) {
        match self.standing.get(channel) {
            None => {
                self.standing.insert(channel.to_owned(), cursor.clone());
            }
            Some(standing) => assert_eq!(
                (&standing.epoch, standing.offset),
                (&cursor.epoch, cursor.offset),
                "confirming {channel} moved the app without a gap"
            ),
        }
    }

    /// A publication was handed over.
    ///
    /// # Panics
    /// When it is not the very next one.
    pub fn publication(&mut self, publication: &PublicationEvent) {
        let PublicationEvent { channel, epoch, offset, at, data, .. } = publication;
        let standing =
            self.standing.get_mut(channel).unwrap_or_else(|| panic!("{channel} is not subscribed"));
        assert_eq!(&standing.epoch, epoch, "{channel}: another epoch without a gap");
        let expected = standing.offset + 1;
        assert!(*offset >= expected, "{channel}: {offset} was handed over twice");
        assert_eq!(*offset, expected, "{channel}: lost {expected}..{offset} without a gap");
        *standing = Cursor { epoch: epoch.clone(), offset: *offset, at: Some(*at) };
        let (channel, epoch) = (channel.clone(), epoch.clone());
        self.received.push(Received { channel, epoch, offset: *offset, payload: payload_of(data) });
    }

    /// A gap was told.
    ///
    /// # Panics
    /// When it does not begin where the app stands.
    pub fn gap(&mut self, gap: &Gap) {
        let standing = self.standing.get_mut(&gap.channel).expect("a gap in a channel that was confirmed");
        assert_eq!(gap.after, standing.offset, "{}: the gap begins elsewhere", gap.channel);
        *standing = gap.cursor.clone();
        self.gaps.push(gap.clone());
    }

    /// A subscription was ended by the server.
    ///
    /// # Panics
    /// Always but for `permission_denied` and `limit`, which a world may provoke.
    pub fn unsubscribed(&mut self, channel: &str, code: &ErrorCode) {
        assert!(
            matches!(code, ErrorCode::PermissionDenied | ErrorCode::Limit),
            "{channel} was ended: {code}"
        );
        self.standing.remove(channel);
    }
}

/// The text that a payload carries.
pub(crate) fn payload_of(data: &RawValue) -> String {
    serde_json::from_str(data.get()).unwrap_or_else(|_| data.get().to_owned())
}
