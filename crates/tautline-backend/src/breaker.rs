//! Stops asking a server that fails, and finds out when it is well again.
//!
//! Start at [`Breaker::begin`] and [`Breaker::end`]. Holds no clock: each call is told the time.

use std::time::Duration;

/// The time over which answers are counted, in slots of a second.
const SLOTS: usize = 10;
const SLOT_MS: u64 = 1_000;
/// Fewer answers than this say nothing.
const ANSWERS_MIN: u32 = 20;
/// How long the server is left alone, and how long a probe may take at least, in milliseconds.
const OPEN_MS: u64 = 5_000;

/// Counts the answers of one server.
#[derive(Debug, Default)]
pub struct Breaker {
    slots: [Slot; SLOTS],
    state: State,
    /// Changes with each state, so that the end of an older attempt is not taken for one of now.
    generation: u64,
    /// How long an answer may take, in milliseconds.
    answer_ms: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// The number of its second.
    second: u64,
    good: u32,
    bad: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Open {
        until_ms: u64,
    },
    /// One attempt finds out whether the server is well. One that has not ended by then has failed.
    Probing {
        until_ms: u64,
    },
}

/// An attempt that may be made. One that ends without a result, such as a request that its client gave up, is
/// not counted.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Attempt(u64);

/// What an answer has changed: worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerChange {
    /// The server is left alone from now on.
    Opened,
    /// The server is well again.
    Closed,
}

impl Breaker {
    /// Of a server whose answers may take so long: a probe that is still running is no failure.
    pub fn with_answers_within(timeout: Duration) -> Self {
        let answer_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        Self { answer_ms, ..Self::default() }
    }

    /// Whether the server is left alone, or tried out by another attempt.
    pub fn is_open(&self, now_ms: u64) -> bool {
        match self.state {
            State::Closed => false,
            State::Open { until_ms } | State::Probing { until_ms } => now_ms < until_ms,
        }
    }

    /// Begins an attempt.
    ///
    /// # Errors
    /// The milliseconds after which another try makes sense: the server is left alone.
    pub fn begin(&mut self, now_ms: u64) -> Result<Attempt, u64> {
        match self.state {
            State::Closed => {}
            State::Open { until_ms } | State::Probing { until_ms } if now_ms < until_ms => {
                return Err(until_ms - now_ms);
            }
            State::Open { .. } | State::Probing { .. } => {
                self.enter(State::Probing { until_ms: now_ms.saturating_add(self.answer_ms.max(OPEN_MS)) });
            }
        }
        Ok(Attempt(self.generation))
    }

    /// An attempt has ended, well or not.
    pub fn end(&mut self, now_ms: u64, attempt: Attempt, is_good: bool) -> Option<BreakerChange> {
        if attempt.0 != self.generation {
            return None;
        }
        match (self.state, is_good) {
            (State::Closed, _) => {
                self.count(now_ms, is_good);
                if is_good || !self.is_failing(now_ms) {
                    return None;
                }
                self.enter(State::Open { until_ms: now_ms + OPEN_MS });
                Some(BreakerChange::Opened)
            }
            (State::Probing { .. }, true) => {
                self.slots = Default::default();
                self.enter(State::Closed);
                Some(BreakerChange::Closed)
            }
            (State::Probing { .. }, false) => {
                self.enter(State::Open { until_ms: now_ms + OPEN_MS });
                None
            }
            (State::Open { .. }, _) => None,
        }
    }

    /// The server has asked to be left alone until then. True: that is news.
    pub fn pause(&mut self, now_ms: u64, until_ms: u64) -> bool {
        match &mut self.state {
            State::Open { until_ms: open_until_ms } if now_ms < *open_until_ms => {
                *open_until_ms = until_ms.max(*open_until_ms);
                false
            }
            _ => {
                self.enter(State::Open { until_ms });
                true
            }
        }
    }

    /// An attempt has ended without a result: where it was the probe, another one may be made at once.
    pub fn give_up(&mut self, attempt: Attempt) {
        if attempt.0 == self.generation && matches!(self.state, State::Probing { .. }) {
            self.enter(State::Open { until_ms: 0 });
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }

    fn count(&mut self, now_ms: u64, is_good: bool) {
        let second = now_ms / SLOT_MS;
        let slot = &mut self.slots[usize::try_from(second % SLOTS as u64).expect("less than SLOTS")];
        if slot.second != second {
            *slot = Slot { second, ..Slot::default() };
        }
        let count = if is_good { &mut slot.good } else { &mut slot.bad };
        *count = count.saturating_add(1);
    }

    /// Half of the answers of the last seconds are bad.
    fn is_failing(&self, now_ms: u64) -> bool {
        let second = now_ms / SLOT_MS;
        let recent = self.slots.iter().filter(|slot| slot.second + SLOTS as u64 > second);
        let (good, bad) = recent.fold((0u32, 0u32), |(good, bad), slot| {
            (good.saturating_add(slot.good), bad.saturating_add(slot.bad))
        });
        good.saturating_add(bad) >= ANSWERS_MIN && bad >= good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(
        breaker: &mut Breaker,
        now_ms: u64,
        goods: impl IntoIterator<Item = bool>,
    ) -> Vec<BreakerChange> {
        let mut changes = Vec::new();
        for good in goods {
            let attempt = breaker.begin(now_ms).unwrap();
            changes.extend(breaker.end(now_ms, attempt, good));
        }
        changes
    }

    fn opened(now_ms: u64) -> Breaker {
        let mut breaker = Breaker::default();
        assert_eq!(answers(&mut breaker, now_ms, [false; 20]), [BreakerChange::Opened]);
        breaker
    }

    #[test]
    fn probe_may_take_as_long_as_an_answer() {
        let mut breaker = Breaker::with_answers_within(Duration::from_secs(30));
        let attempts: Vec<_> = (0..ANSWERS_MIN).map(|_| breaker.begin(0).unwrap()).collect();
        for attempt in attempts {
            breaker.end(0, attempt, false);
        }
        let probe = breaker.begin(OPEN_MS).expect("a probe");
        assert!(breaker.begin(OPEN_MS + 29_999).is_err(), "one is enough");
        assert_eq!(breaker.end(OPEN_MS + 29_999, probe, true), Some(BreakerChange::Closed));
    }

    #[test]
    fn half_of_twenty_bad_answers_open_it() {
        let mut breaker = Breaker::default();
        assert_eq!(answers(&mut breaker, 1_000, [true; 11]), []);
        assert_eq!(answers(&mut breaker, 2_000, [false; 10]), [], "10 of 21 are less than half");
        assert_eq!(answers(&mut breaker, 3_000, [false; 1]), [BreakerChange::Opened]);
        assert_eq!(breaker.begin(3_000).err(), Some(OPEN_MS));
        assert_eq!(breaker.begin(7_999).err(), Some(1));
        assert!(breaker.begin(8_000).is_ok());
    }

    #[test]
    fn few_bad_answers_leave_it_closed() {
        let mut breaker = Breaker::default();
        assert_eq!(answers(&mut breaker, 1_000, [false; 19]), []);
    }

    #[test]
    fn bad_answers_of_long_ago_are_forgotten() {
        let mut breaker = Breaker::default();
        assert_eq!(answers(&mut breaker, 1_000, [false; 19]), []);
        assert_eq!(answers(&mut breaker, 11_000, [false; 19]), []);
        assert_eq!(answers(&mut breaker, 11_999, [false; 1]), [BreakerChange::Opened]);
    }

    #[test]
    fn open_breaker_lets_one_probe_through() {
        let mut breaker = opened(0);
        let probe = breaker.begin(OPEN_MS).unwrap();
        assert_eq!(breaker.begin(OPEN_MS).err(), Some(OPEN_MS), "one is enough");
        assert!(breaker.is_open(OPEN_MS) && !breaker.is_open(2 * OPEN_MS));
        assert_eq!(breaker.end(OPEN_MS, probe, true), Some(BreakerChange::Closed));
        assert_eq!(answers(&mut breaker, OPEN_MS, [false; 19]), [], "and counts from nothing");
    }

    #[test]
    fn failed_probe_opens_it_again() {
        let mut breaker = opened(0);
        let probe = breaker.begin(OPEN_MS).unwrap();
        assert_eq!(breaker.end(OPEN_MS + 100, probe, false), None, "which is said once");
        assert_eq!(breaker.begin(OPEN_MS + 100).err(), Some(OPEN_MS));
    }

    #[test]
    fn probe_that_never_ends_makes_room_for_another() {
        let mut breaker = opened(0);
        let lost = breaker.begin(OPEN_MS).unwrap();
        let next = breaker.begin(2 * OPEN_MS).unwrap();
        assert_eq!(breaker.end(2 * OPEN_MS, lost, true), None, "it is too late");
        assert_eq!(breaker.end(2 * OPEN_MS, next, true), Some(BreakerChange::Closed));
    }

    #[test]
    fn probe_that_is_given_up_leaves_room_at_once() {
        let mut breaker = opened(0);
        let dropped = breaker.begin(OPEN_MS).unwrap();
        breaker.give_up(dropped);
        let next = breaker.begin(OPEN_MS).unwrap();
        breaker.give_up(dropped);
        assert!(breaker.begin(OPEN_MS).is_err(), "the one of before is over");
        assert_eq!(breaker.end(OPEN_MS, next, true), Some(BreakerChange::Closed));
    }

    #[test]
    fn server_that_asks_for_a_pause_is_left_alone_so_long() {
        let mut breaker = Breaker::default();
        let [first, second] = [(); 2].map(|()| breaker.begin(0).unwrap());
        assert!(breaker.pause(100, 60_100));
        assert!(!breaker.pause(200, 30_000), "that is no news, and no shorter pause");
        assert_eq!(breaker.end(300, first, true), None, "nor is an answer of before");
        assert_eq!(breaker.begin(300).err(), Some(59_800));
        assert!(!breaker.pause(400, 90_000), "but a longer one counts");
        breaker.give_up(second);
        assert_eq!(breaker.begin(89_999).err(), Some(1));
        let probe = breaker.begin(90_000).unwrap();
        assert_eq!(breaker.end(90_010, probe, true), Some(BreakerChange::Closed));
    }

    #[test]
    fn attempt_of_before_changes_nothing() {
        let mut breaker = Breaker::default();
        let slow = breaker.begin(0).unwrap();
        assert_eq!(answers(&mut breaker, 0, [false; 20]), [BreakerChange::Opened]);
        let probe = breaker.begin(OPEN_MS).unwrap();
        assert_eq!(breaker.end(OPEN_MS, slow, true), None);
        assert_eq!(breaker.end(OPEN_MS, probe, false), None);
        assert!(breaker.begin(OPEN_MS + 1).is_err());
    }
}
