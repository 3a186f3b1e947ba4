//! What happens to a room, and why it may be refused.

use serde::{Deserialize, Serialize};

/// One thing that happens to a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Input {
    /// A player takes a seat. One that has a seat keeps it, and is back.
    Join {
        /// The player's id, which the login has proved.
        player: String,
        /// The name on the screens.
        name: String,
    },
    /// A player begins before all seats are taken.
    Start {
        /// The player.
        player: String,
    },
    /// A player digs. The same dig again changes nothing and is no mistake.
    Dig {
        /// The player.
        player: String,
        /// The turn that the player means to dig in.
        turn: u32,
        /// Where.
        cell: u16,
    },
    /// A player gives the seat up. Doing it again changes nothing and is no mistake.
    Leave {
        /// The player.
        player: String,
    },
    /// A player's phone is out of reach.
    Away {
        /// The player.
        player: String,
    },
    /// It is in reach again.
    Back {
        /// The player.
        player: String,
    },
    /// [`crate::Room::deadline`] has come.
    Tick,
    /// The server was down and is up again. The time that it was down counts against nobody: the turn begins anew, and seats
    /// are kept from now on.
    Restart,
    /// The room's events cannot be published: the game ends.
    BreakOff,
}

/// An input that changed a room, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// In wall milliseconds.
    pub at: u64,
    /// What happened.
    #[serde(flatten)]
    pub input: Input,
}

/// Why an input changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// All seats are taken.
    #[error("all seats are taken")]
    Full,
    /// The game has begun.
    #[error("the game has begun: you may watch it")]
    Begun,
    /// The game has not begun.
    #[error("the game has not begun")]
    NotBegun,
    /// The game is over.
    #[error("the game is over")]
    Over,
    /// Not a player of this room.
    #[error("you have no seat in this room")]
    NoSeat,
    /// Fewer than two players have come.
    #[error("one plays alone: wait for another player")]
    Alone,
    /// A dig out of turn, or in a turn that has passed.
    #[error("it is not your turn")]
    NotYourTurn,
    /// A dig outside of the field.
    #[error("there is no such cell")]
    NoSuchCell,
    /// The cell is open.
    #[error("this cell is open")]
    Open,
    /// A name that no screen can show.
    #[error("a name has 1 to 24 characters")]
    BadName,
}

impl Refusal {
    /// A word for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Begun => "begun",
            Self::NotBegun => "not_begun",
            Self::Over => "over",
            Self::NoSeat => "no_seat",
            Self::Alone => "alone",
            Self::NotYourTurn => "not_your_turn",
            Self::NoSuchCell => "no_such_cell",
            Self::Open => "open",
            Self::BadName => "bad_name",
        }
    }
}
