//! Runs futures that others wrote, whose panics must not reach the connection.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

/// A future that is ready with `None` when the inner one panics.
pub(crate) struct CatchUnwind<F>(pub(crate) F);

impl<F: Future + Unpin> Future for CatchUnwind<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.0).poll(cx)))
            .map_or(Poll::Ready(None), |polled| polled.map(Some))
    }
}
