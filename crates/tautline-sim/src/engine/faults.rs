//! What happens to an engine: stalls, a full disk, crashes before and after a commit, a copy that takes over.

use std::collections::BTreeMap;

use tautline_engine::{Job, MemoryLogs};

use super::{EngineKind, SimEngine, State, Step};

/// A state that an engine may go back to.
pub(crate) struct Older {
    logs: MemoryLogs,
    heads: BTreeMap<String, usize>,
}

impl Older {
    pub(crate) fn of(logs: &MemoryLogs) -> Self {
        Self { logs: logs.clone(), heads: BTreeMap::new() }
    }
}

impl State {
    /// Keeps the state of this moment: a relaxed engine has stored it, or a copy has it.
    pub(crate) fn remember(&mut self) {
        self.older = Some(Older { logs: self.logs.clone(), heads: self.ground_truth.heads() });
    }

    /// Nothing is done before `until_ms`.
    pub(crate) fn stall(&mut self, until_ms: u64) {
        self.stalled_until = self.stalled_until.max(until_ms);
        for ((at, number), step) in std::mem::take(&mut self.queue) {
            self.queue.insert((at.max(until_ms), number), step);
        }
        self.append_after = self.append_after.max(until_ms);
        self.answer_after = self.answer_after.max(until_ms);
    }

    /// Every fault ends, and it is as quick as an engine can be.
    pub(crate) fn heal(&mut self) {
        self.plan.drops = 0.0;
        self.plan.slow_ms = self.plan.slow_ms.min(20);
        (self.stalled_until, self.full_until, self.away_until) = (0, 0, 0);
    }
}

impl SimEngine {
    /// The copy takes over, in the middle of everything: what was appended since it was made is gone, and nobody says so.
    /// What the old one has done and not told goes with its connection. `aloud`: it knows what it is, and begins a new life.
    /// Returns how many publications are gone.
    pub(crate) fn fail_over(&self, aloud: bool) -> usize {
        let (untold, gone) = {
            let mut state = self.lock();
            let Some(older) = state.older.take() else { return 0 };
            state.logs = older.logs;
            let gone =
                if aloud { state.begin_life(&older.heads) } else { state.ground_truth.go_back(&older.heads) };
            let steps = std::mem::take(&mut state.queue);
            let (untold, queue): (Vec<_>, Vec<_>) =
                steps.into_iter().partition(|(_, step)| matches!(step, Step::Tell(..)));
            state.queue = queue.into_iter().collect();
            (untold, gone)
        };
        // Without the lock, as every answer.
        drop(untold);
        gone
    }

    /// The process is killed. `commits`: so many of the appends that wait are still done, and nobody is told. Returns how
    /// many publications are lost.
    pub(crate) fn crash(&self, commits: u64) -> usize {
        let (steps, lost) = {
            let mut state = self.lock();
            let steps = std::mem::take(&mut state.queue);
            let waiting = steps.values().filter_map(|step| match step {
                Step::Do(Job::Append(job), _) => Some(job),
                _ => None,
            });
            for job in waiting.take(usize::try_from(commits).expect("few")) {
                // Nobody is told, so it makes no difference whether it went well.
                state.commit(job).ok();
            }
            (state.append_after, state.answer_after) = (0, 0);
            state.telling = false;
            state.dirty = false;
            let lost = state.come_back();
            (steps, lost)
        };
        // Without the lock, as every answer: these go to a hub that is no more.
        drop(steps);
        lost
    }
}

impl State {
    /// The next process finds what was stored.
    fn come_back(&mut self) -> usize {
        let life = self.logs.incarnation() + 1;
        match self.plan.kind {
            EngineKind::Disk | EngineKind::Remote => 0,
            EngineKind::Memory => {
                self.logs = MemoryLogs::new(life, &self.limits.engine, self.limits.protocol.ticket_ms);
                self.ground_truth.begin_epoch(&format!("{life:x}"), &BTreeMap::new())
            }
            EngineKind::Relaxed => {
                let mut older = self.older.take().expect("a relaxed engine has always stored something");
                // A number that no other life has had.
                older.logs.begin_incarnation(life - 1);
                self.logs = older.logs;
                let lost = self.begin_life(&older.heads);
                self.remember();
                lost
            }
        }
    }

    /// The logs go on under another life, as far as they were stored.
    fn begin_life(&mut self, heads: &BTreeMap<String, usize>) -> usize {
        let life = self.logs.incarnation() + 1;
        self.logs.begin_incarnation(life);
        self.ground_truth.begin_epoch(&format!("{life:x}"), heads)
    }
}
