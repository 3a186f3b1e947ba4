//! Bytes that the socket has not taken yet.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Bytes in the order in which they must go. Messages are held by reference: a hundred stalled readers of one
/// channel hold its bytes once.
#[derive(Debug, Default)]
pub(crate) struct Unsent(VecDeque<Bytes>);

impl Unsent {
    pub(crate) fn push(&mut self, part: Bytes) {
        self.0.push_back(part);
    }

    /// Puts `earlier` in front.
    pub(crate) fn prepend(&mut self, earlier: Self) {
        let later = std::mem::replace(self, earlier);
        self.0.extend(later.0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of bytes left.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Writes all of it.
    pub(crate) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<io::Result<()>> {
        while let Some(part) = self.0.front_mut() {
            let bytes = ready!(Pin::new(&mut *stream).poll_write(cx, part))?;
            if bytes == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            part.advance(bytes);
            if part.is_empty() {
                self.0.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
impl Unsent {
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter()
    }

    pub(crate) fn concat(&self) -> Vec<u8> {
        self.0.iter().flatten().copied().collect()
    }
}
