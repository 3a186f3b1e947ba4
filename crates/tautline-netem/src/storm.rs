//! A seeded schedule of random faults, for soak tests.
//! Start at [`Storm::new`]; a storm is an iterator of [`ScheduledFault`]s, the same ones for the same seed.

use serde::{Deserialize, Serialize};

use crate::{BACKGROUND_KEEP_MS, Direction, FAULT_MS_MAX, Fault, Now, Rng};

/// How long a storm lasts, how often faults come, and of which kinds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StormPlan {
    /// How long it lasts, in milliseconds. Default 180 000, at most a day.
    pub lasts_ms: u64,
    /// The shortest pause between two faults, in milliseconds, at least 1. Default 100.
    pub every_ms_least: u64,
    /// The longest pause between two faults, in milliseconds. Default 1 000.
    pub every_ms_most: u64,
    /// The shortest time that a stall, a half-open or a refusal lasts, in milliseconds. Default 200.
    pub fault_ms_least: u64,
    /// The longest time that a stall, a half-open or a refusal lasts, in milliseconds. Default 8 000.
    pub fault_ms_most: u64,
    /// The probability that a fault hits everybody rather than one connection. Default 0.02.
    pub everybody: f64,
    /// How often each kind of fault comes.
    pub weights: Weights,
}

impl Default for StormPlan {
    fn default() -> Self {
        Self {
            lasts_ms: 180_000,
            every_ms_least: 100,
            every_ms_most: 1_000,
            fault_ms_least: 200,
            fault_ms_most: 8_000,
            everybody: 0.02,
            weights: Weights::default(),
        }
    }
}

/// How often each kind of fault comes, against the others; 0 is never.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// [`Fault::Cut`]. Default 6.
    pub cut: u32,
    /// [`Fault::Fin`]. Default 2.
    pub fin: u32,
    /// [`Fault::Reset`] of one end. Default 2.
    pub reset: u32,
    /// [`Fault::HalfOpen`]. Default 4.
    pub half_open: u32,
    /// [`Fault::Stall`]. Default 4.
    pub stall: u32,
    /// [`Fault::Refuse`]. Default 1.
    pub refuse: u32,
    /// [`Fault::BackgroundKill`]. Default 2.
    pub background_kill: u32,
}

impl Default for Weights {
    fn default() -> Self {
        Self { cut: 6, fin: 2, reset: 2, half_open: 4, stall: 4, refuse: 1, background_kill: 2 }
    }
}

impl StormPlan {
    /// Checks the plan against its bounds.
    ///
    /// # Errors
    /// The first thing about it that cannot be.
    pub fn validate(&self) -> Result<(), StormError> {
        let spans = [
            ("every_ms", self.every_ms_least, self.every_ms_most),
            ("fault_ms", self.fault_ms_least, self.fault_ms_most),
        ];
        for (name, least, most) in spans {
            if least == 0 || least > most || most > FAULT_MS_MAX {
                return Err(StormError::Span { name, least, most });
            }
        }
        if self.lasts_ms > FAULT_MS_MAX {
            return Err(StormError::TooLong(self.lasts_ms));
        }
        if !(0.0..=1.0).contains(&self.everybody) {
            return Err(StormError::NoProbability(self.everybody));
        }
        if self.weights.total() == 0 {
            return Err(StormError::NoWeight);
        }
        Ok(())
    }
}

/// A plan that makes no storm.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StormError {
    /// A span that is empty, starts at 0, or ends after more than a day.
    #[error("{name}_least {least} and {name}_most {most} must be from 1 to {FAULT_MS_MAX}, the least first")]
    Span {
        /// What the two bounds have in common.
        name: &'static str,
        /// The lower bound, in milliseconds.
        least: u64,
        /// The upper bound, in milliseconds.
        most: u64,
    },
    /// It would last more than a day.
    #[error("a storm of {0} ms is longer than a day ({FAULT_MS_MAX} ms)")]
    TooLong(u64),
    /// `everybody` is no probability.
    #[error("everybody is {0}; it is a probability from 0 to 1")]
    NoProbability(f64),
    /// Nothing to choose from.
    #[error("all weights are 0; give at least one kind of fault a weight")]
    NoWeight,
}

/// One fault of a storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduledFault {
    /// When, from the start of the storm.
    pub at: Now,
    /// What happens.
    pub fault: Fault,
    /// To whom.
    pub reach: Reach,
}

/// Which connections a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// One connection: of those alive at the time, the one at this number modulo their count.
    One(u64),
    /// Every connection.
    Everybody,
}

impl Reach {
    /// Which part of `alive` is hit, in the order given; that order has to be a stable one for the storm to be repeatable.
    #[must_use]
    pub fn among<T>(self, alive: &[T]) -> &[T] {
        match self {
            Self::Everybody => alive,
            Self::One(_) if alive.is_empty() => alive,
            Self::One(pick) => {
                let index =
                    usize::try_from(pick % alive.len() as u64).expect("an index is smaller than a length");
                &alive[index..=index]
            }
        }
    }
}

/// The faults of one storm, in order.
#[derive(Debug, Clone)]
pub struct Storm {
    plan: StormPlan,
    rng: Rng,
    at_ms: u64,
}

impl Storm {
    /// The storm that belongs to `seed`.
    ///
    /// # Errors
    /// What [`StormPlan::validate`] says.
    pub fn new(seed: u64, plan: StormPlan) -> Result<Self, StormError> {
        plan.validate()?;
        Ok(Self { plan, rng: Rng::seeded(seed), at_ms: 0 })
    }

    fn fault(&mut self) -> Fault {
        let kind = self.rng.below(self.plan.weights.total());
        let direction = match self.rng.below(3) {
            0 => Direction::Up,
            1 => Direction::Down,
            _ => Direction::Both,
        };
        let for_ms = Some(self.rng.between(self.plan.fault_ms_least, self.plan.fault_ms_most));
        let (server_told_ms, client_told_ms) = (self.told_ms(), self.told_ms());
        let faults = [
            Fault::Cut,
            Fault::Fin,
            Fault::Reset { direction },
            Fault::HalfOpen { direction, for_ms },
            Fault::Stall { direction, for_ms },
            Fault::Refuse { for_ms },
            Fault::BackgroundKill { after_ms: BACKGROUND_KEEP_MS, server_told_ms, client_told_ms },
        ];
        faults[self.plan.weights.pick(kind)]
    }

    /// Half of the ends are never told.
    fn told_ms(&mut self) -> Option<u64> {
        let told_ms = self.rng.between(self.plan.fault_ms_least, self.plan.fault_ms_most);
        self.rng.chance(0.5).then_some(told_ms)
    }
}

impl Iterator for Storm {
    type Item = ScheduledFault;

    fn next(&mut self) -> Option<ScheduledFault> {
        self.at_ms += self.rng.between(self.plan.every_ms_least, self.plan.every_ms_most);
        if self.at_ms > self.plan.lasts_ms {
            // Stays over, however often it is asked again.
            self.at_ms = self.plan.lasts_ms;
            return None;
        }
        let fault = self.fault();
        let everybody = self.rng.chance(self.plan.everybody);
        let pick = self.rng.next_u64();
        let reach = if everybody { Reach::Everybody } else { Reach::One(pick) };
        Some(ScheduledFault { at: Now::from_millis(self.at_ms), fault, reach })
    }
}

impl Weights {
    /// In the order of the faults in [`Storm::fault`].
    fn each(&self) -> [u32; 7] {
        [self.cut, self.fin, self.reset, self.half_open, self.stall, self.refuse, self.background_kill]
    }

    fn total(&self) -> u64 {
        self.each().into_iter().map(u64::from).sum()
    }

    /// Which kind a number below the total falls on.
    fn pick(&self, number: u64) -> usize {
        let mut sum = 0;
        let past = |weight: &u32| {
            sum += u64::from(*weight);
            sum > number
        };
        self.each().iter().position(past).expect("the number is below the total of the weights")
    }
}

#[cfg(test)]
mod tests;
