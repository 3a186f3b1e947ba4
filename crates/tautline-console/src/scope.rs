//! What an account may do.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What an account may do. Each has what the ones before have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsoleScope {
    /// Sees everything.
    Read,
    /// Publishes, ends sessions, connections and subscriptions, commands webhooks, traces.
    Act,
    /// Bans, revokes, forgets, drains.
    Admin,
}

impl ConsoleScope {
    /// All of them, the least one first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Act, Self::Admin];

    /// The name in options, answers and problems.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Act => "act",
            Self::Admin => "admin",
        }
    }

    /// This one and those that it has.
    pub(crate) fn contained(self) -> Vec<&'static str> {
        Self::ALL.into_iter().filter(|scope| *scope <= self).map(Self::as_str).collect()
    }
}

impl fmt::Display for ConsoleScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ConsoleScope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        known.ok_or_else(|| format!("{text:?} is no scope: write read, act or admin"))
    }
}
