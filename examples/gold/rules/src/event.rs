//! What players and spectators are told.

use serde::{Deserialize, Serialize};

use crate::Settings;

/// One thing that everybody in the room sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number in the room: the first is 1, and each is one more than the one before.
    pub n: u64,
    /// When it happened, in wall milliseconds.
    pub at: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// A turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Its number in the game, from 1.
    pub number: u32,
    /// Whose it is.
    pub seat: u8,
    /// When it passes, in wall milliseconds.
    pub ends_at: u64,
}

/// Why a player is no longer in the game.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leaving {
    /// By the player's own choice.
    Left,
    /// The player was away for longer than [`Settings::SEAT_KEPT_MS`].
    Away,
}

/// Why a game is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All gold is found.
    Found,
    /// Fewer than two players are left.
    Deserted,
    /// Nobody digs any more.
    Idle,
    /// The game never began.
    NotBegun,
    /// What the players were told is not what the server has: the game cannot go on.
    Broken,
}

/// What happened. None of it tells of a cell that is not open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum What {
    /// The room is there.
    Opened {
        /// Its field and seats.
        settings: Settings,
    },
    /// A player has taken a seat.
    Joined {
        /// Which.
        seat: u8,
        /// The player's id.
        player: String,
        /// The player's name.
        name: String,
    },
    /// The game has begun.
    Started {
        /// The first turn.
        turn: Turn,
    },
    /// A player has dug.
    Dug {
        /// Who.
        seat: u8,
        /// Where.
        cell: u16,
        /// All cells that this opened, with their values, in the order in which they open.
        opened: Vec<(u16, u8)>,
        /// Points that it gave.
        points: u32,
        /// The next turn; none when the game is over.
        turn: Option<Turn>,
    },
    /// A turn has passed without a dig.
    Passed {
        /// Whose.
        seat: u8,
        /// The next turn.
        turn: Turn,
    },
    /// A player's phone is out of reach; the seat is kept.
    Away {
        /// Whose.
        seat: u8,
    },
    /// It is in reach again.
    Back {
        /// Whose.
        seat: u8,
    },
    /// A player is no longer in the game.
    Left {
        /// Who.
        seat: u8,
        /// Why.
        why: Leaving,
        /// The next turn, where it was this player's.
        turn: Option<Turn>,
    },
    /// The server was down. Everybody counts as away until seen.
    Resumed {
        /// The turn, which begins anew.
        turn: Option<Turn>,
    },
    /// The game is over.
    Ended {
        /// Why.
        why: Verdict,
    },
}
