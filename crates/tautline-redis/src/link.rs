//! One connection to one node, over which commands of many callers follow each other.
//!
//! Start at [`Link::ask`]. Connects when it is first asked and whenever it was cut, for ever; a caller that
//! asks meanwhile is told so at once, and repeats or not.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    counts::Counts,
    jitter::Backoff,
    resp::{self, Command, Value},
    socket::{self, Account, Socket},
};

/// Callers that wait until their commands are written; others wait in turn.
const QUEUED_MAX: usize = 1_024;
/// Commands of so many callers are written at once.
const WRITTEN_AT_ONCE: usize = 64;
/// Room for replies that is kept between them.
const BUFFER_BYTES: usize = 16 * 1024;

/// Why a caller has no replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The commands may have been executed.
    pub(crate) sent: bool,
    pub(crate) words: String,
}

impl Cut {
    fn unsent(words: impl Into<String>) -> Self {
        Self { sent: false, words: words.into() }
    }
}

type Replies = Result<Vec<Value>, Cut>;

/// A way to a node. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Link(mpsc::Sender<Request>);

#[derive(Debug)]
struct Request {
    bytes: Vec<u8>,
    count: usize,
    answer: oneshot::Sender<Replies>,
}

impl Link {
    /// A way to `address`. A connection that owes a reply for longer than `reply_wait` is given up.
    pub(crate) fn to(address: String, account: Account, waits: Waits, counts: Arc<Counts>) -> Self {
        let (requests, queue) = mpsc::channel(QUEUED_MAX);
        tokio::spawn(run(address, account, waits, counts, queue));
        Self(requests)
    }

    /// Sends commands, and waits for the reply to each.
    pub(crate) async fn ask(&self, commands: &[Command], whole: bool) -> Replies {
        let mut bytes = Vec::new();
        commands.iter().for_each(|command| command.write(whole, &mut bytes));
        let (answer, replies) = oneshot::channel();
        let request = Request { bytes, count: commands.len(), answer };
        if self.0.send(request).await.is_err() {
            return Err(Cut::unsent("the engine is closed"));
        }
        replies.await.unwrap_or_else(|_| Err(Cut::unsent("the engine is closed")))
    }
}

/// How long a link waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// For a connection.
    pub(crate) connect: Duration,
    /// For a reply.
    pub(crate) reply: Duration,
}

async fn run(
    address: String,
    account: Account,
    waits: Waits,
    counts: Arc<Counts>,
    mut queue: mpsc::Receiver<Request>,
) {
    let mut backoff = Backoff::default();
    // A connection is made for somebody.
    while let Some(first) = queue.recv().await {
        let connecting = timeout(waits.connect, socket::connect(&address, &account)).await;
        let cause = match connecting {
            Ok(Ok(socket)) => {
                let since = Instant::now();
                let cause = Traffic::new(socket, waits.reply).carry(first, &mut queue).await;
                if since.elapsed() > Duration::from_secs(1) {
                    backoff = Backoff::default();
                }
                cause
            }
            Ok(Err(error)) => {
                let cause = format!("cannot connect to Redis at {address}: {error}");
                let _ = first.answer.send(Err(Cut::unsent(&*cause)));
                cause
            }
            Err(_) => {
                let cause = format!("Redis at {address} does not answer");
                let _ = first.answer.send(Err(Cut::unsent(&*cause)));
                cause
            }
        };
        let Some(cause) = Some(cause).filter(|cause| !cause.is_empty()) else { return };
        tracing::warn!(event = "redis_disconnected", %address, cause, "no connection to Redis; connecting again");
        counts.redials.add(1);
        // Nobody waits for a connection that cannot be had.
        let until = Instant::now() + backoff.next_wait();
        while let Ok(request) = tokio::time::timeout_at(until, queue.recv()).await {
            let Some(request) = request else { return };
            let _ = request.answer.send(Err(Cut::unsent(&*cause)));
        }
    }
}

/// What goes over one connection.
struct Traffic {
    socket: Socket,
    reply_wait: Duration,
    owed: VecDeque<Owed>,
    out: Vec<u8>,
    buffer: Vec<u8>,
}

/// Replies that a caller waits for.
struct Owed {
    until: Instant,
    count: usize,
    replies: Vec<Value>,
    answer: oneshot::Sender<Replies>,
}

impl Traffic {
    fn new(socket: Socket, reply_wait: Duration) -> Self {
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        Self { socket, reply_wait, owed: VecDeque::new(), out: Vec::new(), buffer }
    }

    /// Carries until the connection is cut, and says why; an empty cause where there are no more callers.
    async fn carry(mut self, first: Request, queue: &mut mpsc::Receiver<Request>) -> String {
        let mut batch = vec![first];
        let cause = loop {
            batch.drain(..).for_each(|request| self.owe(request));
            match timeout(self.reply_wait, self.socket.write_all(&self.out)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => break error.to_string(),
                Err(_) => break format!("Redis takes nothing for {:?}", self.reply_wait),
            }
            self.out.clear();
            let due = self.owed.front().map(|owed| owed.until);
            tokio::select! {
                read = self.socket.read_buf(&mut self.buffer) => match read {
                    Ok(0) => break "Redis has closed the connection".to_owned(),
                    Ok(_) => if let Err(error) = self.take_replies() { break error.to_string() },
                    Err(error) => break error.to_string(),
                },
                count = queue.recv_many(&mut batch, WRITTEN_AT_ONCE) => if count == 0 { break String::new() },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() =>
                    break format!("Redis owes a reply for {:?}", self.reply_wait),
            }
        };
        for owed in self.owed {
            let _ = owed.answer.send(Err(Cut { sent: true, words: cause.clone() }));
        }
        for request in batch {
            let _ = request.answer.send(Err(Cut::unsent(&*cause)));
        }
        cause
    }

    fn owe(&mut self, request: Request) {
        let Request { bytes, count, answer } = request;
        self.out.extend_from_slice(&bytes);
        let until = Instant::now() + self.reply_wait;
        self.owed.push_back(Owed { until, count, replies: Vec::with_capacity(count), answer });
    }

    fn take_replies(&mut self) -> Result<(), resp::Malformed> {
        let mut at = 0;
        while let Some((reply, length)) = resp::read(&self.buffer[at..])? {
            at += length;
            let owed = self.owed.front_mut().ok_or(resp::Malformed)?;
            owed.replies.push(reply);
            if owed.replies.len() == owed.count
                && let Some(owed) = self.owed.pop_front()
            {
                let _ = owed.answer.send(Ok(owed.replies));
            }
        }
        self.buffer.drain(..at);
        if self.buffer.is_empty() {
            self.buffer.shrink_to(BUFFER_BYTES);
        }
        Ok(())
    }
}
