//! Whether a new connection is admitted. Each group of connections has one gate.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Now;

/// What an unplugged network does to new connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unplugged {
    /// They fail at once, as on a phone that knows it has no network. The default.
    #[default]
    Refuse,
    /// They get no answer until the cable is back, as behind a router that lost its uplink.
    Hang,
}

/// What happens to a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It comes in.
    Admit,
    /// It is reset.
    Refuse,
    /// It waits, unanswered. Ask again when the gate changes.
    Hang,
}

/// A gate: open unless it was closed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectGate {
    unplugged: Option<Unplugged>,
    /// The outer `None` is "not refusing", the inner one "until healed".
    refusing_until: Option<Option<Now>>,
}

impl ConnectGate {
    /// What happens to a connection that comes now.
    #[must_use]
    pub fn admit(&self, now: Now) -> Admission {
        match self.unplugged {
            Some(Unplugged::Hang) => Admission::Hang,
            Some(Unplugged::Refuse) => Admission::Refuse,
            None if self.refuses(now) => Admission::Refuse,
            None => Admission::Admit,
        }
    }

    /// Refuses new connections for a while, or until [`heal`](Self::heal).
    pub fn refuse(&mut self, now: Now, for_ms: Option<u64>) {
        self.refusing_until = Some(for_ms.map(|ms| now + Duration::from_millis(ms)));
    }

    /// Pulls the cable. What happens to the connections inside is the caller's to do.
    pub fn unplug(&mut self, unplugged: Unplugged) {
        self.unplugged = Some(unplugged);
    }

    /// Puts the cable back. A refusal that was asked for besides goes on.
    pub fn plug(&mut self) {
        self.unplugged = None;
    }

    /// Opens the gate, whatever closed it.
    pub fn heal(&mut self) {
        *self = Self::default();
    }

    /// How the cable is pulled, if it is.
    #[must_use]
    pub fn unplugged(&self) -> Option<Unplugged> {
        self.unplugged
    }

    /// Whether a [`refuse`](Self::refuse) is still in force.
    #[must_use]
    pub fn refuses(&self, now: Now) -> bool {
        self.refusing_until.is_some_and(|until| until.is_none_or(|until| now < until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now::from_millis(ms)
    }

    #[test]
    fn gate_refusing_for_a_time_reopens() {
        let mut gate = ConnectGate::default();
        gate.refuse(at(100), Some(50));
        assert_eq!(gate.admit(at(149)), Admission::Refuse);
        assert_eq!(gate.admit(at(150)), Admission::Admit);
    }

    #[test]
    fn gate_refusing_forever_reopens_when_healed() {
        let mut gate = ConnectGate::default();
        gate.refuse(at(0), None);
        assert_eq!(gate.admit(at(1_000_000)), Admission::Refuse);
        gate.heal();
        assert_eq!(gate.admit(at(1_000_000)), Admission::Admit);
    }

    #[test]
    fn unplugged_gate_admits_only_after_plug() {
        let mut gate = ConnectGate::default();
        gate.unplug(Unplugged::Hang);
        assert_eq!(gate.admit(at(1_000_000)), Admission::Hang);
        gate.unplug(Unplugged::Refuse);
        assert_eq!(gate.admit(at(1_000_000)), Admission::Refuse);
        gate.plug();
        assert_eq!(gate.admit(at(1_000_000)), Admission::Admit);
    }

    #[test]
    fn plugging_does_not_end_a_refusal() {
        let mut gate = ConnectGate::default();
        gate.refuse(at(0), Some(100));
        gate.unplug(Unplugged::Hang);
        gate.plug();
        assert_eq!(gate.admit(at(50)), Admission::Refuse);
    }
}
