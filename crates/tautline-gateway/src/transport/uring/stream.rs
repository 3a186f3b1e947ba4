//! A TCP stream that sends short frames through the thread's ring.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, RawFd},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::ring::{Ring, SEND_BYTES_MAX};
use crate::transport::{frames::Frames, stream::Stream, unsent::Unsent};

/// Queued frames need no flush.
pub(crate) struct RingStream {
    pub(super) stream: TcpStream,
    /// The ring that has the last send, and the number of its batch.
    pub(super) ring: Option<Arc<Ring>>,
    batch: u32,
}

impl RingStream {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, ring: None, batch: 0 }
    }

    pub(super) fn socket(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Makes sure that no send of this stream is in a ring. Pending where unsent bytes of the last send came
    /// back; the task is woken to take them.
    pub(super) fn poll_idle(&self) -> Poll<()> {
        let Some(ring) = &self.ring else { return Poll::Ready(()) };
        if ring.is_pending(self.batch) {
            ring.submit();
        }
        if ring.has_unsent(self.socket()) { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Stream for RingStream {
    fn address(&self) -> Option<SocketAddr> {
        self.stream.peer_addr().ok()
    }

    fn try_queue(&mut self, cx: &Context<'_>, frames: &Frames) -> bool {
        if frames.bytes.len() > SEND_BYTES_MAX || self.poll_idle().is_pending() {
            return false;
        }
        let socket = self.socket();
        let added = Ring::with_own(|ring| {
            if ring.bypasses_ring() {
                return false;
            }
            self.batch = ring.add(socket, frames, cx.waker());
            if !self.ring.as_ref().is_some_and(|last| Arc::ptr_eq(last, ring)) {
                self.ring = Some(Arc::clone(ring));
            }
            true
        });
        added.unwrap_or(false)
    }

    fn take_unsent(&mut self) -> Option<Unsent> {
        self.ring.as_ref()?.take_unsent(self.socket())
    }
}

impl AsyncRead for RingStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for RingStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        std::task::ready!(this.poll_idle());
        Pin::new(&mut this.stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        std::task::ready!(this.poll_idle());
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

impl Drop for RingStream {
    /// Another socket may get the same number as soon as this one is closed.
    fn drop(&mut self) {
        let _ = self.poll_idle();
        let _ = self.take_unsent();
    }
}
