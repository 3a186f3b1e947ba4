//! Whether a new connection may come in. One door stands before each group of connections.

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
    /// It waits, unanswered. Ask again when the door changes.
    Hang,
}

/// A door: open unless somebody closed it.
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

    /// Opens the door, whatever closed it.
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
    fn a_door_that_refuses_for_a_while_opens_by_itself() {
        let mut door = ConnectGate::default();
        door.refuse(at(100), Some(50));
        assert_eq!(door.admit(at(149)), Admission::Refuse);
        assert_eq!(door.admit(at(150)), Admission::Admit);
    }

    #[test]
    fn a_door_that_refuses_without_an_end_opens_when_healed() {
        let mut door = ConnectGate::default();
        door.refuse(at(0), None);
        assert_eq!(door.admit(at(1_000_000)), Admission::Refuse);
        door.heal();
        assert_eq!(door.admit(at(1_000_000)), Admission::Admit);
    }

    #[test]
    fn an_unplugged_door_stays_shut_until_it_is_plugged() {
        let mut door = ConnectGate::default();
        door.unplug(Unplugged::Hang);
        assert_eq!(door.admit(at(1_000_000)), Admission::Hang);
        door.unplug(Unplugged::Refuse);
        assert_eq!(door.admit(at(1_000_000)), Admission::Refuse);
        door.plug();
        assert_eq!(door.admit(at(1_000_000)), Admission::Admit);
    }

    #[test]
    fn plugging_does_not_end_a_refusal() {
        let mut door = ConnectGate::default();
        door.refuse(at(0), Some(100));
        door.unplug(Unplugged::Hang);
        door.plug();
        assert_eq!(door.admit(at(50)), Admission::Refuse);
    }
}
