//! The engine: threads round a file, and queues before them.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use tautline_hub::{
    Rules,
    engine::{Answer, Append, Engine, EngineError, Job, Look, Mark, Read},
};

use crate::{
    checkpoint::Checkpoints,
    opening::{self, OpenError, Opened},
    options::{DiskOptions, READERS, READS_QUEUED_MAX, WRITES_QUEUED_BYTES_MAX, WRITES_QUEUED_MAX},
    queue::{Queue, Refused},
    reader,
    writer::Writer,
};

/// Logs on disk. [`DiskEngine::close`] it at the end; dropping it does the same.
pub struct DiskEngine {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the threads and the engine share.
pub(crate) struct Shared {
    pub(crate) writes: Queue<Write>,
    pub(crate) reads: Queue<Ask>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) life: AtomicU32,
    /// Of packets that are kept.
    pub(crate) bytes: AtomicU64,
    /// Rises whenever connections have to be made anew.
    pub(crate) generation: AtomicU64,
}

/// What the writer does.
pub(crate) enum Write {
    Append(Append),
    Keep(Vec<Mark>),
    Tidy {
        wall_ms: u64,
        rules: Arc<Rules>,
    },
    /// A reader of this generation found the file damaged.
    Damaged {
        generation: u64,
        reason: String,
    },
}

/// What readers do.
pub(crate) enum Ask {
    Look(Look),
    Read(Read),
}

impl DiskEngine {
    /// Opens a store, or begins one, and says what was found. Blocks: after an unclean stop the whole file is read.
    ///
    /// # Errors
    /// [`OpenError`] says what to do. A damaged file is none: it is moved aside.
    pub fn open(options: DiskOptions) -> Result<(Self, Opened), OpenError> {
        let (directory, store, opened) = opening::open(&options)?;
        match &opened {
            Opened::Damaged { moved_to, reason } => {
                let moved_to = moved_to.display();
                tracing::error!(%moved_to, reason, "the store was damaged: it was moved aside, and a new one begun");
            }
            found => tracing::info!(dir = %options.dir.display(), ?found, "the store is open"),
        }
        let shared = Arc::new(Shared {
            writes: Queue::new(WRITES_QUEUED_MAX, WRITES_QUEUED_BYTES_MAX),
            reads: Queue::new(READS_QUEUED_MAX, usize::MAX),
            checkpoints: Checkpoints::default(),
            life: AtomicU32::new(store.life),
            bytes: AtomicU64::new(store.counts.bytes),
            generation: AtomicU64::new(1),
        });
        let mut others = Vec::new();
        let writer = start(&shared, &mut others, directory.database())
            .and_then(|()| {
                let writer =
                    Writer::new(Arc::clone(&shared), directory, options, store, std::mem::take(&mut others));
                spawn("tautline-disk-writer", move || writer.run())
            })
            .map_err(|error| {
                shared.reads.close();
                shared.checkpoints.close();
                OpenError::Threads(error)
            })?;
        Ok((Self { shared, writer: Mutex::new(Some(writer)) }, opened))
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
            tracing::error!("the store's writer had panicked: the next start will check the file");
        }
    }

    fn submit_write(&self, job: Write, bytes: usize) {
        let Err((job, refused)) = self.shared.writes.push(job, bytes) else { return };
        // Positions that are not kept cost a redelivery, and what is not tidied now is tidied later.
        if let Write::Append(job) = job {
            job.answer.give(Err(match refused {
                Refused::Full => {
                    EngineError::Full("more is published than the disk can take: try again soon".to_owned())
                }
                Refused::Closed => closed(),
            }));
        }
    }

    fn submit_ask(&self, job: Ask) {
        let Err((job, refused)) = self.shared.reads.push(job, 1) else { return };
        let error = match refused {
            Refused::Full => {
                EngineError::Unavailable("more is read than the disk can give: try again soon".to_owned())
            }
            Refused::Closed => closed(),
        };
        job.refuse(&error);
    }
}

/// Starts the readers and the checkpointer.
fn start(
    shared: &Arc<Shared>,
    threads: &mut Vec<JoinHandle<()>>,
    database: std::path::PathBuf,
) -> Result<(), std::io::Error> {
    for number in 1..=READERS {
        let (shared, database) = (Arc::clone(shared), database.clone());
        let name = format!("tautline-disk-read{number}");
        threads.push(spawn(&name, move || reader::run(&shared, &database))?);
    }
    let checkpoints = Arc::clone(shared);
    threads.push(spawn("tautline-disk-copy", move || checkpoints.checkpoints.run(&database))?);
    Ok(())
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, std::io::Error> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        OWN_THREAD.set(true);
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
        tracing::error!("an answer of the store was taken with a panic");
    }
}

impl Ask {
    pub(crate) fn refuse(self, error: &EngineError) {
        match self {
            Self::Look(job) => give(job.answer, Err(error.clone())),
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
            Job::Look(job) => self.submit_ask(Ask::Look(job)),
            Job::Read(job) => self.submit_ask(Ask::Read(job)),
            Job::Keep(marks) => {
                let bytes = marks.len() * size_of::<Mark>();
                self.submit_write(Write::Keep(marks), bytes);
            }
            Job::Tidy { wall_ms, rules } => self.submit_write(Write::Tidy { wall_ms, rules }, 0),
        }
    }

    fn life(&self) -> u32 {
        self.shared.life.load(Ordering::Acquire)
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
            .field("life", &self.life())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
