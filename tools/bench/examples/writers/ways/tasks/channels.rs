//! A task a channel: the publisher appends and wakes it, and it writes to all sockets of the channel.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use tokio::{
    net::TcpStream,
    sync::Notify,
    task::{JoinHandle, yield_now},
};

use super::{super::stage::CHUNK, Publisher, write};

pub(super) struct Channels {
    channels: Vec<Arc<Channel>>,
    tasks: Vec<JoinHandle<Vec<TcpStream>>>,
}

#[derive(Default)]
struct Channel {
    /// `None` is the end.
    news: Mutex<VecDeque<Option<Bytes>>>,
    rung: Notify,
}

impl Publisher for Channels {
    fn begin(sockets: Vec<TcpStream>, per_channel: usize) -> Self {
        let mut sockets = sockets.into_iter();
        let (mut channels, mut tasks) = (Vec::new(), Vec::new());
        while sockets.len() > 0 {
            let channel = Arc::new(Channel::default());
            channels.push(Arc::clone(&channel));
            tasks.push(tokio::spawn(channel.live(sockets.by_ref().take(per_channel).collect())));
        }
        Self { channels, tasks }
    }

    async fn publish(&mut self, channel: usize, message: Bytes) {
        self.channels[channel].append(Some(message));
    }

    async fn end(self) -> anyhow::Result<Vec<TcpStream>> {
        let mut sockets = Vec::new();
        for (channel, task) in self.channels.iter().zip(self.tasks) {
            channel.append(None);
            sockets.extend(task.await?);
        }
        Ok(sockets)
    }
}

impl Channel {
    fn append(&self, message: Option<Bytes>) {
        self.news.lock().expect("nobody panics").push_back(message);
        self.rung.notify_one();
    }

    async fn live(self: Arc<Self>, sockets: Vec<TcpStream>) -> Vec<TcpStream> {
        loop {
            self.rung.notified().await;
            while let Some(news) = self.next() {
                let Some(message) = news else { return sockets };
                for chunk in sockets.chunks(CHUNK) {
                    for socket in chunk {
                        write(socket, &message);
                    }
                    yield_now().await;
                }
            }
        }
    }

    fn next(&self) -> Option<Option<Bytes>> {
        self.news.lock().expect("nobody panics").pop_front()
    }
}
