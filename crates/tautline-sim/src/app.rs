//! The app on a phone: what it asks, what it is told, and a strict memory of both.
//!
//! Every rule that a client promises to its app is asserted here, at the moment when it would be broken. An app that was
//! destroyed goes on as another life of the same memory: what it may be told twice then is written down here as well.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;
use tautline_protocol::{
    Cursor, ErrorCode,
    client::{LocalError, PublicationEvent, Settlement},
    packet::server::{Gap, Published},
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
    /// How it was settled in the eyes of apps that were destroyed before they had forgotten it.
    pub earlier: Vec<Outcome>,
    /// Where a publication stands, as its reply said.
    pub published: Option<Published>,
}

/// A request for a page of the past, and the pages that came.
#[derive(Debug)]
pub(crate) struct Look {
    /// What was asked, in JSON.
    pub(crate) body: String,
    /// When, in monotonic milliseconds.
    pub(crate) asked_ms: u64,
    /// Each page, in JSON, and when it came: one in each life of the app.
    pub(crate) pages: Vec<(u64, String)>,
}

/// A subscription that began with what was published from then on.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) channel: String,
    /// When the app asked for it, in monotonic milliseconds.
    pub(crate) asked_ms: u64,
    /// When it was confirmed.
    pub(crate) confirmed_ms: u64,
    /// Where it began.
    pub(crate) cursor: Cursor,
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
    /// When it was appended.
    pub at: u64,
    /// When the one was appended that it follows, where the app had that one.
    pub follows_at: Option<u64>,
    /// What it carries.
    pub payload: String,
    /// It may have been handed over before.
    pub redelivered: bool,
}

/// How a request was settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was executed.
    Ok,
    /// It was not executed, or nobody knows (`in_doubt`, `timeout`).
    Failed(String),
    /// The app was destroyed, and nothing was left of it on the device.
    Forgotten,
}

impl Outcome {
    /// True where its session was lost, or its executor.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        matches!(self, Self::Failed(code) if code == "in_doubt")
    }

    /// True where the request may have been executed or not.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Ok => false,
            Self::Forgotten => true,
            Self::Failed(code) => ["in_doubt", "timeout", "closed", "cancelled"].contains(&code.as_str()),
        }
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
    /// Requests that wait for their outcome.
    pub waiting: usize,
    /// How far earlier runs of the app had read, where the device still knows of them.
    before: BTreeMap<String, Before>,
    /// Channels in which a gap led back: offsets there mean more than one publication.
    rewound: BTreeSet<String>,
    /// Where the app stood before the last gap, in channels in which nothing was handed over since: the device may still stand
    /// there.
    at_gap: BTreeMap<String, Cursor>,
    /// Every request for a page of the past, by number.
    pub(crate) looks: BTreeMap<u64, Look>,
    /// Every subscription from now on that was confirmed.
    pub(crate) starts: Vec<Start>,
    /// When it asked for subscriptions from now on that are not confirmed yet.
    from_now: BTreeMap<String, u64>,
    /// The device may know where an app before this one was: a subscription then goes on there.
    may_go_on: bool,
}

/// How far an app had come that was destroyed.
#[derive(Debug)]
struct Before {
    /// The last publication that it was handed, or where it began.
    handed: Cursor,
    /// The same, or where the gap ended that it was told of last.
    told: Cursor,
}

impl Before {
    /// True where a life that goes on at `cursor` passes over what this one was not told of.
    fn is_passed_by(&self, cursor: &Cursor) -> bool {
        let reaches = |it: &Cursor| it.epoch == cursor.epoch && cursor.offset <= it.offset;
        let is_of_it = [&self.handed, &self.told].iter().any(|it| it.epoch == cursor.epoch);
        is_of_it && !reaches(&self.handed) && !reaches(&self.told)
    }

    /// True where a publication may have been handed over.
    fn had(&self, epoch: &str, offset: u64) -> bool {
        self.handed.epoch == epoch && offset <= self.handed.offset
    }

    /// What is known after one more life.
    fn or_later(self, later: Self) -> Self {
        let max = |a: Cursor, b: Cursor| if a.epoch == b.epoch && a.offset >= b.offset { a } else { b };
        Self { handed: max(self.handed, later.handed), told: max(self.told, later.told) }
    }
}

impl App {
    /// A request went to the session.
    ///
    /// # Panics
    /// When its number was used before.
    pub fn ask(&mut self, request: u64, verb: &'static str, payload: &str) {
        let payload = payload.to_owned();
        let asked = Asked { verb, payload, outcome: None, earlier: Vec::new(), published: None };
        assert!(self.asked.insert(request, asked).is_none(), "request {request} was numbered twice");
        self.waiting += 1;
    }

    /// A request was settled.
    ///
    /// # Panics
    /// When it was settled before, or never asked.
    pub fn settled(&mut self, request: u64, settlement: &Settlement) {
        let asked = self.asked.get_mut(&request).expect("only what was asked is settled");
        let outcome = match settlement {
            Settlement::Ok(body) => {
                asked.published = serde_json::from_str(body.get()).ok().or(asked.published.take());
                Outcome::Ok
            }
            Settlement::Refused(error) => Outcome::Failed(error.code.as_str().to_owned()),
            Settlement::Local(local) => Outcome::Failed(LocalError::as_str(*local).to_owned()),
        };
        assert!(
            asked.outcome.is_none(),
            "request {request} was settled twice: {:?}, then {outcome:?}",
            asked.outcome
        );
        asked.outcome = Some(outcome);
        self.waiting -= 1;
    }

    /// A page of the past came.
    pub(crate) fn looked(&mut self, request: u64, now_ms: u64, settlement: &Settlement) {
        if let (Some(look), Settlement::Ok(page)) = (self.looks.get_mut(&request), settlement) {
            look.pages.push((now_ms, page.get().to_owned()));
        }
    }

    /// It asks for what is published in a channel from now on.
    pub(crate) fn subscribe_from_now(&mut self, channel: &str, now_ms: u64) {
        if !self.standing.contains_key(channel) && !self.may_go_on {
            self.from_now.entry(channel.to_owned()).or_insert(now_ms);
        }
    }

    /// A subscription was confirmed.
    ///
    /// # Panics
    /// When that moved the app without a gap.
    pub fn subscribed(&mut self, channel: &str, cursor: &Cursor, now_ms: u64) {
        if let Some(asked_ms) = self.from_now.remove(channel) {
            let (channel, cursor) = (channel.to_owned(), cursor.clone());
            self.starts.push(Start { channel, asked_ms, confirmed_ms: now_ms, cursor });
        }
        if let Some(standing) = self.standing.get(channel) {
            return assert_eq!(
                (&standing.epoch, standing.offset),
                (&cursor.epoch, cursor.offset),
                "confirming {channel} moved the app without a gap"
            );
        }
        if let Some(before) = self.before.get(channel) {
            assert!(
                !before.is_passed_by(cursor),
                "{channel}: the app had come to {}, and goes on at {} in silence",
                before.told.offset,
                cursor.offset
            );
        }
        self.standing.insert(channel.to_owned(), cursor.clone());
    }

    /// A publication was handed over.
    ///
    /// # Panics
    /// When it is not the very next one.
    pub fn publication(&mut self, publication: &PublicationEvent) {
        let PublicationEvent { channel, epoch, offset, at, data, redelivered, .. } = publication;
        let standing =
            self.standing.get_mut(channel).unwrap_or_else(|| panic!("{channel} is not subscribed"));
        assert_eq!(&standing.epoch, epoch, "{channel}: another epoch without a gap");
        let expected = standing.offset + 1;
        assert!(*offset >= expected, "{channel}: {offset} was handed over twice");
        assert_eq!(*offset, expected, "{channel}: lost {expected}..{offset} without a gap");
        let had = self.before.get(channel).is_some_and(|before| before.had(epoch, *offset));
        assert!(
            !had || *redelivered,
            "{channel}: {offset} was handed over in an earlier life, and is not marked"
        );
        let follows_at = standing.at;
        self.at_gap.remove(channel);
        *standing = Cursor { epoch: epoch.clone(), offset: *offset, at: Some(*at) };
        self.received.push(Received {
            channel: channel.clone(),
            epoch: epoch.clone(),
            offset: *offset,
            at: *at,
            follows_at,
            payload: payload_of(data),
            redelivered: *redelivered,
        });
    }

    /// A gap was told.
    ///
    /// # Panics
    /// When it does not begin where the app stands.
    pub fn gap(&mut self, gap: &Gap) {
        let standing = self.standing.get_mut(&gap.channel).expect("a gap in a channel that was confirmed");
        // An app without a cursor begins where the gap ends that lies between it and what its user has acknowledged.
        let begins_there = (&gap.cursor.epoch, gap.cursor.offset) == (&standing.epoch, standing.offset);
        assert!(
            gap.after == standing.offset || begins_there,
            "{}: the gap begins elsewhere than at {}: {gap:?}",
            gap.channel,
            standing.offset
        );
        let stood = std::mem::replace(standing, gap.cursor.clone());
        self.at_gap.entry(gap.channel.clone()).or_insert(stood);
        if gap.cursor.offset < gap.after {
            // What stands there now is not what earlier runs had.
            self.before.remove(&gap.channel);
            self.rewound.insert(gap.channel.clone());
        }
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
        self.at_gap.remove(channel);
    }

    /// The app itself ends a subscription.
    pub fn unsubscribe(&mut self, channel: &str) {
        self.standing.remove(channel);
        self.at_gap.remove(channel);
        self.before.remove(channel);
        self.from_now.remove(channel);
    }

    /// The app was destroyed and begins again. `stored`: the requests that its device remembers, if it remembers anything.
    /// `marks`: an offset means one publication in all runs, so a repeated one can be told.
    pub fn begin_again(&mut self, stored: Option<&[u64]>, marks: bool) {
        self.from_now.clear();
        self.may_go_on = stored.is_some();
        for (request, asked) in &mut self.asked {
            if stored.is_some_and(|stored| stored.contains(request)) {
                self.waiting += usize::from(asked.outcome.is_some());
                asked.earlier.extend(asked.outcome.take());
            } else if asked.outcome.is_none() {
                asked.outcome = Some(Outcome::Forgotten);
                self.waiting -= 1;
            }
        }
        let (stood, mut at_gap) = (std::mem::take(&mut self.standing), std::mem::take(&mut self.at_gap));
        if stored.is_none() || !marks {
            return self.before.clear();
        }
        for (channel, told) in stood {
            if self.rewound.contains(&channel) {
                continue;
            }
            let mut before = Before { handed: at_gap.remove(&channel).unwrap_or_else(|| told.clone()), told };
            if let Some(known) = self.before.remove(&channel) {
                before = known.or_later(before);
            }
            self.before.insert(channel, before);
        }
    }
}

/// The text that a payload carries.
pub(crate) fn payload_of(data: &RawValue) -> String {
    payload_of_text(data.get())
}

/// The same, of JSON.
pub(crate) fn payload_of_text(json: &str) -> String {
    serde_json::from_str(json).unwrap_or_else(|_| json.to_owned())
}
