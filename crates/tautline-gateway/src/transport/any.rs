//! The stream of an accepted connection that still, or only, speaks HTTP.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::tls::{config::Tls, stream::TlsStream};

/// A connection becomes a WebSocket over the stream inside of it.
pub(crate) enum AnyStream {
    Tcp(TcpStream),
    Tls(TlsStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl AnyStream {
    /// The stream inside of TLS, where the listener has it, and only TCP does.
    pub(crate) fn inside(self, tls: Option<&Tls>) -> io::Result<Self> {
        match (self, tls) {
            (Self::Tcp(tcp), Some(tls)) => Ok(Self::Tls(TlsStream::new(tcp, tls.config())?)),
            (stream, _) => Ok(stream),
        }
    }
}

macro_rules! delegate {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            AnyStream::Tcp($stream) => $call,
            AnyStream::Tls($stream) => $call,
            #[cfg(unix)]
            AnyStream::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for AnyStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => Pin::new(stream).poll_read(cx, into))
    }
}

impl AsyncWrite for AnyStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
