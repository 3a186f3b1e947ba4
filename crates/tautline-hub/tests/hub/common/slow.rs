//! An engine that runs its jobs only on demand.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tautline_engine::{Engine, EngineError, Job, MemoryLogs, Revocation, budget::Holder};
use tautline_hub::NodeLimits;

/// Queues jobs until [`SlowEngine::work`].
pub struct SlowEngine {
    jobs: Mutex<VecDeque<Job>>,
    pub logs: Mutex<MemoryLogs>,
    revoked: Mutex<Vec<Revocation>>,
    /// When the process before ran last, in wall milliseconds.
    pub last_run_ms: AtomicU64,
}

impl SlowEngine {
    pub fn new(limits: &NodeLimits) -> Arc<Self> {
        let logs = Mutex::new(MemoryLogs::new(3, &limits.engine, limits.protocol.ticket_ms));
        Arc::new(Self {
            jobs: Mutex::default(),
            logs,
            revoked: Mutex::default(),
            last_run_ms: AtomicU64::default(),
        })
    }

    /// Runs the queued jobs in order. Returns their number, saved positions and maintenance not counted.
    pub fn work(&self) -> usize {
        let mut done = 0;
        loop {
            let Some(job) = self.jobs.lock().expect("not poisoned").pop_front() else {
                return done;
            };
            done += usize::from(!matches!(job, Job::SavePositions(_) | Job::Tidy { .. }));
            self.run(job);
        }
    }

    /// Runs the oldest job that waits.
    pub fn work_once(&self) {
        let job = self.jobs.lock().expect("not poisoned").pop_front();
        job.into_iter().for_each(|job| self.run(job));
    }

    fn run(&self, job: Job) {
        let mut logs = self.logs.lock().expect("not poisoned");
        match job {
            Job::Append(job) => {
                let outcome = logs.append(&job);
                drop(logs);
                job.answer.give(outcome);
            }
            Job::Stat(job) => {
                let stat = logs.stat(&job);
                drop(logs);
                job.answer.give(Ok(stat));
            }
            Job::Read(job) => {
                let page = logs.read(&job);
                drop(logs);
                job.answer.give(Ok(page));
            }
            Job::SavePositions(job) => {
                job.updates.iter().for_each(|mark| logs.keep(mark));
                job.answer.give(Ok(()));
            }
            Job::Revoke(job) => {
                drop(logs);
                self.revoked.lock().expect("not poisoned").push(job.revocation);
                job.answer.give(Ok(()));
            }
            Job::ForgetUser(job) => {
                logs.forget_user(&job.user);
                drop(logs);
                job.answer.give(Ok(()));
            }
            Job::SaveBan(job) => {
                drop(logs);
                job.answer.give(Ok(()));
            }
            Job::Tidy { wall_ms, retention, in_use } => logs.tidy(wall_ms, &retention, &in_use),
        }
    }

    /// The number of position updates in the queued job.
    pub fn updates(&self) -> usize {
        let jobs = self.jobs.lock().expect("not poisoned");
        let marks = |job: &Job| if let Job::SavePositions(job) = job { job.updates.len() } else { 0 };
        jobs.iter().map(marks).sum()
    }

    /// Whose the jobs are that wait.
    pub fn holders(&self) -> Vec<Holder> {
        let jobs = self.jobs.lock().expect("no test panics over it");
        let holder = |job: &Job| match job {
            Job::Append(job) => Some(job.holder),
            Job::Stat(job) => Some(job.holder),
            Job::Read(job) => Some(job.holder),
            _ => None,
        };
        jobs.iter().filter_map(holder).collect()
    }

    /// Runs the appends to one log that wait.
    pub fn work_on(&self, channel: &str) {
        let jobs = std::mem::take(&mut *self.jobs.lock().expect("no test panics over it"));
        let is_of = |job: &Job| matches!(job, Job::Append(job) if job.channel.as_str() == channel);
        let (now, later): (Vec<_>, Vec<_>) = jobs.into_iter().partition(is_of);
        self.jobs.lock().expect("no test panics over it").extend(later);
        now.into_iter().for_each(|job| self.run(job));
    }

    /// The channels of the appends that wait.
    pub fn appends(&self) -> Vec<String> {
        let jobs = self.jobs.lock().expect("no test panics over it");
        let channel =
            |job: &Job| if let Job::Append(job) = job { Some(job.channel.to_string()) } else { None };
        jobs.iter().filter_map(channel).collect()
    }

    pub fn fail(&self, error: &EngineError) {
        let jobs = std::mem::take(&mut *self.jobs.lock().expect("not poisoned"));
        jobs.into_iter().for_each(|job| job.refuse(error));
    }

    /// Appends, and answers `in_doubt`.
    pub fn doubt(&self) {
        let jobs = std::mem::take(&mut *self.jobs.lock().expect("not poisoned"));
        for job in jobs {
            let Job::Append(job) = job else { panic!("appends alone are waiting") };
            self.logs.lock().expect("not poisoned").append(&job).expect("there is room");
            job.answer.give(Err(EngineError::InDoubt("who knows".to_owned())));
        }
    }

    pub fn forget(&self) {
        let jobs = std::mem::take(&mut *self.jobs.lock().expect("not poisoned"));
        // Not under the lock: a callback may submit the next job.
        drop(jobs);
    }

    pub fn waiting(&self) -> usize {
        self.jobs.lock().expect("not poisoned").len()
    }
}

impl Engine for SlowEngine {
    fn submit(&self, job: Job) {
        self.jobs.lock().expect("not poisoned").push_back(job);
    }

    fn revocations(&self) -> Vec<Revocation> {
        self.revoked.lock().expect("not poisoned").clone()
    }

    fn last_run_ms(&self) -> u64 {
        self.last_run_ms.load(Ordering::SeqCst)
    }

    fn incarnation(&self) -> u32 {
        self.logs.lock().expect("not poisoned").incarnation()
    }
}
