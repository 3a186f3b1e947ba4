//! One WebSocket: moves bytes between a socket and its [`Endpoint`], which makes all decisions.
//!
//! [`Connection`] is a hand-written future, the whole of its task: while it is idle it holds no buffer and
//! only a few hundred bytes beside the endpoint's. Each poll is one round of *read, decode, feed; drain, write*
//! over the buffers of the thread. When the socket takes no more, neither reading nor draining goes on:
//! undrained output stays in the logs.

mod buffers;
mod close_reason;
mod compression_cache;
mod endpoint;
mod permit;
mod plain;
mod receive;
mod send;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tautline_protocol::Now;
use tautline_websocket::{Decoder, Role};
use tracing::debug;

pub(crate) use self::permit::ConnectionPermit;
use self::{buffers::Buffers, close_reason::CloseReason, endpoint::Endpoint, receive::ReadOutcome};
use crate::{
    addresses::AddressPermit,
    drain::whole_ms,
    http::handshake::{Negotiated, Opening},
    questions::RunningQuestion,
    state::GatewayState,
    timer_wheel::TimerEntry,
    transport::{stream::Stream, unsent::Unsent},
};

/// Rounds of one poll; then other tasks run.
const ROUNDS_MAX: usize = 16;

/// The server's end of one WebSocket.
pub(crate) struct Connection<S> {
    stream: S,
    /// Made at the first poll: it needs the task's waker.
    endpoint: Option<Endpoint>,
    decoder: Decoder,
    permit: ConnectionPermit,
    timer: TimerEntry,
    /// Boxed, because most connections have none of it, most of the time.
    rare: Option<Box<RareState>>,
}

/// State that a connection needs only while it starts, is held up, or closes.
#[derive(Default)]
struct RareState {
    /// Read and not yet decoded, because the peer takes no input at present: at most one read, or the bytes
    /// that arrived together with the HTTP request.
    undecoded: BytesMut,
    /// What the opening handshake agreed on, for the endpoint that is made at the first poll.
    opening: Opening,
    /// The place among the handshakes of the address, until the first message.
    handshake: Option<AddressPermit>,
    /// The socket has not taken this yet.
    unsent: Unsent,
    /// A stream with buffers of its own, such as TLS, could not flush them.
    needs_flush: bool,
    /// When a stalled or lingering peer is given up, in monotonic milliseconds.
    stall_deadline_ms: Option<u64>,
    /// Since when the socket has not taken everything, in monotonic milliseconds.
    stalled_since_ms: Option<u64>,
    /// Questions that the back end has not answered.
    questions: Vec<RunningQuestion>,
    /// The close frame is sent, or is among the unsent bytes.
    closing: Option<Closing>,
}

struct Closing {
    reason: CloseReason,
    step: CloseStep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CloseStep {
    /// The peer is to answer with its own close frame.
    AwaitingClose,
    /// Both close frames are sent. The connection shuts its side and discards input until the peer hangs up:
    /// closing a socket with unread bytes would reset it, and the reset could overtake the close frame.
    ShuttingDown,
    /// The connection's own side is shut.
    AwaitingEof,
}

impl<S: Stream> Connection<S> {
    /// A connection whose handshake is over; `early` arrived behind it.
    pub(crate) fn new(stream: S, early: Bytes, permit: ConnectionPermit, negotiated: Negotiated) -> Self {
        let hello_bytes_max = permit.state().hub.limits().hello_bytes_max;
        let Negotiated { opening, deflate, handshake } = negotiated;
        let undecoded = early.into();
        let rare = RareState { undecoded, opening, handshake: Some(handshake), ..RareState::default() };
        Self {
            stream,
            endpoint: None,
            decoder: Decoder::new(Role::Server, hello_bytes_max).with_deflate(deflate),
            permit,
            timer: TimerEntry::default(),
            rare: Some(Box::new(rare)),
        }
    }

    /// Pending: there is nothing to do at present. Ready without an error: there may be more to do.
    fn poll_rounds(
        &mut self,
        cx: &mut Context<'_>,
        now: Now,
        buffers: &mut Buffers,
    ) -> Poll<Result<(), CloseReason>> {
        if self.stall_deadline_ms().is_some_and(|until| now.mono_ms >= until) {
            return Poll::Ready(Err(CloseReason::Stalled));
        }
        self.init_endpoint(now, cx);
        self.endpoint().handle_timeout(now);
        self.take_unsent(now);
        self.poll_questions(cx);
        for _ in 0..ROUNDS_MAX {
            ready!(self.poll_unsent(cx, now))?;
            let outcome = self.read(cx, now, buffers)?;
            ready!(self.poll_send(cx, now, buffers))?;
            ready!(self.poll_shutdown(cx))?;
            match outcome {
                ReadOutcome::Pending => return Poll::Pending,
                ReadOutcome::InputPaused if !self.wants_input() => return Poll::Pending,
                ReadOutcome::InputPaused | ReadOutcome::Read => {}
            }
        }
        Poll::Ready(Ok(()))
    }

    /// At the first poll: makes the endpoint.
    fn init_endpoint(&mut self, now: Now, cx: &Context<'_>) {
        if self.endpoint.is_none() {
            let opening = std::mem::take(&mut self.rare().opening);
            debug!(opening = opening.as_str(), "connection opened");
            self.endpoint =
                Some(Endpoint::new(opening, self.state(), self.permit.counted_address(), now, cx));
        }
    }

    /// Sends nothing more behind the bytes on their way. The first reason counts.
    fn close(&mut self, now: Now, reason: CloseReason, step: CloseStep) {
        let stall_deadline_ms = after_ms(now.mono_ms, self.linger_timeout());
        let rare = self.rare();
        if let Some(closing) = &mut rare.closing {
            closing.step = step;
            return;
        }
        rare.stall_deadline_ms = Some(stall_deadline_ms);
        rare.closing = Some(Closing { reason, step });
    }

    /// Shuts the connection's own side once everything is sent.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        if let Some(closing) = self.rare.as_mut().and_then(|rare| rare.closing.as_mut())
            && closing.step == CloseStep::ShuttingDown
        {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).map_err(CloseReason::Io)?;
            closing.step = CloseStep::AwaitingEof;
        }
        Poll::Ready(Ok(()))
    }

    /// Tells the peer and logs. A reason from before the close frame counts more than the end of the stream.
    fn finish(&mut self, now: Now, last: &CloseReason) {
        self.endpoint().handle_lost(now);
        let reason = self.closing().map_or(last, |closing| &closing.reason);
        debug!(%reason, "connection ended");
    }

    fn drop_empty_rare_state(&mut self) {
        self.rare.take_if(|rare| {
            rare.closing.is_none()
                && rare.questions.is_empty()
                && rare.unsent.is_empty()
                && !rare.needs_flush
                && rare.undecoded.is_empty()
                && rare.handshake.is_none()
        });
    }

    /// Heap memory for input that is not taken yet, in bytes.
    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        let undecoded = self.rare.as_ref().map_or(0, |rare| rare.undecoded.capacity());
        undecoded + self.decoder.held_bytes() + self.endpoint.as_ref().map_or(0, Endpoint::held_bytes)
    }

    /// A message has arrived: from the first one on the connection is no handshake.
    fn end_handshake(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.handshake = None;
        }
    }

    fn rare(&mut self) -> &mut RareState {
        self.rare.get_or_insert_default()
    }

    /// `None` while the connection is open.
    fn closing(&self) -> Option<&Closing> {
        self.rare.as_ref().and_then(|rare| rare.closing.as_ref())
    }

    /// While the node drains, a peer that does not read cannot be asked to leave, and gets no more time.
    fn stall_deadline_ms(&self) -> Option<u64> {
        let rare = self.rare.as_ref()?;
        let drain_deadline_ms = match rare.stalled_since_ms {
            Some(since_ms) => self.state().drain.deadline_ms().max(after_ms(since_ms, self.linger_timeout())),
            None => u64::MAX,
        };
        rare.stall_deadline_ms.map(|until_ms| until_ms.min(drain_deadline_ms))
    }

    fn linger_timeout(&self) -> Duration {
        self.state().config.linger_timeout
    }

    fn deadline_ms(&self) -> u64 {
        let stall_deadline_ms = self.stall_deadline_ms().unwrap_or(u64::MAX);
        match &self.endpoint {
            Some(endpoint) if self.closing().is_none() => endpoint.poll_timeout().min(stall_deadline_ms),
            _ => stall_deadline_ms,
        }
    }

    fn state(&self) -> &Arc<GatewayState> {
        self.permit.state()
    }

    fn endpoint(&mut self) -> &mut Endpoint {
        self.endpoint.as_mut().expect("init_endpoint() has made the endpoint")
    }
}

impl<S: Stream> Future for Connection<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let now = this.state().clock.now();
        let mut buffers = Buffers::take();
        let polled = this.poll_rounds(cx, now, &mut buffers);
        buffers.give_back();
        match polled {
            Poll::Ready(Err(reason)) => {
                this.finish(now, &reason);
                return Poll::Ready(());
            }
            Poll::Ready(Ok(())) => cx.waker().wake_by_ref(),
            Poll::Pending => {
                this.drop_empty_rare_state();
                let deadline_ms = this.deadline_ms();
                this.permit.state().timer_wheel.set(&mut this.timer, deadline_ms, cx.waker());
            }
        }
        Poll::Pending
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.permit.state().timer_wheel.clear(&mut self.timer);
        if std::thread::panicking() {
            self.permit.count_panic();
        }
    }
}

fn after_ms(since_ms: u64, wait: Duration) -> u64 {
    since_ms.saturating_add(whole_ms(wait))
}

#[cfg(test)]
mod tests;
