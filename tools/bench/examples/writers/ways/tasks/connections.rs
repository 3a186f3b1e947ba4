//! A task a connection, as the gateway and the hub have it: the publisher appends to the log and notifies the mailbox of each
//! subscriber; each task reads the log from its place and writes.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::{
    net::TcpStream,
    sync::Notify,
    task::{JoinHandle, yield_now},
};

use super::{super::stage::CHUNK, Publisher, enqueue, submit, write};

/// Messages that a log keeps.
const KEPT: usize = 64;

/// `BY_RING`: a task does not write, but adds its send to what the thread submits together.
pub(super) struct Connections<const BY_RING: bool> {
    channels: Vec<Arc<Channel>>,
    tasks: Vec<JoinHandle<TcpStream>>,
    submitter: JoinHandle<()>,
}

struct Channel(Mutex<State>);

#[derive(Default)]
struct State {
    log: VecDeque<Bytes>,
    head: u64,
    subscribers: Vec<Subscriber>,
}

struct Subscriber {
    mailbox: Arc<Mailbox>,
    /// Rung, and has not read since.
    notified: bool,
}

/// What a connection must look at.
struct Mailbox(Mutex<Attention>);

#[derive(Default)]
struct Attention {
    waker: Option<Waker>,
    news: Vec<Arc<Channel>>,
    is_over: bool,
}

struct Connection {
    socket: TcpStream,
    mailbox: Arc<Mailbox>,
    seat: usize,
    place: u64,
    unsent: Option<Bytes>,
    /// Told of the first send of a batch.
    ring: Option<Arc<Notify>>,
}

/// Lets those who are ready add their sends, then submits.
async fn submit_always(first: Arc<Notify>) {
    loop {
        first.notified().await;
        yield_now().await;
        submit();
    }
}

impl<const BY_RING: bool> Publisher for Connections<BY_RING> {
    fn begin(sockets: Vec<TcpStream>, per_channel: usize) -> Self {
        let channels = (0..sockets.len() / per_channel).map(|_| Arc::new(Channel(Mutex::default())));
        let channels: Vec<_> = channels.collect();
        let first = Arc::new(Notify::new());
        let submitter = tokio::spawn(submit_always(Arc::clone(&first)));
        let join = |(number, socket)| {
            let channel: &Arc<Channel> = &channels[number / per_channel];
            let mailbox = Arc::new(Mailbox(Mutex::default()));
            channel
                .0
                .lock()
                .expect("nobody panics")
                .subscribers
                .push(Subscriber { mailbox: Arc::clone(&mailbox), notified: false });
            let seat = number % per_channel;
            let ring = BY_RING.then(|| Arc::clone(&first));
            let mut connection = Connection { socket, mailbox, seat, place: 0, unsent: None, ring };
            tokio::spawn(async move {
                poll_fn(|cx| connection.poll(cx)).await;
                connection.socket
            })
        };
        let tasks = sockets.into_iter().enumerate().map(join).collect();
        Self { channels, tasks, submitter }
    }

    async fn publish(&mut self, channel: usize, message: Bytes) {
        let channel = &self.channels[channel];
        channel.append(message);
        let mut next = Some(0);
        while let Some(from) = next {
            if from > 0 {
                // The gateway's pump lets others have their turn, too.
                yield_now().await;
            }
            next = channel.ring(from);
        }
    }

    async fn end(self) -> anyhow::Result<Vec<TcpStream>> {
        for channel in &self.channels {
            let state = channel.0.lock().expect("nobody panics");
            for subscriber in &state.subscribers {
                let mut attention = subscriber.mailbox.0.lock().expect("nobody panics");
                attention.is_over = true;
                attention.waker.iter().for_each(Waker::wake_by_ref);
            }
        }
        self.submitter.abort();
        let mut sockets = Vec::new();
        for task in self.tasks {
            sockets.push(task.await?);
        }
        Ok(sockets)
    }
}

impl Channel {
    fn append(&self, message: Bytes) {
        let mut state = self.0.lock().expect("nobody panics");
        state.log.push_back(message);
        state.head += 1;
        if state.log.len() > KEPT {
            state.log.pop_front();
        }
    }

    /// Rings a chunk, and says where the next one begins.
    fn ring(self: &Arc<Self>, from: usize) -> Option<usize> {
        let mut state = self.0.lock().expect("nobody panics");
        let to = state.subscribers.len().min(from + CHUNK);
        for subscriber in state.subscribers[from..to].iter_mut().filter(|subscriber| !subscriber.notified) {
            subscriber.notified = true;
            let mut attention = subscriber.mailbox.0.lock().expect("nobody panics");
            attention.news.push(Arc::clone(self));
            attention.waker.iter().for_each(Waker::wake_by_ref);
        }
        (to < state.subscribers.len()).then_some(to)
    }

    /// What follows a place.
    fn read(&self, seat: usize, place: &mut u64) -> Option<Bytes> {
        let mut state = self.0.lock().expect("nobody panics");
        state.subscribers[seat].notified = false;
        let behind = usize::try_from(state.head - *place).ok().filter(|behind| *behind > 0)?;
        // One publication is in flight: there is never more to join.
        *place = state.head;
        state.log.get(state.log.len() - behind.min(state.log.len())).cloned()
    }
}

impl Connection {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut is_new = false;
        let mut attention = self.mailbox.0.lock().expect("nobody panics");
        attention.waker.get_or_insert_with(|| {
            is_new = true;
            cx.waker().clone()
        });
        drop(attention);
        // The gateway's poll begins with a read, which asks the same.
        let _nothing_comes = self.socket.poll_read_ready(cx);
        loop {
            let mut attention = self.mailbox.0.lock().expect("nobody panics");
            if attention.is_over {
                return Poll::Ready(());
            }
            if self.unsent.is_none() {
                let Some(channel) = attention.news.pop() else { return Poll::Pending };
                drop(attention);
                self.unsent = channel.read(self.seat, &mut self.place);
            } else {
                drop(attention);
            }
            let Some(message) = &self.unsent else { continue };
            if let Some(first) = &self.ring {
                if enqueue(&self.socket, message) {
                    first.notify_one();
                }
            } else if !write(&self.socket, message) {
                // The rest of the log waits until the socket has room.
                let Poll::Ready(_) = self.socket.poll_write_ready(cx) else { return Poll::Pending };
                continue;
            }
            self.unsent = None;
        }
    }
}
