//! What can happen to a connection once, as opposed to how it is all the time ([`Rules`](crate::Rules)).

use serde::{Deserialize, Serialize};

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

impl Way {
    /// Both of them, for loops.
    pub const BOTH: [Self; 2] = [Self::Up, Self::Down];

    /// The other one.
    #[must_use]
    pub fn back(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// One direction, or the two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Towards the server.
    Up,
    /// Towards the client.
    Down,
    /// Both ways. The default.
    #[default]
    Both,
}

impl Direction {
    /// Whether this names `way`.
    #[must_use]
    pub fn covers(self, way: Way) -> bool {
        matches!((self, way), (Self::Both, _) | (Self::Up, Way::Up) | (Self::Down, Way::Down))
    }
}

/// Something that happens to a connection. The newest fault replaces what an older one still had planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// Both ends see their socket reset (TCP RST) now; what is on its way is lost.
    Cut,
    /// Both ends see the other one close in order (TCP FIN), after what is on its way.
    Fin,
    /// The ends that lie in this direction see a reset (`up`: the server, `down`: the client). An end that is left out is
    /// not told: its socket stays open, and what it sends vanishes. `both` is a [`Fault::Cut`].
    Reset {
        /// Towards which end.
        direction: Direction,
    },
    /// What is sent in this direction vanishes, what is on its way too. Both sockets stay open and nobody is told. When it
    /// ends, a connection that lost something is reset, as a real one is when the two ends meet again; one that lost
    /// nothing goes on.
    HalfOpen {
        /// In which direction bytes vanish.
        direction: Direction,
        /// After how many milliseconds it heals by itself; `None` lasts until it is healed.
        for_ms: Option<u64>,
    },
    /// Nothing passes in this direction, nothing is lost: it arrives when the stall is over. Once the buffer is full the
    /// sender has to wait.
    Stall {
        /// In which direction nothing passes.
        direction: Direction,
        /// How long, in milliseconds; `None` lasts until it is healed.
        for_ms: Option<u64>,
    },
    /// New connections are reset, live ones are left alone. A matter for the [`ConnectGate`](crate::ConnectGate), not for a link.
    Refuse {
        /// How long, in milliseconds; `None` lasts until it is healed.
        for_ms: Option<u64>,
    },
    /// What a mini-program host does when the user looks away: the connection works for a few seconds more, then the host
    /// lets go of it and tells nobody (half-open both ways). Each end may be told later, or never: then the server has to
    /// find out by its ping, and the client by distrusting its socket when it comes back.
    BackgroundKill {
        /// How long the connection still works, in milliseconds. Hosts take 5 000 ([`BACKGROUND_KEEP_MS`]).
        after_ms: u64,
        /// When the server sees a reset, in milliseconds from the kill; `None` is never.
        server_told_ms: Option<u64>,
        /// When the client sees a close, in milliseconds from the kill; `None` is never.
        client_told_ms: Option<u64>,
    },
}

/// How long mini-program hosts keep a connection after the user looked away, in milliseconds.
pub const BACKGROUND_KEEP_MS: u64 = 5_000;

/// The longest time that a fault may name: a day, in milliseconds.
pub const FAULT_MS_MAX: u64 = 24 * 60 * 60 * 1000;

impl Fault {
    /// Half-open both ways until healed.
    #[must_use]
    pub fn half_open() -> Self {
        Self::HalfOpen { direction: Direction::Both, for_ms: None }
    }

    /// Nothing passes either way for a while.
    #[must_use]
    pub fn stall(for_ms: u64) -> Self {
        Self::Stall { direction: Direction::Both, for_ms: Some(for_ms) }
    }

    /// The host lets go after [`BACKGROUND_KEEP_MS`] and never tells anybody.
    #[must_use]
    pub fn background_kill() -> Self {
        Self::BackgroundKill { after_ms: BACKGROUND_KEEP_MS, server_told_ms: None, client_told_ms: None }
    }

    /// Checks the times it names.
    ///
    /// # Errors
    /// A time of more than [`FAULT_MS_MAX`].
    pub fn validate(&self) -> Result<(), FaultError> {
        let times = match *self {
            Self::HalfOpen { for_ms, .. } | Self::Stall { for_ms, .. } | Self::Refuse { for_ms } => {
                [for_ms, None, None]
            }
            Self::BackgroundKill { after_ms, server_told_ms, client_told_ms } => {
                [Some(after_ms), server_told_ms, client_told_ms]
            }
            Self::Cut | Self::Fin | Self::Reset { .. } => [None; 3],
        };
        match times.into_iter().flatten().find(|ms| *ms > FAULT_MS_MAX) {
            Some(ms) => Err(FaultError::TooLong(ms)),
            None => Ok(()),
        }
    }
}

/// A fault that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// It would last longer than a day.
    #[error(
        "a fault of {0} ms is longer than a day ({FAULT_MS_MAX} ms); leave the time out for one without an end"
    )]
    TooLong(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_read_as_they_are_written() {
        for fault in [Fault::Cut, Fault::half_open(), Fault::stall(20), Fault::background_kill()] {
            let text = serde_json::to_string(&fault).unwrap();
            assert_eq!(serde_json::from_str::<Fault>(&text).unwrap(), fault, "{text}");
        }
        assert_eq!(serde_json::to_string(&Fault::Cut).unwrap(), r#"{"fault":"cut"}"#);
    }

    #[test]
    fn fault_longer_than_a_day_is_refused() {
        assert_eq!(Fault::stall(FAULT_MS_MAX).validate(), Ok(()));
        assert_eq!(Fault::stall(FAULT_MS_MAX + 1).validate(), Err(FaultError::TooLong(FAULT_MS_MAX + 1)));
    }
}
