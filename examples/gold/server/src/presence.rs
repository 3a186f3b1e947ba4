//! Who is away: players whose phones are not in the room's channel.

use tautline_gold_rules::{Input, SeatView, Settings};

/// Looks, a second apart, in which a player may be missing: between the call that joins and the subscription, and while a
/// page is loaded anew.
const MISSED_LOOKS_MAX: u8 = 3;

/// What a look at the channel's roster has found of a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Online,
    /// Its connection is gone, and its session is kept.
    Parked,
    Missing,
}

/// Counts looks in which a player was missing.
#[derive(Debug, Default)]
pub(crate) struct Attendance {
    missed: Vec<u8>,
}

impl Attendance {
    /// The inputs that follow from a look.
    pub(crate) fn look(&mut self, seats: &[SeatView], seen: impl Fn(&str) -> Seen) -> Vec<Input> {
        self.missed.resize(seats.len(), 0);
        let mut inputs = Vec::new();
        for (seat, missed) in seats.iter().zip(&mut self.missed).filter(|(seat, _)| !seat.has_left) {
            let player = seat.player.clone();
            let seen = seen(&player);
            *missed = if seen == Seen::Missing { missed.saturating_add(1) } else { 0 };
            match seen {
                Seen::Online if seat.is_away => inputs.push(Input::Back { player }),
                Seen::Online => {}
                Seen::Missing if *missed < MISSED_LOOKS_MAX => {}
                Seen::Parked | Seen::Missing if !seat.is_away => inputs.push(Input::Away { player }),
                Seen::Parked | Seen::Missing => {}
            }
        }
        inputs
    }
}

// The server remembers a parked session for as long as the game keeps its seat.
const _: () = assert!(Settings::SEAT_KEPT_MS == 120_000);

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(is_away: bool) -> Vec<SeatView> {
        let seat = |player: &str, has_left| SeatView {
            player: player.into(),
            name: player.into(),
            score: 0,
            is_away,
            has_left,
        };
        vec![seat("ann", false), seat("bo", true)]
    }

    #[test]
    fn player_is_away_after_three_missed_looks() {
        let mut attendance = Attendance::default();
        let mut look = |seen| attendance.look(&seats(false), |_| seen);
        assert_eq!(look(Seen::Missing), []);
        assert_eq!(look(Seen::Missing), []);
        assert_eq!(look(Seen::Online), []);
        assert_eq!(look(Seen::Missing), []);
        assert_eq!(look(Seen::Missing), []);
        assert_eq!(look(Seen::Missing), [Input::Away { player: "ann".into() }]);
    }

    #[test]
    fn parked_player_is_away_at_once_and_back_when_online() {
        let mut attendance = Attendance::default();
        assert_eq!(attendance.look(&seats(false), |_| Seen::Parked), [Input::Away { player: "ann".into() }]);
        assert_eq!(attendance.look(&seats(true), |_| Seen::Parked), []);
        assert_eq!(attendance.look(&seats(true), |_| Seen::Online), [Input::Back { player: "ann".into() }]);
    }
}
