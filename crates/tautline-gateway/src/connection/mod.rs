//! One WebSocket: moves bytes between a socket and its [`Peer`], which decides everything.
//!
//! [`Connection`] is a future written by hand, the whole of its task: while nothing happens it holds no buffer and no
//! more than its own few hundred bytes beside the peer's. Each poll is one round of *read, decode, feed; drain, write*
//! over the buffers of the thread. Once the socket takes no more, neither reading nor draining goes on: what was not
//! drained stays in the logs.

mod buffers;
mod close_reason;
mod compression_cache;
mod receive;
mod send;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tautline_hub::Peer;
use tautline_protocol::{Format, Now};
use tautline_websocket::{Decoder, Role};
use tracing::debug;

use self::{buffers::Buffers, close_reason::CloseReason, receive::ReadOutcome};
use crate::{
    gateway::{ConnectionPermit, GatewayState},
    http::connect::Negotiated,
    timer_wheel::TimerEntry,
    transport::{stream::Stream, unsent::Unsent},
};

/// Rounds of one poll; then others get their turn.
const ROUNDS_MAX: usize = 16;

/// The server's end of one WebSocket.
pub(crate) struct Connection<S> {
    stream: S,
    /// Made at the first poll: it needs the task's waker.
    peer: Option<Peer>,
    decoder: Decoder,
    seat: ConnectionPermit,
    alarm: TimerEntry,
    /// In one box, because most connections, most of the time, have none of it.
    rare: Option<Box<RareState>>,
}

/// What a connection has while something is out of the ordinary.
#[derive(Default)]
struct RareState {
    /// What was read and is not decoded yet, because the peer has enough to do: at most what is read at once, or came together
    /// with the HTTP request.
    undecoded: BytesMut,
    /// What was negotiated on, for the peer that is made at the first poll.
    format: Format,
    /// What the socket did not take yet.
    unsent: Unsent,
    /// A stream with buffers of its own, such as TLS, could not flush them.
    needs_flush: bool,
    /// When a stalled or lingering peer is given up, in monotonic milliseconds.
    stall_deadline_ms: Option<u64>,
    /// Since when the socket has not taken all that it was to take, in monotonic milliseconds.
    stalled_since_ms: Option<u64>,
    /// The last word is said, or is among the unsent bytes.
    closing: Option<Closing>,
}

struct Closing {
    why: CloseReason,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The peer is to answer with its own close frame.
    AwaitingClose,
    /// Both have spoken. We shut our side and throw away what comes until the peer hangs up: to close a socket with
    /// bytes unread would reset it, and could overtake our last word.
    ShuttingDown,
    /// Our side is shut.
    AwaitingEof,
}

impl<S: Stream> Connection<S> {
    /// A connection whose handshake is over; `early` came behind it.
    pub(crate) fn new(stream: S, early: Bytes, seat: ConnectionPermit, negotiated: Negotiated) -> Self {
        let hello_bytes_max = seat.gateway().hub.limits().hello_bytes_max;
        let Negotiated { format, deflate } = negotiated;
        Self {
            stream,
            peer: None,
            decoder: Decoder::new(Role::Server, hello_bytes_max).with_deflate(deflate),
            seat,
            alarm: TimerEntry::default(),
            rare: Some(Box::new(RareState { undecoded: early.into(), format, ..RareState::default() })),
        }
    }

    /// Pending: there is nothing to do now. Ready without an error: there may be more to do.
    fn poll_rounds(
        &mut self,
        cx: &mut Context<'_>,
        now: Now,
        buffers: &mut Buffers,
    ) -> Poll<Result<(), CloseReason>> {
        if self.stall_deadline_ms().is_some_and(|until| now.mono_ms >= until) {
            return Poll::Ready(Err(CloseReason::Stalled));
        }
        self.begin(now, cx);
        self.peer().handle_timeout(now);
        self.take_back(now);
        for _ in 0..ROUNDS_MAX {
            ready!(self.poll_unsent(cx, now))?;
            let reading = self.read(cx, now, buffers)?;
            ready!(self.poll_send(cx, now, buffers))?;
            ready!(self.poll_shut(cx))?;
            match reading {
                ReadOutcome::Waiting => return Poll::Pending,
                ReadOutcome::InputPaused if !self.wants_input() => return Poll::Pending,
                ReadOutcome::InputPaused | ReadOutcome::Done => {}
            }
        }
        Poll::Ready(Ok(()))
    }

    /// At the first poll: makes the peer.
    fn begin(&mut self, now: Now, cx: &Context<'_>) {
        if self.peer.is_none() {
            let format = self.rare().format;
            let (hub, waker) = (&self.gateway().hub, cx.waker().clone());
            self.peer = Some(match self.seat.holder() {
                Some(address) => hub.peer_of(address, format, now, waker),
                None => hub.peer_in(format, now, waker),
            });
            debug!(format = format.as_str(), "connection opened");
        }
    }

    /// Says no more than what is on its way; the first cause counts.
    fn close(&mut self, now: Now, why: CloseReason, step: Step) {
        let stall_deadline_ms = after_ms(now.mono_ms, self.linger_timeout());
        let rare = self.rare();
        if let Some(closing) = &mut rare.closing {
            closing.step = step;
            return;
        }
        rare.stall_deadline_ms = Some(stall_deadline_ms);
        rare.closing = Some(Closing { why, step });
    }

    /// Shuts our side once everything is said.
    fn poll_shut(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        if let Some(closing) = self.rare.as_mut().and_then(|rare| rare.closing.as_mut())
            && closing.step == Step::ShuttingDown
        {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).map_err(CloseReason::Io)?;
            closing.step = Step::AwaitingEof;
        }
        Poll::Ready(Ok(()))
    }

    /// Notes the end, whose cause was seen before where the last word had been said.
    fn end(&mut self, now: Now, seen: &CloseReason) {
        self.peer().handle_lost(now);
        let cause = self.closing().map_or(seen, |closing| &closing.why);
        debug!(%cause, "connection ended");
    }

    /// What is left of the box when everything is ordinary again: nothing.
    fn tidy(&mut self) {
        self.rare.take_if(|rare| {
            rare.closing.is_none() && rare.unsent.is_empty() && !rare.needs_flush && rare.undecoded.is_empty()
        });
    }

    /// Heap memory for what came and was not taken yet, in bytes.
    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        let undecoded = self.rare.as_ref().map_or(0, |rare| rare.undecoded.capacity());
        undecoded + self.decoder.held_bytes() + self.peer.as_ref().map_or(0, Peer::held_bytes)
    }

    fn rare(&mut self) -> &mut RareState {
        self.rare.get_or_insert_default()
    }

    /// How far the goodbye has come; `None` while the line is open.
    fn closing(&self) -> Option<&Closing> {
        self.rare.as_ref().and_then(|rare| rare.closing.as_ref())
    }

    /// While the node goes down a peer that takes nothing cannot be asked to go, and is not waited for.
    fn stall_deadline_ms(&self) -> Option<u64> {
        let rare = self.rare.as_ref()?;
        let drain_until_ms = match rare.stalled_since_ms {
            Some(since_ms) => self.gateway().drain_until_ms().max(after_ms(since_ms, self.linger_timeout())),
            None => u64::MAX,
        };
        rare.stall_deadline_ms.map(|until_ms| until_ms.min(drain_until_ms))
    }

    fn linger_timeout(&self) -> Duration {
        self.gateway().config.linger_timeout
    }

    fn deadline_ms(&self) -> u64 {
        let patience = self.stall_deadline_ms().unwrap_or(u64::MAX);
        match &self.peer {
            Some(peer) if self.closing().is_none() => peer.poll_timeout().min(patience),
            _ => patience,
        }
    }

    fn gateway(&self) -> &Arc<GatewayState> {
        self.seat.gateway()
    }

    fn peer(&mut self) -> &mut Peer {
        self.peer.as_mut().expect("begin() has made the peer")
    }
}

impl<S: Stream> Future for Connection<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let now = this.gateway().clock.now();
        let mut buffers = Buffers::take();
        let polled = this.poll_rounds(cx, now, &mut buffers);
        buffers.give_back();
        match polled {
            Poll::Ready(Err(ended)) => {
                this.end(now, &ended);
                return Poll::Ready(());
            }
            Poll::Ready(Ok(())) => cx.waker().wake_by_ref(),
            Poll::Pending => {
                this.tidy();
                let deadline_ms = this.deadline_ms();
                this.seat.gateway().wheel.set(&mut this.alarm, deadline_ms, cx.waker());
            }
        }
        Poll::Pending
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.seat.gateway().wheel.clear(&mut self.alarm);
        if std::thread::panicking() {
            self.seat.count_panic();
        }
    }
}

fn after_ms(since_ms: u64, wait: Duration) -> u64 {
    since_ms.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
