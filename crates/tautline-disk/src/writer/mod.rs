//! The writer's thread: takes what waits, does it in one transaction, commits, answers.
//!
//! Start at [`Writer::run`]. The cache follows the file: when a transaction fails, all of it is forgotten
//! and read again.

mod append;
mod background;
mod cache;
mod transaction;

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tautline_engine::{Append, EngineError, ForgetUser, InUse, RetentionOf, Revoke, SaveBan, SavePositions};
use tautline_protocol::ChannelName;

use self::{cache::Cache, transaction::Transaction};
use crate::{
    checkpoint::{self, copy},
    directory::Directory,
    engine::{Shared, Write, give},
    fault::Fault,
    health::Health,
    options::{
        BATCH_BYTES_MAX, BATCH_JOBS_MAX, BUSY_CLOSING_MS, CHORES_A_COMMIT, DiskOptions, Durability,
        TIDY_COMMITS_MAX,
    },
    schema::Refusal,
    shares::Changes,
    store::{self, Store},
};

/// The writer.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    directory: Directory,
    options: DiskOptions,
    /// None where it could not be opened again: each batch tries.
    store: Option<Store>,
    cache: Cache,
    /// Channels with publications that are to be deleted or indexed.
    background: VecDeque<ChannelName>,
    /// The channel that was tidied last.
    tidied: i64,
    /// The time of the last housekeeping, in wall milliseconds.
    last_tidy_ms: u64,
    /// Commits are synced now.
    synced: bool,
    health: Health,
    /// A sync failed, and the write-ahead log has not been copied since.
    sync_failed: bool,
    /// Threads that end before the file is closed.
    others: Vec<JoinHandle<()>>,
}

/// What one transaction does, in order.
enum Step {
    Append(Append),
    Keep(SavePositions),
    Revoke(Revoke),
    Ban(SaveBan),
    ForgetUser(ForgetUser),
}

/// What housekeeping goes by.
pub(crate) struct Tidy {
    pub(crate) wall_ms: u64,
    pub(crate) retention: RetentionOf,
    pub(crate) in_use: InUse,
}

/// A transaction that did not come to be, or nobody knows.
struct Aborted {
    fault: Fault,
    at_commit: bool,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        directory: Directory,
        options: DiskOptions,
        store: Store,
        others: Vec<JoinHandle<()>>,
    ) -> Self {
        let (cache, background) = (Cache::default(), VecDeque::new());
        Self {
            shared,
            directory,
            options,
            store: Some(store),
            cache,
            background,
            tidied: 0,
            last_tidy_ms: 0,
            synced: true,
            health: Health::default(),
            sync_failed: false,
            others,
        }
    }

    /// Works until the queue is closed and empty, then closes the store.
    pub(crate) fn run(mut self) {
        if let Some(store) = &self.store {
            checkpoint::count_pages(&store.connection);
        }
        while let Some(jobs) = self.shared.writes.take(BATCH_JOBS_MAX, BATCH_BYTES_MAX) {
            self.work(jobs);
        }
        self.finish();
    }

    fn work(&mut self, jobs: Vec<Write>) {
        self.hurry_if_closing();
        let (mut steps, mut tidy) = (Vec::with_capacity(jobs.len()), None);
        for job in jobs {
            match job {
                Write::Append(job) => steps.push(Step::Append(job)),
                Write::Keep(job) => steps.push(Step::Keep(job)),
                Write::Revoke(job) => steps.push(Step::Revoke(job)),
                Write::Ban(job) => steps.push(Step::Ban(job)),
                Write::ForgetUser(job) => steps.push(Step::ForgetUser(job)),
                Write::Tidy(job) => tidy = Some(job),
                Write::Foreign { channel, reason } => self.set_aside(&channel, &reason),
                Write::Damaged { generation, reason } => {
                    if generation == self.shared.generation.load(Ordering::Relaxed) {
                        self.replace(&reason);
                    }
                }
            }
        }
        if !steps.is_empty() {
            self.write(steps);
        }
        if let Some(tidy) = tidy {
            self.tidy(&tidy);
        }
    }

    /// One transaction for all, and then the answers, in order.
    fn write(&mut self, steps: Vec<Step>) {
        let sync = self.options.durability == Durability::Strict || self.must_sync(&steps);
        let relaxed = self.options.durability == Durability::Relaxed;
        let appends = steps.iter().filter(|step| matches!(step, Step::Append(_))).count();
        let outcomes = self.transact(sync, |transaction| {
            transaction.do_background_work(CHORES_A_COMMIT.max(4 * appends as u64))?;
            let outcome = |step: &Step| match step {
                Step::Append(job) => transaction.append(job, relaxed).map(Some),
                Step::Keep(job) => transaction.keep(&job.updates).map(|()| None),
                Step::Revoke(job) => transaction.revoke(job.revocation).map(|()| None),
                Step::Ban(job) => transaction.ban(&job.change).map(|()| None),
                Step::ForgetUser(job) => transaction.forget_user(&job.user).map(|()| None),
            };
            steps.iter().map(outcome).collect::<Result<Vec<_>, Fault>>()
        });
        match outcomes {
            Ok(outcomes) => {
                for (step, outcome) in steps.into_iter().zip(outcomes) {
                    match (step, outcome) {
                        (Step::Append(job), Some(outcome)) => give(job.answer, outcome),
                        (Step::Keep(job), _) => give(job.answer, Ok(())),
                        (Step::Revoke(job), _) => give(job.answer, Ok(())),
                        (Step::Ban(job), _) => give(job.answer, Ok(())),
                        (Step::ForgetUser(job), _) => give(job.answer, Ok(())),
                        (Step::Append(_), None) => {}
                    }
                }
            }
            Err(error) => {
                for step in steps {
                    match step {
                        Step::Append(job) => give(job.answer, Err(error.clone())),
                        Step::Keep(job) => give(job.answer, Err(error.clone())),
                        Step::Revoke(job) => give(job.answer, Err(error.clone())),
                        Step::Ban(job) => give(job.answer, Err(error.clone())),
                        Step::ForgetUser(job) => give(job.answer, Err(error.clone())),
                    }
                }
            }
        }
    }

    /// A channel's first relaxed append is synced, with the mark that says: this one may lose something. The end of a session
    /// is, and a ban, because nothing could tell that it was lost.
    fn must_sync(&self, steps: &[Step]) -> bool {
        let must_sync = |step: &Step| match step {
            Step::Append(job) => !self.cache.peek(&job.channel).is_some_and(|state| state.relaxed),
            Step::Keep(_) => false,
            Step::Revoke(_) | Step::Ban(_) | Step::ForgetUser(_) => true,
        };
        steps.iter().any(must_sync)
    }

    /// Housekeeping, in transactions of its own: where appends fail because the disk is full, this still makes room.
    fn tidy(&mut self, tidy: &Tidy) {
        self.last_tidy_ms = tidy.wall_ms;
        let from = self.tidied;
        let next = self.transact(false, |transaction| {
            let next = transaction.tidy(from, tidy)?;
            transaction.forget_revocations(tidy.wall_ms)?;
            transaction.do_background_work(CHORES_A_COMMIT)?;
            Ok(next)
        });
        if self.health.is_failing() || self.store.as_ref().is_some_and(|store| !store.marked) {
            self.probe();
        }
        let Ok(next) = next else { return };
        self.tidied = next;
        for _ in 0..TIDY_COMMITS_MAX {
            if self.background.is_empty() || !self.shared.writes.is_empty() {
                return;
            }
            if self.transact(false, |transaction| transaction.do_background_work(CHORES_A_COMMIT)).is_err() {
                return;
            }
        }
    }

    /// Is there room for a batch again? What housekeeping or a small append still finds room for proves nothing.
    fn probe(&mut self) {
        let taken = self.transact(true, |transaction| transaction.take_room(true)).is_ok();
        let copied = taken && self.store.as_ref().is_some_and(|store| copy(&store.connection).is_ok());
        let given_back = taken && self.transact(true, |transaction| transaction.take_room(false)).is_ok();
        if copied && given_back {
            self.health.recovers();
            self.shared.takes_appends.store(true, Ordering::Release);
        }
    }

    /// A reader could not read the row of this channel's log. Where that is so, it is set aside before the next append.
    fn set_aside(&mut self, channel: &ChannelName, reason: &str) {
        tracing::warn!(event = "store_channel_unreadable", %channel, reason, "a channel's row could not be read");
        let _ = self.transact(true, |transaction| transaction.fetch(channel));
    }

    /// Does `work` in a transaction of its own. The cache and the replies follow once it has succeeded.
    fn transact<T>(
        &mut self,
        sync: bool,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, EngineError> {
        if self.store.is_none() {
            self.reopen()?;
        }
        match self.attempt(sync, work) {
            Ok(done) => Ok(done),
            Err(aborted) => Err(self.recover(aborted)),
        }
    }

    fn attempt<T>(
        &mut self,
        sync: bool,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, Aborted> {
        let early = |fault| Aborted { fault, at_commit: false };
        let store = self.store.as_mut().expect("transact() opened it");
        store.check_files(&self.directory).map_err(early)?;
        if self.options.durability == Durability::Relaxed && self.synced != sync {
            let mode = if sync { "FULL" } else { "NORMAL" };
            store.connection.pragma_update(None, "synchronous", mode).map_err(|error| early(error.into()))?;
            self.synced = sync;
        }
        store.mark_open().map_err(early)?;
        let mut transaction = Transaction {
            connection: &store.connection,
            cache: &mut self.cache,
            background: &mut self.background,
            counts: store.counts,
            shares: &store.shares,
            changes: Changes::default(),
            beginning: store.beginning.clone(),
            incarnation: store.incarnation,
            options: &self.options,
        };
        let done = transaction.begin().and_then(|()| {
            let done = work(&mut transaction)?;
            transaction.flush()?;
            Ok(done)
        });
        let done = done.map_err(early)?;
        transaction.commit().map_err(|fault| Aborted { fault, at_commit: true })?;
        let Transaction { counts, beginning, changes, .. } = transaction;
        if beginning.epoch != store.beginning.epoch {
            self.shared.set_epoch(&beginning.epoch);
        }
        (store.counts, store.beginning) = (counts, beginning);
        store.shares.commit(changes);
        self.shared.bytes.store(counts.bytes, Ordering::Relaxed);
        self.cache.trim();
        // The transaction is safe; a log that could not be copied back is tried again after the next.
        if let Err(fault) = self.shared.checkpoints.after_commit(&store.connection) {
            tracing::warn!(event = "store_log_not_copied", %fault, "the write-ahead log could not be copied back: it grows until it can");
        }
        Ok(done)
    }

    /// Handles a transaction that failed: decides about the file, and words the replies of its jobs.
    fn recover(&mut self, Aborted { fault, at_commit }: Aborted) -> EngineError {
        self.forget();
        let rolled_back = self.store.as_ref().is_some_and(|store| {
            store.connection.is_autocommit() || store.connection.execute_batch("ROLLBACK").is_ok()
        });
        self.shared.takes_appends.store(false, Ordering::Release);
        self.health.fails(Instant::now(), &fault);
        let in_doubt = at_commit && matches!(fault, Fault::Disk(_) | Fault::Damaged(_));
        match fault {
            Fault::Damaged(reason) => self.replace(&reason),
            Fault::Full(_) if rolled_back => {
                // What is copied back frees the log's room for the next try.
                let _ = self.store.as_ref().map(|store| copy(&store.connection));
                return EngineError::Full(
                    "the disk is full: nothing is stored until there is room".to_owned(),
                );
            }
            Fault::Other(_) | Fault::Row(_) if rolled_back => {}
            _ => {
                self.store = None;
                self.sync_failed |= matches!(fault, Fault::Disk(_));
                // Where it fails, the next batch tries again and says why.
                let _ = self.reopen();
            }
        }
        if in_doubt {
            EngineError::InDoubt("nobody knows whether it was stored".to_owned())
        } else {
            EngineError::Unavailable("it was not stored: the store takes nothing just now".to_owned())
        }
    }

    /// Moves the damaged file aside and begins a new one, in a new incarnation.
    fn replace(&mut self, reason: &str) {
        self.store = None;
        match self.directory.set_aside() {
            Ok(moved_to) => {
                let moved_to = moved_to.display();
                tracing::error!(event = "store_moved_aside", %moved_to, reason, "the store is damaged: it was moved aside, and a new one begun");
            }
            Err(error) => {
                tracing::error!(event = "store_unusable", %error, reason, "the store is damaged, and cannot be moved aside")
            }
        }
        // Where it fails, the next batch tries again and says why.
        let _ = self.reopen();
    }

    /// Opens the file again, or begins a new one where there is none.
    fn reopen(&mut self) -> Result<(), EngineError> {
        self.forget();
        self.try_reopen().map_err(|fault| {
            self.health.fails(Instant::now(), &fault);
            EngineError::Unavailable("the store cannot be opened again: try later".to_owned())
        })
    }

    fn try_reopen(&mut self) -> Result<(), Fault> {
        let opened = match self.connect() {
            Err(Refusal::Fault(Fault::Damaged(reason))) => {
                tracing::error!(
                    event = "store_damaged",
                    reason,
                    "the store is damaged: it is moved aside, and a new one begun"
                );
                self.directory.set_aside().map_err(store::other)?;
                self.connect()
            }
            opened => opened,
        };
        let mut store = opened.map_err(|refusal| match refusal {
            Refusal::Fault(fault) => fault,
            Refusal::Foreign | Refusal::Newer { .. } => {
                store::other(io::Error::other("its file was replaced by another"))
            }
        })?;
        if self.options.durability == Durability::Relaxed {
            // The disk failed, or the file is new: what was not synced may be lost.
            store.renew_relaxed_epochs()?;
        }
        if self.sync_failed {
            store.copy_all()?;
            self.sync_failed = false;
        }
        store.mark_open()?;
        checkpoint::count_pages(&store.connection);
        // A connection begins by syncing.
        self.synced = true;
        self.shared.incarnation.store(store.incarnation, Ordering::Release);
        self.shared.set_epoch(&store.beginning.epoch);
        self.shared.bytes.store(store.counts.bytes, Ordering::Relaxed);
        // Before anything is answered from this file: readers that are asked later look into it, too.
        self.shared.generation.fetch_add(1, Ordering::Release);
        self.store = Some(store);
        Ok(())
    }

    fn connect(&self) -> Result<Store, Refusal> {
        if self.directory.has_database() {
            Store::connect(&self.directory, &self.options)
        } else {
            Store::create(&self.directory, &self.options)
        }
    }

    fn forget(&mut self) {
        self.cache.clear();
        self.background.clear();
        self.tidied = 0;
    }

    /// A foreign tool that holds the file is not waited for by somebody who is waited for.
    fn hurry_if_closing(&self) {
        if self.shared.writes.is_closed()
            && let Some(store) = &self.store
        {
            // Where it fails, the end takes a little longer.
            let _ = store.connection.busy_timeout(Duration::from_millis(BUSY_CLOSING_MS));
        }
    }

    fn finish(&mut self) {
        self.hurry_if_closing();
        self.shared.reads.close();
        self.shared.checkpoints.close();
        for other in self.others.drain(..) {
            if other.join().is_err() {
                tracing::error!(event = "store_thread_panicked", "a thread of the store had panicked");
            }
        }
        let Some(store) = &self.store else { return };
        match store.mark_closed(self.last_tidy_ms) {
            Ok(()) => tracing::info!(event = "store_closed", "the store is closed"),
            Err(fault) => {
                tracing::warn!(event = "store_not_closed", %fault, "the store could not be closed: the next start will check the file")
            }
        }
    }
}
