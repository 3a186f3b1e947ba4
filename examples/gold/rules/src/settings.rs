//! What can be chosen about a room.

use serde::{Deserialize, Serialize};

/// The size of a room's field, and how many play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Cells in a row, 4 to 16. Default 10.
    pub width: u16,
    /// Rows, 4 to 16. Default 10.
    pub height: u16,
    /// Cells with gold: at least 1, at most half of all. Default 20.
    pub gold: u16,
    /// Players, 2 to 4; the game begins when so many have come. Default 2.
    pub seats: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self { width: 10, height: 10, gold: 20, seats: 2 }
    }
}

/// Settings that no room can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSettings {
    /// The field is too small, or too large for a phone.
    #[error("a field has 4 to 16 rows of 4 to 16 cells")]
    Size,
    /// Too little gold, or too much.
    #[error("gold is in one cell at least, and in half of them at most")]
    Gold,
    /// Too few players, or too many.
    #[error("2 to 4 play")]
    Seats,
}

impl Settings {
    /// How long a turn lasts, in milliseconds.
    pub const TURN_MS: u64 = 20_000;
    /// How long the seat of an absent player is kept, in milliseconds.
    pub const SEAT_KEPT_MS: u64 = 120_000;
    /// How long a room waits for its players after the last one came or went, in milliseconds.
    pub const WAIT_MS: u64 = 600_000;
    /// Rounds in which nobody digs, after which the game ends.
    pub const IDLE_ROUNDS_MAX: u32 = 5;
    /// Characters of a player's name.
    pub const NAME_CHARS_MAX: usize = 24;

    /// # Errors
    /// [`BadSettings`] names the first that is out of its range.
    pub fn check(&self) -> Result<(), BadSettings> {
        if ![self.width, self.height].iter().all(|side| (4..=16).contains(side)) {
            return Err(BadSettings::Size);
        }
        if self.gold == 0 || self.gold > self.width * self.height / 2 {
            return Err(BadSettings::Gold);
        }
        if (2..=4).contains(&self.seats) { Ok(()) } else { Err(BadSettings::Seats) }
    }

    /// Cells of the field.
    #[must_use]
    pub fn cells(&self) -> u16 {
        self.width * self.height
    }
}
