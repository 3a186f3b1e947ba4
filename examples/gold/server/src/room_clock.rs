//! The time of a room: set once, it runs evenly whatever is done to the wall clock.

use std::time::Instant;

use crate::wall_ms;

/// Wall milliseconds at its start, and from there on the time that has passed. A wall clock that is set, or a machine that
/// was asleep, ends nobody's turn and holds none up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoomClock {
    start_ms: u64,
    started: Instant,
}

impl RoomClock {
    /// Does not begin before `last_at`, when the last event of the room happened: the wall clock may have been set back since.
    pub(crate) fn start(last_at: u64) -> Self {
        Self { start_ms: wall_ms().max(last_at), started: Instant::now() }
    }

    pub(crate) fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.started).as_millis();
        self.start_ms.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn clock_that_was_set_back_goes_on_from_the_last_event() {
        let tomorrow = wall_ms() + 24 * 3_600 * 1_000;
        let clock = RoomClock::start(tomorrow);
        assert_eq!(clock.at(clock.started + Duration::from_secs(20)), tomorrow + 20_000);
    }

    #[test]
    fn clock_begins_with_the_time_of_the_wall() {
        let before = wall_ms();
        let clock = RoomClock::start(0);
        assert!((before..=wall_ms()).contains(&clock.at(clock.started)));
    }
}
