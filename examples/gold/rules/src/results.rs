//! What remains of a game that is over.

use crate::{Phase, Verdict, View, view::SeatView};

/// What a game was for one of its players.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GameResult {
    /// The player's id.
    pub player: String,
    /// The player's name.
    pub name: String,
    /// Gold found.
    pub score: u32,
    /// Whether nobody who stayed has found more.
    pub has_won: bool,
}

/// One for each player who was there when the game began; none before its end, and none where nobody has found anything.
pub(crate) fn of(view: &View, has_played: &[bool]) -> Vec<GameResult> {
    let is_good = matches!(view.phase, Phase::Over { why } if why != Verdict::Broken);
    if !is_good || view.seats.iter().all(|seat| seat.score == 0) {
        return Vec::new();
    }
    let stayed = view.seats.iter().filter(|seat| !seat.has_left);
    let best = stayed.map(|seat| seat.score).max().filter(|score| *score > 0);
    let result = |seat: &SeatView| GameResult {
        player: seat.player.clone(),
        name: seat.name.clone(),
        score: seat.score,
        has_won: !seat.has_left && Some(seat.score) == best,
    };
    let played = view.seats.iter().zip(has_played).filter(|(_, has_played)| **has_played);
    played.map(|(seat, _)| result(seat)).collect()
}
