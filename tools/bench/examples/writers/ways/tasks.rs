//! The ways of tasks, on a runtime with one worker.

mod channels;
mod connections;
mod direct;

use std::{cell::RefCell, io, os::fd::AsRawFd as _};

use bytes::Bytes;
use tokio::{io::AsyncReadExt as _, net::TcpStream, runtime::Builder};

use self::{
    channels::Channels,
    connections::Connections,
    direct::{Direct, Locked},
};
use super::{
    Way,
    ring::Ring,
    stage::{MESSAGE_BYTES, Outcome, Stage},
};

/// Final frame of text, with a length in two bytes.
const HEADER: [u8; 4] = [0x81, 126, 0, BODY_BYTES.to_be_bytes()[7]];
const BODY_BYTES: usize = MESSAGE_BYTES - 4;

thread_local! {
    static OUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static RING: RefCell<Option<Ring>> = const { RefCell::new(None) };
}

pub(crate) fn run(way: Way, stage: Stage) -> anyhow::Result<(Stage, Outcome)> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_io().build()?;
    let performance = async move {
        match way {
            Way::Tasks => perform::<Connections<false>>(stage).await,
            Way::TasksRing => perform::<Connections<true>>(stage).await,
            Way::ChannelTask => perform::<Channels>(stage).await,
            Way::DirectLocked => perform::<Locked>(stage).await,
            _ => perform::<Direct>(stage).await,
        }
    };
    // In a task of the worker, as a publisher's connection is.
    runtime.block_on(async { tokio::spawn(performance).await })?
}

/// A way of tasks.
trait Publisher: Sized {
    /// So many sockets in a row are a channel's.
    fn begin(sockets: Vec<TcpStream>, per_channel: usize) -> Self;

    /// Returns when it has done its part; others may still have to do theirs.
    fn publish(&mut self, channel: usize, message: Bytes) -> impl Future<Output = ()> + Send;

    /// Gives the sockets back, in order.
    fn end(self) -> impl Future<Output = anyhow::Result<Vec<TcpStream>>> + Send;
}

async fn perform<P: Publisher + Send>(mut stage: Stage) -> anyhow::Result<(Stage, Outcome)> {
    let sockets = std::mem::take(&mut stage.sockets).into_iter().map(TcpStream::from_std);
    let mut publisher = P::begin(sockets.collect::<Result<_, _>>()?, stage.score.per_channel);
    stage.begin()?;
    let blocking = stage.control.try_clone()?;
    blocking.set_nonblocking(true)?;
    let mut control = TcpStream::from_std(blocking)?;
    loop {
        control.read_exact(&mut [0]).await?;
        let Some(channel) = stage.score.next() else { break };
        publisher.publish(channel, Bytes::copy_from_slice(&[b'm'; BODY_BYTES])).await;
    }
    control.into_std()?.set_nonblocking(false)?;
    let sockets = publisher.end().await?.into_iter().map(TcpStream::into_std);
    stage.sockets = sockets.collect::<Result<_, _>>()?;
    stage.end()
}

/// Hands the message in its frame to `writes`.
fn framed<T>(message: &[u8], writes: impl FnOnce(&[u8]) -> T) -> T {
    OUT.with_borrow_mut(|out| {
        out.clear();
        out.extend_from_slice(&HEADER);
        out.extend_from_slice(message);
        writes(out)
    })
}

/// Writes the message in its frame. False: the socket is full.
fn write(socket: &TcpStream, message: &[u8]) -> bool {
    match framed(message, |frame| socket.try_write(frame)) {
        Ok(bytes) => assert_eq!(bytes, MESSAGE_BYTES, "part of a message"),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
        Err(error) => panic!("the reader is gone: {error}"),
    }
    true
}

/// Adds the message to what this thread submits together. True: it is the first.
fn enqueue(socket: &TcpStream, message: &[u8]) -> bool {
    RING.with_borrow_mut(|ring| {
        let ring = ring.get_or_insert_with(|| Ring::new(256).expect("this kernel has io_uring"));
        let is_first = ring.is_empty();
        framed(message, |frame| ring.push(socket.as_raw_fd(), frame)).expect("the reader is there");
        is_first
    })
}

/// Submits what was added.
fn submit() {
    RING.with_borrow_mut(|ring| {
        if let Some(ring) = ring.as_mut().filter(|ring| !ring.is_empty()) {
            ring.submit().expect("the reader is there");
        }
    });
}
