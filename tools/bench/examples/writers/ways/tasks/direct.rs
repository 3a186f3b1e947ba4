//! The publisher's task writes to all sockets itself: without a thought for anybody else, and as it would have to be done.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::{
    net::TcpStream,
    sync::Notify,
    task::{JoinHandle, yield_now},
};

use super::{super::stage::CHUNK, Publisher, write};

/// Nothing but the sockets. Whoever is full misses the message.
pub(super) struct Direct {
    sockets: Vec<TcpStream>,
    per_channel: usize,
}

impl Publisher for Direct {
    fn begin(sockets: Vec<TcpStream>, per_channel: usize) -> Self {
        Self { sockets, per_channel }
    }

    async fn publish(&mut self, channel: usize, message: Bytes) {
        for chunk in self.sockets[channel * self.per_channel..][..self.per_channel].chunks(CHUNK) {
            for socket in chunk {
                write(socket, &message);
            }
            yield_now().await;
        }
    }

    async fn end(self) -> anyhow::Result<Vec<TcpStream>> {
        Ok(self.sockets)
    }
}

/// Each line has a task, which reads, and writes what the publisher could not; so both have to agree on who writes.
pub(super) struct Locked {
    lines: Vec<Arc<Line>>,
    tasks: Vec<JoinHandle<()>>,
    per_channel: usize,
    /// Of each channel: its log in the gateway.
    heads: Vec<Mutex<(u64, Option<Bytes>)>>,
}

struct Line {
    socket: TcpStream,
    state: Mutex<Standing>,
    left: Notify,
}

/// How far a line is.
#[derive(Default)]
struct Standing {
    place: u64,
    /// The socket was full: the task goes on from the log when there is room.
    is_behind: bool,
}

impl Publisher for Locked {
    fn begin(sockets: Vec<TcpStream>, per_channel: usize) -> Self {
        let heads = (0..sockets.len() / per_channel).map(|_| Mutex::default()).collect();
        let line = |socket| Arc::new(Line { socket, state: Mutex::default(), left: Notify::new() });
        let lines: Vec<_> = sockets.into_iter().map(line).collect();
        let tasks = lines.iter().map(|line| tokio::spawn(Arc::clone(line).live())).collect();
        Self { lines, tasks, per_channel, heads }
    }

    async fn publish(&mut self, channel: usize, message: Bytes) {
        let head = {
            let mut log = self.heads[channel].lock().expect("nobody panics");
            log.0 += 1;
            log.1 = Some(message.clone());
            log.0
        };
        for chunk in self.lines[channel * self.per_channel..][..self.per_channel].chunks(CHUNK) {
            chunk.iter().for_each(|line| line.hand(head, &message));
            yield_now().await;
        }
    }

    async fn end(self) -> anyhow::Result<Vec<TcpStream>> {
        for task in self.tasks {
            task.abort();
            let _aborted = task.await;
        }
        let socket = |line| Arc::into_inner(line).map(|line: Line| line.socket);
        Ok(self.lines.into_iter().filter_map(socket).collect())
    }
}

impl Line {
    /// Writes, if this line has everything before.
    fn hand(&self, head: u64, message: &[u8]) {
        let mut standing = self.state.lock().expect("nobody panics");
        if standing.is_behind || standing.place + 1 != head {
            return;
        }
        if write(&self.socket, message) {
            standing.place = head;
        } else {
            standing.is_behind = true;
            self.left.notify_one();
        }
    }

    async fn live(self: Arc<Self>) {
        tokio::select! {
            // The peer says nothing here.
            _ = self.socket.readable() => {}
            () = self.left.notified() => drop(self.socket.writable().await),
        }
    }
}
