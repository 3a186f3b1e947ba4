//! The engine: threads round a file, and queues before them.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use tautline_engine::{
    Answer, Append, Ban, Engine, EngineError, ForgetUser, Job, PositionUpdate, Read, Revocation, Revoke,
    SaveBan, SavePositions, StatRequest, budget::Holder,
};
use tautline_protocol::ChannelName;

use crate::{
    checkpoint::Checkpoints,
    options::{DiskOptions, READERS, READS_QUEUED_MAX, WRITES_QUEUED_BYTES_MAX, WRITES_QUEUED_MAX},
    queue::{Queue, Refused},
    reader::{self, Reader},
    recovery::{self, OpenError, Opened},
    schema,
    writer::{Tidy, Writer},
};

/// Connections that were made at the start belong to it.
const FIRST_GENERATION: u64 = 1;

/// Logs on disk. [`DiskEngine::close`] it at the end; dropping it does the same.
pub struct DiskEngine {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Sessions that were ended before it was opened.
    revocations: Box<[Revocation]>,
    /// Bans that were set before it was opened.
    bans: Box<[Ban]>,
    last_run_ms: u64,
}

/// What the threads and the engine share.
pub(crate) struct Shared {
    pub(crate) writes: Queue<Write>,
    pub(crate) reads: Queue<ReadJob>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) incarnation: AtomicU32,
    /// Of logs that nobody wrote to.
    epoch: Mutex<Arc<str>>,
    /// Of packets that are kept.
    pub(crate) bytes: AtomicU64,
    /// Rises whenever connections have to be made anew.
    pub(crate) generation: AtomicU64,
    /// Appends are likely to be taken.
    pub(crate) takes_appends: AtomicBool,
    /// A thread of the store has panicked.
    pub(crate) died: AtomicBool,
}

impl Shared {
    pub(crate) fn epoch(&self) -> Arc<str> {
        Arc::clone(&self.epoch.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_epoch(&self, epoch: &Arc<str>) {
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(epoch);
    }
}

/// Ends everything when a thread of the store does: even where it panics, nobody waits for ever.
pub(crate) struct Ending(pub(crate) Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.died.store(true, Ordering::Release);
            tracing::error!(
                event = "store_thread_panicked",
                "a thread of the store has panicked: nothing is stored any more"
            );
        }
        self.0.takes_appends.store(false, Ordering::Release);
        self.0.checkpoints.close();
        self.0.writes.abandon();
        self.0.reads.abandon();
    }
}

/// What the writer does.
pub(crate) enum Write {
    Append(Append),
    Keep(SavePositions),
    Revoke(Revoke),
    Ban(SaveBan),
    ForgetUser(ForgetUser),
    Tidy(Tidy),
    /// A reader found a foreign value in the row of this channel's log.
    Foreign {
        channel: ChannelName,
        reason: String,
    },
    /// A reader of this generation found the file damaged.
    Damaged {
        generation: u64,
        reason: String,
    },
}

/// What readers do.
pub(crate) enum ReadJob {
    Stat(StatRequest),
    Read(Read),
}

impl DiskEngine {
    /// Opens a store, or begins one, and says what was found. Blocks for as long as it takes to count the channels. Where the
    /// disk is full it opens all the same: what is there can be read.
    ///
    /// # Errors
    /// [`OpenError`] says what to do. A damaged file is none: it is moved aside.
    pub fn open(options: DiskOptions) -> Result<(Self, Opened), OpenError> {
        let (directory, store, opened) = recovery::open(&options)?;
        let unread = |fault| OpenError::File { file: directory.database(), source: Box::new(fault) };
        let revocations = store.revocations().map_err(unread)?;
        let bans = store.bans().map_err(unread)?.into();
        match &opened {
            Opened::Damaged { moved_to, reason } => {
                let moved_to = moved_to.display();
                tracing::error!(event = "store_moved_aside", %moved_to, reason, "the store was damaged: it was moved aside, and a new one begun");
            }
            found => {
                tracing::info!(event = "store_opened", dir = %options.dir.display(), ?found, "the store is open")
            }
        }
        let last_run_ms = store.last_run_ms;
        let shared = Arc::new(Shared {
            writes: Queue::new(WRITES_QUEUED_MAX, WRITES_QUEUED_BYTES_MAX),
            reads: Queue::new(READS_QUEUED_MAX, usize::MAX),
            checkpoints: Checkpoints::default(),
            incarnation: AtomicU32::new(store.incarnation),
            epoch: Mutex::new(Arc::clone(&store.beginning.epoch)),
            bytes: AtomicU64::new(store.counts.bytes),
            generation: AtomicU64::new(FIRST_GENERATION),
            takes_appends: AtomicBool::new(store.marked),
            died: AtomicBool::new(false),
        });
        let mut others = Vec::new();
        let writer = start(&shared, &mut others, directory.database())
            .and_then(|()| {
                let writer =
                    Writer::new(Arc::clone(&shared), directory, options, store, std::mem::take(&mut others));
                spawn(&shared, "tautline-disk-writer", move || writer.run()).map_err(OpenError::Threads)
            })
            .inspect_err(|_| {
                shared.reads.close();
                shared.checkpoints.close();
            })?;
        let revocations = revocations.into();
        Ok((Self { shared, writer: Mutex::new(Some(writer)), revocations, bans, last_run_ms }, opened))
    }

    /// Does and answers everything that was submitted before, marks the store as closed and unlocks its directory. What is
    /// submitted later is refused. Blocks; from an answer, which a thread of the engine gives, it only begins the end.
    pub fn close(&self) {
        self.shared.writes.close();
        if OWN_THREAD.get() {
            return;
        }
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = writer.take()
            && writer.join().is_err()
        {
            tracing::error!(
                event = "store_writer_panicked",
                "the store's writer had panicked: the next start will check the file"
            );
        }
    }

    /// True where a thread of the store has panicked: nothing is stored or read any more, and the next start looks at the file.
    #[must_use]
    pub fn has_died(&self) -> bool {
        self.shared.died.load(Ordering::Acquire)
    }

    fn submit_write(&self, job: Write, bytes: usize) {
        let holder = match &job {
            Write::Append(job) => job.holder,
            _ => Holder::BACK_END,
        };
        let Err((job, refused)) = self.shared.writes.push(holder, job, bytes) else { return };
        let error = match refused {
            Refused::Full => {
                EngineError::Full("more is published than the disk can take: try again soon".to_owned())
            }
            Refused::Closed => closed(),
        };
        // Positions that are not kept cost a redelivery, and what is not tidied now is tidied later.
        match job {
            Write::Append(job) => job.answer.give(Err(error)),
            Write::Revoke(job) => job.answer.give(Err(error)),
            Write::Ban(job) => job.answer.give(Err(error)),
            Write::ForgetUser(job) => job.answer.give(Err(error)),
            Write::Keep(_) | Write::Tidy(_) | Write::Foreign { .. } | Write::Damaged { .. } => {}
        }
    }

    fn submit_ask(&self, job: ReadJob) {
        let Err((job, refused)) = self.shared.reads.push(job.holder(), job, 1) else { return };
        let error = match refused {
            Refused::Full => {
                EngineError::Unavailable("more is read than the disk can give: try again soon".to_owned())
            }
            Refused::Closed => closed(),
        };
        job.refuse(&error);
    }
}

/// Starts the readers and the checkpointer. Their connections are opened now: later there may be no file to be had.
fn start(
    shared: &Arc<Shared>,
    threads: &mut Vec<JoinHandle<()>>,
    database: PathBuf,
) -> Result<(), OpenError> {
    let failed = |fault| OpenError::File { file: database.clone(), source: Box::new(fault) };
    for number in 1..=READERS {
        let reader = Reader::connect(&database, FIRST_GENERATION).map_err(failed)?;
        let (of, database) = (Arc::clone(shared), database.clone());
        let work = move || reader::run(&of, &database, reader);
        threads
            .push(spawn(shared, &format!("tautline-disk-read{number}"), work).map_err(OpenError::Threads)?);
    }
    let connection = schema::connect_reader(&database).map_err(failed)?;
    let of = Arc::clone(shared);
    let work = move || of.checkpoints.run(&database, connection, &of.generation);
    threads.push(spawn(shared, "tautline-disk-copy", work).map_err(OpenError::Threads)?);
    Ok(())
}

fn spawn(
    shared: &Arc<Shared>,
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, std::io::Error> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        OWN_THREAD.set(true);
        let _end = Ending(shared);
        work();
    })
}

thread_local! {
    /// This thread is one of an engine's: it must not wait for the engine's end.
    static OWN_THREAD: Cell<bool> = const { Cell::new(false) };
}

fn closed() -> EngineError {
    EngineError::Unavailable("this node is stopping: its store is closed".to_owned())
}

/// Gives an outcome. A panic of whoever takes it must not take the thread along.
pub(crate) fn give<T>(answer: Answer<T>, outcome: Result<T, EngineError>) {
    if catch_unwind(AssertUnwindSafe(|| answer.give(outcome))).is_err() {
        tracing::error!(event = "store_callback_panicked", "an answer of the store was taken with a panic");
    }
}

impl ReadJob {
    pub(crate) fn refuse(self, error: &EngineError) {
        match self {
            Self::Stat(job) => give(job.answer, Err(error.clone())),
            Self::Read(job) => give(job.answer, Err(error.clone())),
        }
    }
}

impl Engine for DiskEngine {
    fn submit(&self, job: Job) {
        match job {
            Job::Append(job) => {
                let content = &job.content;
                let text = content.data.len() + content.tags.as_ref().map_or(0, |tags| tags.len());
                let bytes = size_of::<Append>() + job.channel.as_str().len() + text;
                self.submit_write(Write::Append(job), bytes);
            }
            Job::Stat(job) => self.submit_ask(ReadJob::Stat(job)),
            Job::Read(job) => self.submit_ask(ReadJob::Read(job)),
            Job::SavePositions(job) => {
                let bytes = job.updates.len() * size_of::<PositionUpdate>();
                self.submit_write(Write::Keep(job), bytes);
            }
            Job::Revoke(job) => self.submit_write(Write::Revoke(job), size_of::<Revoke>()),
            Job::ForgetUser(job) => self.submit_write(Write::ForgetUser(job), size_of::<ForgetUser>()),
            Job::SaveBan(job) => self.submit_write(Write::Ban(job), size_of::<SaveBan>()),
            Job::Tidy { wall_ms, retention, in_use } => {
                self.submit_write(Write::Tidy(Tidy { wall_ms, retention, in_use }), 0);
            }
        }
    }

    fn revocations(&self) -> Vec<Revocation> {
        self.revocations.to_vec()
    }

    fn bans(&self) -> Vec<Ban> {
        self.bans.to_vec()
    }

    fn incarnation(&self) -> u32 {
        self.shared.incarnation.load(Ordering::Acquire)
    }

    fn takes_appends(&self) -> bool {
        !self.has_died() && self.shared.takes_appends.load(Ordering::Acquire)
    }

    fn last_run_ms(&self) -> u64 {
        self.last_run_ms
    }

    fn bytes(&self) -> usize {
        usize::try_from(self.shared.bytes.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }
}

impl Drop for DiskEngine {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for DiskEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskEngine")
            .field("life", &self.incarnation())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
