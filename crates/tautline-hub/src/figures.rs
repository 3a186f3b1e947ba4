//! The figures of a node, read when they are asked for.
//!
//! Start at [`Hub::stats`] and [`Hub::limit_figures`].

use tautline_engine::{
    EngineFigures,
    budget::Budget,
    meter::{JobFigures, Stopwatch},
};

use crate::{Hub, HubStats, rates::RateLimiter, sync::Ordering};

/// How a limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitFigures {
    /// The option that sets it.
    pub limit: &'static str,
    /// What is in use of it, and how much may be; `None` where it limits each client apart.
    pub use_of: Option<(usize, usize)>,
    /// How often something was refused because of it.
    pub refused: u64,
}

impl LimitFigures {
    /// A limit that all clients share.
    #[must_use]
    pub const fn shared(limit: &'static str, used: usize, max: usize, refused: u64) -> Self {
        Self { limit, use_of: Some((used, max)), refused }
    }

    /// A limit of each client.
    #[must_use]
    pub const fn of_each(limit: &'static str, refused: u64) -> Self {
        Self { limit, use_of: None, refused }
    }

    /// A limit that is kept by a budget.
    #[must_use]
    pub fn of_budget(limit: &'static str, budget: &Budget) -> Self {
        Self::shared(limit, budget.used(), budget.total(), budget.refused())
    }
}

impl Hub {
    /// Current gauges and counters.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        let limiter = self.0.rates.load();
        HubStats {
            connections: self.0.connections.load(Ordering::Relaxed),
            sessions: self.sessions().len(),
            users_online: self.0.users_online.load(Ordering::Relaxed),
            channels: self.0.channels.len(),
            subscriptions: self.0.subscriptions.load(Ordering::Relaxed),
            log_bytes: self.0.channels.tail_bytes().max(self.0.engine.bytes()),
            reply_bytes: self.0.budgets.replies.used(),
            presence_bytes: self.0.budgets.changes.used(),
            presence_seats: self.0.budgets.members.used(),
            append_bytes: self.0.budgets.appends.used(),
            pages: self.0.pages.len(),
            hellos_waiting: self.0.admission.waiting(),
            publications: self.0.publications.load(Ordering::Relaxed),
            rate_limited: self.0.earlier_refusals.load(Ordering::Relaxed)
                + limiter.as_ref().as_ref().map_or(0, RateLimiter::refusals),
            rate_keys: limiter.as_ref().as_ref().map_or(0, RateLimiter::keys),
        }
    }

    /// The limits of the node that the hub keeps.
    #[must_use]
    pub fn limit_figures(&self) -> Vec<LimitFigures> {
        let (inner, of_budget) = (&self.0, LimitFigures::of_budget);
        let budgets = &inner.budgets;
        let waited = inner.counters.admission_timeouts.load(Ordering::Relaxed);
        let of_users = inner.counters.user_refusals.load(Ordering::Relaxed);
        vec![
            of_budget("appends_bytes_max", &budgets.appends),
            of_budget("replies_bytes_max", &budgets.replies),
            of_budget("calls_bytes_max", &budgets.calls),
            of_budget("presence_bytes_max", &budgets.changes),
            of_budget("presence_seats_max", &budgets.members),
            of_budget("sessions_max", self.sessions().budget()),
            of_budget("channel_count_max", inner.channels.budget()),
            of_budget("acks_max", inner.acks.budget()),
            LimitFigures::shared("pages_max", inner.pages.len(), inner.pages.max(), 0),
            LimitFigures::of_each("admission_wait_ms", waited),
            LimitFigures::of_each("connections_per_user_max", of_users),
            LimitFigures::of_each("rates", self.stats().rate_limited),
        ]
    }

    /// Measures jobs of the engine by this clock from now on, for [`Hub::engine_jobs`]. The first call counts.
    pub fn measure_engine(&self, clock: Stopwatch) {
        self.0.engine.measure(clock);
    }

    /// Jobs of the engine by their kind; empty where nothing is measured.
    #[must_use]
    pub fn engine_jobs(&self) -> Vec<JobFigures> {
        self.0.engine.jobs()
    }

    /// What the engine counts itself.
    #[must_use]
    pub fn engine_figures(&self) -> EngineFigures {
        self.0.engine.figures()
    }
}
