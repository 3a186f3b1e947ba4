//! Runs a [`Storm`] on a live network.

use tautline_netem::{Fault, Reach, ScheduledFault, Storm, StormPlan};
use tokio::time::{Instant, sleep_until};

use super::error::ChaosError;
use super::network::Network;
use super::state::Selector;

/// What a storm has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StormReport {
    /// How many faults came.
    pub faults: usize,
    /// How many connections they hit, the same one counted each time.
    pub hits: usize,
}

impl Network {
    /// Runs a storm and returns when it is over; dropping the future ends it early. Faults without an end of their own
    /// outlast it: call [`heal`](Self::heal) to end them.
    ///
    /// The same seed brings the same faults at the same times. Whom they hit depends on who is connected then.
    ///
    /// # Errors
    /// [`ChaosError::Storm`] when the plan makes no storm, [`ChaosError::TooManyGroups`].
    pub async fn run_storm(
        &self,
        seed: u64,
        plan: StormPlan,
        selector: &Selector,
    ) -> Result<StormReport, ChaosError> {
        let started = Instant::now();
        let mut report = StormReport::default();
        for scheduled in Storm::new(seed, plan)? {
            sleep_until(started + scheduled.at).await;
            report.faults += 1;
            report.hits += self.blow(&scheduled, selector)?;
        }
        Ok(report)
    }

    fn blow(&self, scheduled: &ScheduledFault, selector: &Selector) -> Result<usize, ChaosError> {
        if matches!(scheduled.fault, Fault::Refuse { .. }) {
            return self.refuse(scheduled, selector);
        }
        let alive = self.ids(selector);
        // One that closed since it was listed is out of the storm's reach, and that is no error.
        let hit = |id: &u64| self.fault(scheduled.fault, &Selector::Connection(*id)).unwrap_or(0);
        Ok(scheduled.reach.among(&alive).iter().map(hit).sum())
    }

    /// A refusal is for connections to come: of the group of the one that the fault reaches, or of everybody.
    fn refuse(&self, scheduled: &ScheduledFault, selector: &Selector) -> Result<usize, ChaosError> {
        let mut connections = self.connections();
        let alive = self.ids(selector);
        connections.retain(|connection| alive.contains(&connection.id));
        match (scheduled.reach, scheduled.reach.among(&connections)) {
            (Reach::One(_), [one]) => self.fault(scheduled.fault, &Selector::Group(one.group.clone())),
            _ => self.fault(scheduled.fault, selector),
        }
    }
}
