//! The byte stream of a connection.

use std::{net::SocketAddr, task::Context};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{frames::Frames, unsent::Unsent};

/// A byte stream. It may queue frames to send them together with those of other streams.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Queues all of the frames, to be sent shortly. False: it queued nothing, and the caller writes the
    /// frames.
    fn try_queue(&mut self, _cx: &Context<'_>, _frames: &Frames) -> bool {
        false
    }

    /// The peer's address, where it is known.
    fn address(&self) -> Option<SocketAddr> {
        None
    }

    /// The bytes that it had queued and could not send. It wakes the task when there are some, and neither
    /// queues nor writes anything until they are taken; they are to be written first.
    fn take_unsent(&mut self) -> Option<Unsent> {
        None
    }
}

impl Stream for TcpStream {
    fn address(&self) -> Option<SocketAddr> {
        self.peer_addr().ok()
    }
}

#[cfg(unix)]
impl Stream for UnixStream {}

impl Stream for TokioIo<Upgraded> {}
