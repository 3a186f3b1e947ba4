//! What was asked, what came of it, and whether that is right.

use std::collections::BTreeMap;

use tautline_client::RequestError;

use crate::{reader::Received, rig::Executed};

/// Everything that was ever published in a room; offsets begin at 1.
#[derive(Debug, Default)]
pub struct Log(Vec<String>);

impl Log {
    /// # Panics
    /// When the log itself has a hole.
    pub fn push(&mut self, offset: u64, payload: String) {
        self.0.push(payload);
        assert_eq!(self.0.len() as u64, offset, "the log itself has a hole");
    }

    pub fn last(&self) -> Option<&String> {
        self.0.last()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    fn at(&self, offset: u64) -> Option<&str> {
        let index = usize::try_from(offset.checked_sub(1)?).ok()?;
        self.0.get(index).map(String::as_str)
    }
}

/// A request that has settled.
pub struct Asked {
    payload: String,
    /// The room, and the offset that the answer named; none for a call.
    published: Option<(&'static str, Option<u64>)>,
    /// The error's code; none where it went well.
    error: Option<String>,
}

impl Asked {
    pub fn publish(room: &'static str, payload: String, result: Result<u64, RequestError>) -> Self {
        let published = Some((room, result.as_ref().ok().copied()));
        Self { published, ..Self::new(payload, result.err()) }
    }

    pub fn call(payload: String, result: Result<String, RequestError>) -> Self {
        let wrong = result.as_ref().ok().filter(|answer| **answer != payload);
        let error = wrong.map(|answer| format!("answered {answer:?}"));
        let asked = Self::new(payload, result.err());
        Self { error: error.or(asked.error), ..asked }
    }

    fn new(payload: String, error: Option<RequestError>) -> Self {
        let error = error.map(|error| error.code().to_owned());
        Self { payload, published: None, error }
    }
}

/// The ledger of a run.
#[derive(Default)]
pub struct Ledger {
    asked: Vec<Asked>,
    faults: Vec<String>,
}

impl Ledger {
    pub fn settle(&mut self, asked: Asked) {
        self.asked.push(asked);
    }

    /// Everything that should not have happened.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Holds what phones asked and received against what the gateway did.
    pub fn check(&mut self, logs: &BTreeMap<String, Log>, received: &[Received], executed: &Executed) {
        let mut done = executed.clone();
        for payload in logs.values().flat_map(|log| &log.0) {
            *done.entry(payload.clone()).or_default() += 1;
        }
        for asked in &self.asked {
            let Asked { payload, published, error } = asked;
            let times = done.get(payload).copied().unwrap_or(0);
            // Sessions outlast the storm and no method gives up: nothing is left in doubt, nothing refused.
            if times != 1 || error.is_some() {
                self.faults.push(format!("{payload} was executed {times} times and settled with {error:?}"));
            }
            if let Some((room, Some(offset))) = published
                && logs[*room].at(*offset) != Some(payload)
            {
                self.faults.push(format!("{payload} is not at {offset} of {room}"));
            }
        }
        for Received { phone, room, publications, faults, .. } in received {
            self.faults.extend(faults.iter().map(|fault| format!("phone {phone}, {room}: {fault}")));
            for (_, offset, payload) in publications {
                if logs[*room].at(*offset) != Some(payload) {
                    self.faults.push(format!("phone {phone}, {room}: something else at {offset}"));
                }
            }
        }
    }

    /// One line about how it went.
    pub fn summary(&self, received: &[Received], logs: &BTreeMap<String, Log>) -> String {
        let mut errors: BTreeMap<&str, u32> = BTreeMap::new();
        for error in self.asked.iter().filter_map(|asked| asked.error.as_deref()) {
            *errors.entry(error).or_default() += 1;
        }
        let published: usize = logs.values().map(Log::len).sum();
        let deliveries: usize = received.iter().map(|received| received.publications.len()).sum();
        let gaps: usize = received.iter().map(|received| received.gaps).sum();
        format!(
            "{} requests settled, not well: {errors:?}; {published} publications, {deliveries} deliveries, {gaps} gaps; \
             lost, doubled, reordered or wrong: {}",
            self.asked.len(),
            self.faults.len()
        )
    }
}
