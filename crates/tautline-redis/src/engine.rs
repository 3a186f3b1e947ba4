//! The engine: queues in front of Redis, and a thread that asks it.

use std::{
    cell::Cell,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Instant,
};

use tautline_engine::{
    Ban, ClaimSession, Engine, EngineError, EngineFigures, Job, NodeEvent, NodeId, Nodes, Revocation,
};
use tautline_protocol::ChannelName;
use tokio::{
    runtime::Runtime,
    sync::{Notify, mpsc},
};

use crate::{
    append_queue::Appends,
    appends,
    chores::{self, Chore},
    claim_table::Claims,
    claims,
    inbox::{self, Cursors},
    keys::Keys,
    link::Waits,
    losses::Losses,
    options::{CHORES_MAX, CLOSE_WAIT, HINTS_MAX, RedisOptions, TELLS_MAX, Wake},
    random::{random, random_incarnation},
    read_queue::{ReadJob, Reads},
    reads, ring,
    router::Router,
    saved,
    shared::{Open, Shared},
    subscriber, tells, wakes,
    way::Way,
};

/// Logs in Redis. [`RedisEngine::close`] it at the end; dropping it does the same.
pub struct RedisEngine {
    shared: Arc<Shared>,
    runtime: Mutex<Option<Runtime>>,
    chores: mpsc::Sender<(Chore, tokio::time::Instant, Open)>,
    /// Revocations and bans that were saved before it was opened.
    revocations: Box<[Revocation]>,
    bans: Box<[Ban]>,
    /// Where messages of other nodes begin that came after these.
    cursors: Cursors,
    /// The keys of tickets as they were read last.
    ticket_keys: Mutex<String>,
}

/// Why an engine could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Redis could not be reached, or refuses us.
    #[error("cannot use {url}: {error}")]
    Redis {
        /// Its address, without the password.
        url: String,
        /// What it said.
        error: EngineError,
    },
    /// The thread could not be started, or the system has no randomness.
    #[error("cannot start the thread of the engine")]
    System(#[source] std::io::Error),
}

thread_local! {
    /// This thread is the engine's: it must not wait for the engine's end.
    static OWN_THREAD: Cell<bool> = const { Cell::new(false) };
}

impl RedisEngine {
    /// Connects, and reads what is needed before the first job. Blocks meanwhile.
    ///
    /// # Errors
    /// [`OpenError`] if Redis cannot be reached for [`RedisOptions::job_wait`], or refuses us.
    pub fn open(options: RedisOptions) -> Result<Self, OpenError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tautline-redis")
            .on_thread_start(|| OWN_THREAD.set(true))
            .enable_io()
            .enable_time()
            .build()
            .map_err(OpenError::System)?;
        let (hints, hints_queue) = mpsc::channel(HINTS_MAX);
        let waits = Waits { connect: options.connect_wait, reply: options.reply_wait };
        let (tells, tells_queue) = mpsc::channel(TELLS_MAX);
        let shared = Arc::new(Shared {
            router: Router::new(options.url.clone(), waits),
            keys: Keys::new(&options.prefix),
            options,
            appends: Appends::new(),
            reads: Reads::new(),
            runtime: runtime.handle().clone(),
            process: random().map_err(OpenError::System)?,
            incarnation: AtomicU32::new(0),
            next_incarnation: AtomicU32::new(random_incarnation().map_err(OpenError::System)?),
            takes_appends: AtomicBool::new(true),
            tidy_waits: AtomicBool::new(false),
            way: Way::new(),
            losses: Losses::default(),
            look_at_all: Notify::new(),
            served: Mutex::default(),
            hints,
            on_hint: OnceLock::new(),
            tells,
            on_node_event: OnceLock::new(),
            messages: Notify::new(),
            claims: Claims::default(),
            closed: AtomicBool::new(false),
            open: AtomicUsize::new(0),
        });
        let opening = Arc::clone(&shared);
        let opened = runtime.spawn(async move {
            saved::begin(&opening).await?;
            // First: what is said from then on is told, what was saved before is read below.
            let cursors = inbox::begin(&opening).await?;
            Ok((saved::revocations(&opening).await?, saved::bans(&opening).await?, cursors))
        });
        let (chores, queue) = mpsc::channel(CHORES_MAX);
        let opened = wait_for(&runtime, opened);
        let url = || shared.options.url.to_string();
        match opened {
            Ok((revocations, bans, cursors)) => {
                runtime.spawn(tells::run(Arc::clone(&shared), tells_queue));
                runtime.spawn(chores::run(Arc::clone(&shared), queue));
                runtime.spawn(wakes::look(Arc::clone(&shared)));
                if shared.options.wake == Wake::Hints {
                    runtime.spawn(wakes::send_hints(Arc::clone(&shared), hints_queue));
                    runtime.spawn(wakes::send_probes(Arc::clone(&shared)));
                    runtime.spawn(subscriber::run(Arc::clone(&shared)));
                }
                tracing::info!(event = "redis_opened", url = url(), "Redis keeps the logs");
                let (revocations, bans) = (revocations.into(), bans.into());
                let (runtime, ticket_keys) = (Mutex::new(Some(runtime)), Mutex::default());
                Ok(Self { shared, runtime, chores, revocations, bans, cursors, ticket_keys })
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(OpenError::Redis { url: url(), error })
            }
        }
    }

    /// Calls `on_hint` from now on when another node may have appended to a channel: with its name and the head
    /// of its log, or the highest number where the log is to be looked at whatever its head is. Once only.
    pub fn on_hint(&self, on_hint: impl Fn(&ChannelName, u64) + Send + Sync + 'static) {
        let _ = self.shared.on_hint.set(Box::new(on_hint));
    }

    /// Calls `on_node_event` from now on with what other nodes on this Redis do; what it returns is handed over. Once
    /// only. Without it this engine counts as one of a single node.
    pub fn on_node_event(
        &self,
        on_node_event: impl Fn(NodeEvent) -> Option<Box<str>> + Send + Sync + 'static,
    ) {
        if self.shared.on_node_event.set(Box::new(on_node_event)).is_ok() {
            self.shared.runtime.spawn(inbox::run(Arc::clone(&self.shared), self.cursors));
        }
    }

    /// The keys of tickets that all nodes on this Redis have, the first seals; one of them makes a new one when its
    /// time has come. To be called at the start and every minute. Blocks.
    ///
    /// # Errors
    /// Where Redis does not answer. The keys of the last call are good for as long as no other node has made new
    /// ones.
    pub fn ticket_keys(&self, wall_ms: u64, ticket_ms: u64) -> Result<Vec<[u8; 32]>, EngineError> {
        let mut known = self.ticket_keys.lock().unwrap_or_else(PoisonError::into_inner);
        let (text, keys) = self.wait_for(ring::keys(&self.shared, &known, (wall_ms, ticket_ms)))?;
        *known = text;
        Ok(keys)
    }

    /// Takes no more jobs, and waits until those under way are answered, at most ten seconds. Blocks; from an
    /// answer it only begins the end.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        if OWN_THREAD.get() {
            return;
        }
        let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        if runtime.is_some() && self.shared.on_node_event.get().is_some() {
            self.wait_for(inbox::end(&self.shared));
        }
        let runtime = runtime.take();
        let Some(runtime) = runtime else { return };
        let since = Instant::now();
        while self.shared.open.load(Ordering::Acquire) > 0 && since.elapsed() < CLOSE_WAIT {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        runtime.shutdown_background();
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Runs something on the engine's thread, and waits for it.
    pub(crate) fn wait_for<T: Send>(&self, work: impl Future<Output = T> + Send) -> T {
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| self.shared.runtime.block_on(work)).join();
            waiting.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn submit_read(&self, job: ReadJob) {
        if self.shared.reads.submit(job) {
            reads::spawn(&self.shared);
        }
    }

    fn submit_chore(&self, chore: Chore) {
        let is_tidy = matches!(chore, Chore::Tidy { .. });
        if is_tidy && self.shared.tidy_waits.swap(true, Ordering::AcqRel) {
            return;
        }
        let queued = (chore, tokio::time::Instant::now(), self.shared.open());
        if let Err(error) = self.chores.try_send(queued) {
            let (chore, _, _open) = error.into_inner();
            if is_tidy {
                self.shared.tidy_waits.store(false, Ordering::Release);
            }
            chore.refuse(&EngineError::Full("more is saved than Redis takes: try again soon".to_owned()));
        }
    }
}

/// Waits for a task from outside, also where the caller is a task of another runtime.
fn wait_for<T: Send>(
    runtime: &Runtime,
    task: tokio::task::JoinHandle<Result<T, EngineError>>,
) -> Result<T, EngineError> {
    let waiting = || runtime.block_on(task);
    let joined = std::thread::scope(|scope| scope.spawn(waiting).join());
    match joined {
        Ok(Ok(outcome)) => outcome,
        _ => Err(EngineError::Unavailable("the engine panicked".to_owned())),
    }
}

impl Engine for RedisEngine {
    fn submit(&self, job: Job) {
        if self.shared.closed.load(Ordering::Acquire) {
            return job.refuse(&EngineError::Unavailable("this node is stopping".to_owned()));
        }
        match job {
            Job::Append(job) => {
                let begins = self.shared.appends.submit(job);
                begins.into_iter().for_each(|partition| appends::spawn(&self.shared, partition));
            }
            Job::Stat(job) => self.submit_read(ReadJob::Stat(job)),
            Job::Read(job) => self.submit_read(ReadJob::Read(job)),
            Job::SavePositions(job) => self.submit_chore(Chore::Positions(job)),
            Job::Revoke(job) => tells::revoke(&self.shared, job),
            Job::SaveBan(job) => tells::save_ban(&self.shared, job),
            Job::ForgetUser(job) => self.submit_chore(Chore::ForgetUser(job)),
            Job::Tidy { wall_ms, retention, in_use } => {
                self.submit_chore(Chore::Tidy { wall_ms, retention, in_use });
            }
        }
    }

    fn incarnation(&self) -> u32 {
        self.shared.incarnation.load(Ordering::Acquire)
    }

    fn revocations(&self) -> Vec<Revocation> {
        self.revocations.to_vec()
    }

    fn bans(&self) -> Vec<Ban> {
        self.bans.to_vec()
    }

    fn figures(&self) -> EngineFigures {
        self.shared.router.counts.figures()
    }

    fn nodes(&self) -> Option<&dyn Nodes> {
        self.shared.on_node_event.get().map(|_| self as &dyn Nodes)
    }

    fn takes_appends(&self) -> bool {
        let overdue = self.shared.options.wake == Wake::Hints && self.shared.way.is_overdue();
        self.shared.takes_appends.load(Ordering::Acquire) && !overdue
    }
}

impl Nodes for RedisEngine {
    fn id(&self) -> NodeId {
        NodeId(self.shared.process)
    }

    fn tell(&self, text: Box<str>) {
        tells::tell_all(&self.shared, text);
    }

    fn claim(&self, claim: ClaimSession) {
        claims::submit(&self.shared, claim);
    }
}

impl Drop for RedisEngine {
    fn drop(&mut self) {
        self.close();
        // From a thread of its own, closing has left it.
        let runtime = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        runtime.into_iter().for_each(Runtime::shutdown_background);
    }
}

impl std::fmt::Debug for RedisEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisEngine")
            .field("url", &self.shared.options.url)
            .field("incarnation", &self.incarnation())
            .finish_non_exhaustive()
    }
}
