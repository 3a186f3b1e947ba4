//! Counts the jobs of an engine: how long each kind takes, and what fails.
//!
//! Start at [`Meter::new`]; [`Job::watched_by`](crate::Job::watched_by) measures a job. The clock belongs to the shell.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::latency::{Latency, LatencyFigures};

/// A clock for measuring, in microseconds since any moment. Nothing is decided by it.
pub type Stopwatch = fn() -> u64;

/// The errors that are counted apart.
const ERRORS: [&str; 5] = ["unavailable", "full", "limit", "in_doubt", "conflict"];

/// The kinds of jobs that have an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// [`Job::Append`](crate::Job::Append).
    Append,
    /// [`Job::Stat`](crate::Job::Stat).
    Stat,
    /// [`Job::Read`](crate::Job::Read).
    Read,
    /// Everything that is kept beside the logs: positions, revocations, bans, forgotten users.
    Save,
}

impl JobKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Append, Self::Stat, Self::Read, Self::Save];

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Stat => "stat",
            Self::Read => "read",
            Self::Save => "save",
        }
    }
}

/// Counts jobs by their kind.
#[derive(Debug)]
pub struct Meter {
    clock: Stopwatch,
    kinds: [KindMeter; JobKind::ALL.len()],
}

#[derive(Debug, Default)]
struct KindMeter {
    latency: Latency,
    errors: [AtomicU64; ERRORS.len()],
}

/// What was counted of a kind of jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFigures {
    /// The kind.
    pub kind: JobKind,
    /// From the job to its answer, whatever that was.
    pub latency: LatencyFigures,
    /// How many were not done, by their error.
    pub errors: [(&'static str, u64); ERRORS.len()],
}

/// Waits for the answer of one job.
pub(crate) struct Watch {
    meter: Arc<Meter>,
    kind: JobKind,
    since_us: u64,
}

impl Meter {
    /// A meter that has counted nothing.
    #[must_use]
    pub fn new(clock: Stopwatch) -> Arc<Self> {
        Arc::new(Self { clock, kinds: Default::default() })
    }

    /// Measures a job from now on.
    pub(crate) fn watch(self: &Arc<Self>, kind: JobKind) -> Watch {
        Watch { meter: Arc::clone(self), kind, since_us: (self.clock)() }
    }

    /// What was counted so far.
    #[must_use]
    pub fn figures(&self) -> Vec<JobFigures> {
        let figures = |kind: JobKind| {
            let meter = &self.kinds[kind as usize];
            let count = |index: usize| (ERRORS[index], meter.errors[index].load(Ordering::Relaxed));
            JobFigures { kind, latency: meter.latency.figures(), errors: std::array::from_fn(count) }
        };
        JobKind::ALL.into_iter().map(figures).collect()
    }
}

impl Watch {
    /// The job was answered.
    pub(crate) fn end(self, error: Option<&'static str>) {
        let Self { meter, kind, since_us } = self;
        let of_kind = &meter.kinds[kind as usize];
        of_kind.latency.record_us((meter.clock)().saturating_sub(since_us));
        if let Some(index) = error.and_then(|error| ERRORS.iter().position(|known| *known == error)) {
            of_kind.errors[index].fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use tautline_protocol::UserId;

    use super::*;
    use crate::{Answer, EngineError, ForgetUser, Job};

    static NOW_US: AtomicU64 = AtomicU64::new(0);

    fn clock() -> u64 {
        NOW_US.load(Ordering::Relaxed)
    }

    fn forget(meter: &Arc<Meter>) -> Answer<()> {
        let user = UserId::parse("u").unwrap();
        match Job::ForgetUser(ForgetUser { user, answer: Answer::new(drop) }).watched_by(meter) {
            Job::ForgetUser(job) => job.answer,
            job => panic!("another job: {job:?}"),
        }
    }

    #[test]
    fn answered_refused_and_dropped_jobs_count_once() {
        let meter = Meter::new(clock);
        let [answered, refused, dropped] = [(); 3].map(|()| forget(&meter));
        NOW_US.store(700, Ordering::Relaxed);
        answered.give(Ok(()));
        refused.give(Err(EngineError::Full(String::new())));
        drop(dropped);
        let figures = meter.figures().pop().expect("saves come last");
        assert_eq!(
            (figures.kind, figures.latency.sum_us, figures.latency.count()),
            (JobKind::Save, 2_100, 3)
        );
        let errors: Vec<_> = figures.errors.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(errors, [("full", 1), ("in_doubt", 1)], "a dropped one is in doubt");
    }
}
