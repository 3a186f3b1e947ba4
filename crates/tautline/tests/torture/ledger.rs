//! What was asked, what came of it, and whether that is right.

use std::collections::{BTreeMap, BTreeSet};

use tautline_client::RequestError;

use crate::reader::Received;

/// A room's log at the end.
pub struct Log {
    pub epoch: String,
    /// By offset, from 1 on.
    pub publications: Vec<String>,
}

impl Log {
    fn at(&self, offset: u64) -> Option<&str> {
        let index = usize::try_from(offset.checked_sub(1)?).ok()?;
        self.publications.get(index).map(String::as_str)
    }
}

/// A request that has settled.
pub struct Asked {
    payload: String,
    outcome: Outcome,
    attempts: u32,
}

enum Outcome {
    /// Where, of which epoch, at which offset.
    Published(&'static str, String, u64),
    Called,
    Failed(&'static str, String),
}

impl Asked {
    pub fn published(
        room: &'static str,
        payload: String,
        result: Result<(String, u64), RequestError>,
    ) -> Self {
        let outcome = match result {
            Ok((epoch, offset)) => Outcome::Published(room, epoch, offset),
            Err(error) => Outcome::Failed("publish", error.code().to_owned()),
        };
        Self { payload, outcome, attempts: 1 }
    }

    pub fn published_over_http(
        room: &'static str,
        payload: String,
        epoch: String,
        offset: u64,
        attempts: u32,
    ) -> Self {
        Self { payload, outcome: Outcome::Published(room, epoch, offset), attempts }
    }

    pub fn called(payload: String, result: Result<String, RequestError>) -> Self {
        let outcome = match result {
            Ok(answer) if answer == payload => Outcome::Called,
            Ok(answer) => Outcome::Failed("call", format!("answered {answer:?}")),
            Err(error) => Outcome::Failed("call", error.code().to_owned()),
        };
        Self { payload, outcome, attempts: 1 }
    }
}

/// The ledger of a run.
pub struct Ledger {
    /// After a crash the log proves less: a publish may then be in doubt, too.
    relaxed: bool,
    asked: Vec<Asked>,
    faults: Vec<String>,
    taken_back: usize,
}

impl Ledger {
    pub fn of(durability: &str) -> Self {
        Self { relaxed: durability == "relaxed", asked: Vec::new(), faults: Vec::new(), taken_back: 0 }
    }

    pub fn settle(&mut self, asked: Asked) {
        self.asked.push(asked);
    }

    /// Everything that should not have happened.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Holds what phones and back end asked and received against the logs.
    pub fn check(&mut self, logs: &BTreeMap<String, Log>, received: &[Received]) {
        let mut times: BTreeMap<&str, u32> = BTreeMap::new();
        for payload in logs.values().flat_map(|log| &log.publications) {
            *times.entry(payload).or_default() += 1;
        }
        let doubled = times.iter().filter(|(_, count)| **count > 1 && **count as usize != logs.len());
        self.faults.extend(doubled.map(|(payload, count)| format!("{payload} is in the logs {count} times")));
        for Asked { payload, outcome, .. } in &self.asked {
            match outcome {
                Outcome::Published(room, epoch, offset) if *epoch == logs[*room].epoch => {
                    if logs[*room].at(*offset) != Some(payload) {
                        self.faults
                            .push(format!("{payload} was acknowledged and is not at {offset} of {room}"));
                    }
                }
                // Of an epoch that a crash has ended: its readers were sent a gap, as their own records show.
                Outcome::Published(..) => {
                    self.taken_back += usize::from(!times.contains_key(payload.as_str()))
                }
                // Nobody can tell whether a call was made by a process that is gone; what the log can tell, it must.
                Outcome::Failed(verb, code) if code == "in_doubt" && (*verb == "call" || self.relaxed) => {}
                Outcome::Failed(verb, code) => {
                    self.faults.push(format!("{verb} {payload} settled with {code}"))
                }
                Outcome::Called => {}
            }
        }
        for received in received {
            self.check_phone(&logs[received.room], received);
        }
    }

    fn check_phone(&mut self, log: &Log, received: &Received) {
        let Received { phone, room, publications, faults, .. } = received;
        self.faults.extend(faults.iter().map(|fault| format!("phone {phone}, {room}: {fault}")));
        let mut seen = BTreeSet::new();
        for (epoch, offset, payload) in publications {
            if !seen.insert((epoch, payload)) {
                self.faults.push(format!("phone {phone}, {room}: {payload} came twice"));
            }
            if *epoch == log.epoch && log.at(*offset) != Some(payload) {
                self.faults.push(format!("phone {phone}, {room}: something else at {offset}"));
            }
        }
    }

    /// One line about how it went.
    pub fn summary(&self, received: &[Received], logs: &BTreeMap<String, Log>) -> String {
        let mut failed: BTreeMap<&str, u32> = BTreeMap::new();
        for asked in &self.asked {
            if let Outcome::Failed(_, code) = &asked.outcome {
                *failed.entry(code).or_default() += 1;
            }
        }
        let published: usize = logs.values().map(|log| log.publications.len()).sum();
        let deliveries: usize = received.iter().map(|received| received.publications.len()).sum();
        let gaps: usize = received.iter().map(|received| received.gaps).sum();
        let repeated = self.asked.iter().filter(|asked| asked.attempts > 1).count();
        format!(
            "{} requests settled ({repeated} by repeating a key), not well: {failed:?}; {published} publications, \
             {deliveries} deliveries, {gaps} gaps, {} taken back and told; lost, doubled, reordered or wrong: {}",
            self.asked.len(),
            self.taken_back,
            self.faults.len()
        )
    }
}
