//! What a connection moves its bytes over.

use std::{net::SocketAddr, task::Context};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{frames::Frames, unsent::Unsent};

/// A byte stream, which may send together with others.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Takes all of the frames to send them in a moment, unless it says no: then they are to be written.
    fn take(&mut self, _cx: &Context<'_>, _frames: &Frames) -> bool {
        false
    }

    /// Who is at the other end, where that is known.
    fn address(&self) -> Option<SocketAddr> {
        None
    }

    /// What it had taken and could not send. It wakes the task when there is some, takes and writes nothing until it was asked,
    /// and is to be given this first.
    fn take_back(&mut self) -> Option<Unsent> {
        None
    }
}

impl Stream for TcpStream {
    fn address(&self) -> Option<SocketAddr> {
        self.peer_addr().ok()
    }
}

impl Stream for TokioIo<Upgraded> {}
