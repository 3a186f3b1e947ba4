//! An engine on the virtual clock: slow, failing, crashing, made of [`MemoryLogs`]. What it did is in its [`GroundTruth`].
//!
//! Jobs wait in a queue, each with the moment at which it is done and the moment at which that is told. Start at
//! [`SimEngine::work`]. Where nothing is slow, [`Engine::submit`] answers before it returns, as a memory engine does.

mod faults;
mod ground_truth;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tautline_engine::{Append, Appended, Engine, EngineError, Job, MemoryLogs, Revocation};
use tautline_hub::NodeLimits;
use tautline_netem::Rng;

pub use self::ground_truth::{Count, GroundTruth, Logs, Written};
pub(crate) use self::{faults::Older, ground_truth::life_of};
use crate::{app::payload_of_text, event_log::EventSink};

/// How often a relaxed engine stores what it has shown, in milliseconds.
const STORE_MS: u64 = 700;

/// What an engine promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineKind {
    /// Logs in memory: a crash loses all of them.
    #[default]
    Memory,
    /// Logs on a disk: what was answered is kept.
    Disk,
    /// Shows and answers first, and stores a moment later: a crash loses the end, and a new epoch says so.
    Relaxed,
    /// Logs elsewhere, kept as on a disk; but another copy of them may take over that is older, and nobody says so.
    Remote,
}

/// What an engine is like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EnginePlan {
    /// What it promises.
    pub kind: EngineKind,
    /// How long a job takes at most, in milliseconds; 0 answers at once.
    pub slow_ms: u64,
    /// How often a job is given up, as a probability: done or not, nobody is told.
    pub drops: f64,
}

/// The engine.
pub struct SimEngine {
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) plan: EnginePlan,
    event_sink: Option<EventSink>,
    rng: Rng,
    now_ms: u64,
    limits: NodeLimits,
    pub(crate) logs: MemoryLogs,
    pub(crate) ground_truth: GroundTruth,
    /// What is to happen, by the time and in the order in which it was decided.
    queue: BTreeMap<(u64, u64), Step>,
    steps: u64,
    /// Appends are done, and told, in the order in which they came: not before these moments.
    append_after: u64,
    answer_after: u64,
    /// Somebody is telling; what comes meanwhile waits for its turn.
    telling: bool,
    /// Nothing is done before.
    stalled_until: u64,
    /// There is no room before.
    pub(crate) full_until: u64,
    /// Every job is refused before.
    pub(crate) away_until: u64,
    /// The state that a relaxed engine has stored, or that a copy has.
    pub(crate) older: Option<Older>,
    dirty: bool,
    store_due: u64,
    /// Sessions that were ended.
    pub(crate) revoked: Vec<Revocation>,
}

enum Step {
    /// Do this, and tell so many milliseconds later.
    Do(Job, u64),
    /// Give this answer; one about an append that was done says which.
    Tell(Outcome, Option<(String, u64)>),
}

type Outcome = Box<dyn FnOnce() + Send>;

impl SimEngine {
    pub(crate) fn new(
        plan: EnginePlan,
        seed: u64,
        limits: &NodeLimits,
        event_sink: Option<EventSink>,
    ) -> Arc<Self> {
        let logs = MemoryLogs::new(1, &limits.engine, limits.protocol.ticket_ms);
        let state = State {
            plan,
            event_sink,
            rng: Rng::stream(seed, 50),
            now_ms: 0,
            limits: limits.clone(),
            ground_truth: GroundTruth::new("1"),
            older: (plan.kind == EngineKind::Relaxed).then(|| Older::of(&logs)),
            logs,
            queue: BTreeMap::new(),
            steps: 0,
            append_after: 0,
            answer_after: 0,
            telling: false,
            stalled_until: 0,
            full_until: 0,
            away_until: 0,
            dirty: false,
            store_due: 0,
            revoked: Vec::new(),
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When something is to happen next.
    pub(crate) fn next_timeout(&self) -> u64 {
        let state = self.lock();
        let next = state.queue.keys().next().map_or(u64::MAX, |(at, _)| *at);
        if state.dirty { next.min(state.store_due) } else { next }
    }

    /// Does what is due. True: there was something.
    pub(crate) fn work(&self, now_ms: u64) -> bool {
        {
            let mut state = self.lock();
            state.now_ms = state.now_ms.max(now_ms);
            if state.dirty && state.store_due <= now_ms {
                state.dirty = false;
                state.remember();
            }
        }
        let mut busy = false;
        while let Some(outcome) = self.next_outcome() {
            busy = true;
            // Without the lock: an answer may submit the next job.
            outcome();
            self.lock().telling = false;
        }
        busy
    }

    fn next_outcome(&self) -> Option<Outcome> {
        let mut state = self.lock();
        if state.telling {
            return None;
        }
        loop {
            let first = state.queue.keys().next().filter(|(at, _)| *at <= state.now_ms).copied()?;
            match state.queue.remove(&first)? {
                Step::Do(job, tell_in) => state.execute(job, tell_in),
                Step::Tell(outcome, appended) => {
                    if let Some((channel, offset)) = appended {
                        let now_ms = state.now_ms;
                        state.ground_truth.note_told(&channel, offset, now_ms);
                    }
                    state.telling = true;
                    return Some(outcome);
                }
            }
        }
    }
}

impl State {
    fn enqueue(&mut self, at: u64, step: Step) {
        self.steps += 1;
        self.queue.insert((at, self.steps), step);
    }

    fn log_event(&self, what: impl FnOnce() -> String) {
        if let Some(event_sink) = self.event_sink {
            event_sink(&format!("{:>7} ms the engine {}", self.now_ms, what()));
        }
    }

    /// A delay of this engine: often none, sometimes as long as it may be.
    fn delay(&mut self) -> u64 {
        let most = self.plan.slow_ms;
        match self.rng.below(8) {
            0 => self.rng.between(0, most),
            1..=3 => self.rng.between(0, most / 16),
            _ => 0,
        }
    }

    fn take(&mut self, job: Job) {
        let start = self.now_ms.max(self.stalled_until);
        if matches!(job, Job::Revoke(_) | Job::SaveBan(_)) {
            return self.enqueue(start, Step::Do(job, 0));
        }
        let (wait, tell_in) = if self.plan.slow_ms == 0 { (0, 0) } else { (self.delay(), self.delay()) };
        let mut at = start + wait;
        if matches!(job, Job::Append(_)) {
            at = at.max(self.append_after);
            self.append_after = at;
        }
        self.enqueue(at, Step::Do(job, tell_in));
    }

    fn execute(&mut self, job: Job, tell_in: u64) {
        if self.now_ms < self.away_until {
            return self.tell(tell_in, move || {
                job.refuse(&EngineError::Unavailable("the engine is away".to_owned()))
            });
        }
        if let Job::Revoke(job) = job {
            self.revoked.push(job.revocation);
            return self.tell(tell_in, move || job.answer.give(Ok(())));
        }
        let given_up = self.plan.drops > 0.0 && self.rng.chance(self.plan.drops);
        if given_up {
            self.log_event(|| format!("gives up {job:?}"));
        }
        match job {
            Job::Append(job) => self.append(job, tell_in, given_up),
            Job::Stat(_) | Job::Read(_) if given_up => self.tell(tell_in, move || drop(job)),
            Job::Stat(job) => {
                let stat = self.logs.stat(&job);
                self.log_event(|| {
                    format!("looks at {}: head {}, base {}", job.channel, stat.log.head, stat.log.base)
                });
                self.tell(tell_in, move || job.answer.give(Ok(stat)));
            }
            Job::Read(job) => {
                let page = self.logs.read(&job);
                self.log_event(|| {
                    format!(
                        "reads {} {:?}: {} of them, base {}",
                        job.channel,
                        job.span,
                        page.entries.len(),
                        page.log.base
                    )
                });
                self.tell(tell_in, move || job.answer.give(Ok(page)));
            }
            Job::SavePositions(job) => {
                job.updates.iter().for_each(|update| self.logs.keep(update));
                job.answer.give(Ok(()));
            }
            Job::ForgetUser(job) => {
                self.logs.forget_user(&job.user);
                self.tell(tell_in, move || job.answer.give(Ok(())));
            }
            // No story bans.
            Job::SaveBan(job) => self.tell(tell_in, move || job.answer.give(Ok(()))),
            Job::Revoke(_) => unreachable!("handled above"),
            Job::Tidy { wall_ms, retention, in_use } => self.logs.tidy(wall_ms, &retention, &in_use),
        }
    }

    fn append(&mut self, job: Append, tell_in: u64, given_up: bool) {
        if given_up && self.rng.chance(0.5) {
            return self.tell_append(tell_in, None, move || drop(job));
        }
        let full = self.now_ms < self.full_until;
        let outcome = if full { Err(EngineError::Full("no room".to_owned())) } else { self.commit(&job) };
        let appended = match &outcome {
            Ok(Appended::New { entry, .. }) if !given_up => {
                Some((job.channel.as_str().to_owned(), entry.offset()))
            }
            _ => None,
        };
        self.tell_append(
            tell_in,
            appended,
            move || {
                if given_up { drop(job) } else { job.answer.give(outcome) }
            },
        );
    }

    fn commit(&mut self, job: &Append) -> Result<Appended, EngineError> {
        let outcome = self.logs.append(job)?;
        if let Appended::New { entry, .. } = &outcome {
            let payload = payload_of_text(&job.content.data);
            self.log_event(|| format!("commits {payload} as {} of {}", entry.offset(), job.channel));
            self.ground_truth.note(job.channel.as_str(), entry.offset(), entry.at(), payload, self.now_ms);
            if self.plan.kind == EngineKind::Relaxed && !std::mem::replace(&mut self.dirty, true) {
                self.store_due = self.now_ms + STORE_MS;
            }
        }
        Ok(outcome)
    }

    /// Tells an outcome in a while.
    fn tell(&mut self, in_ms: u64, outcome: impl FnOnce() + Send + 'static) {
        self.enqueue(self.now_ms + in_ms, Step::Tell(Box::new(outcome), None));
    }

    /// The same, of an append: they are told in their order.
    fn tell_append(
        &mut self,
        in_ms: u64,
        appended: Option<(String, u64)>,
        outcome: impl FnOnce() + Send + 'static,
    ) {
        let at = (self.now_ms + in_ms).max(self.answer_after);
        self.answer_after = at;
        self.enqueue(at, Step::Tell(Box::new(outcome), appended));
    }
}

impl Engine for SimEngine {
    fn submit(&self, job: Job) {
        let at_once = {
            let mut state = self.lock();
            state.take(job);
            state.plan.slow_ms == 0
        };
        if at_once {
            let now_ms = self.lock().now_ms;
            self.work(now_ms);
        }
    }

    fn revocations(&self) -> Vec<Revocation> {
        self.lock().revoked.clone()
    }

    fn incarnation(&self) -> u32 {
        self.lock().logs.incarnation()
    }
}

impl std::fmt::Debug for SimEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimEngine").field("plan", &self.lock().plan).finish_non_exhaustive()
    }
}
