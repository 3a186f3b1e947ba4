//! How much the game keeps, and for how long.

/// What one server holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rooms that may be open; beyond it no new one is. Default 10,000.
    pub open_rooms_max: usize,
    /// Open rooms in which a player may have a seat at once. Default 4.
    pub rooms_per_player_max: usize,
    /// Rooms that are over and are kept: a move that is repeated later finds no room. Default 100,000.
    pub rooms_kept_max: u32,
    /// How long they are kept, in milliseconds. Default 7 days.
    pub rooms_kept_ms: u64,
    /// Players whose totals are kept, those who played last; the best of all stay. Default 100,000.
    pub players_kept_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            open_rooms_max: 10_000,
            rooms_per_player_max: 4,
            rooms_kept_max: 100_000,
            rooms_kept_ms: 7 * 24 * 3_600 * 1_000,
            players_kept_max: 100_000,
        }
    }
}
