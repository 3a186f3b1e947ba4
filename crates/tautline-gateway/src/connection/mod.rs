//! One WebSocket: moves bytes between a socket and its [`Peer`], which decides everything.
//!
//! [`Connection`] is a future written by hand, the whole of its task: while nothing happens it holds no buffer and no
//! more than its own few hundred bytes beside the peer's. Each poll is one round of *read, decode, feed; drain, write*
//! over the buffers of the thread. Once the socket takes no more, neither reading nor draining goes on: what was not
//! drained stays in the logs.

mod buffers;
mod compressed;
mod ended;
mod frames;
mod receive;
mod send;
mod stream;
mod unsent;

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

use self::{buffers::Buffers, ended::Ended, receive::Reading};
pub(crate) use self::{frames::Frames, stream::Stream, unsent::Unsent};
use crate::{
    connect::Agreed,
    gateway::{Seat, Shared},
    wheel::Alarm,
};

/// Rounds of one poll; then others get their turn.
const ROUNDS_MAX: usize = 16;

/// The server's end of one WebSocket.
pub(crate) struct Connection<S> {
    stream: S,
    /// Made at the first poll: it needs the task's waker.
    peer: Option<Peer>,
    decoder: Decoder,
    seat: Seat,
    alarm: Alarm,
    /// In one box, because most connections, most of the time, have none of it.
    unusual: Option<Box<Unusual>>,
}

/// What a connection has while something is out of the ordinary.
#[derive(Default)]
struct Unusual {
    /// What was read and is not decoded yet, because the peer has enough to do: at most what is read at once, or came together
    /// with the HTTP request.
    undecoded: BytesMut,
    /// What was agreed on, for the peer that is made at the first poll.
    format: Format,
    /// What the socket did not take yet.
    unsent: Unsent,
    /// A stream with buffers of its own, such as TLS, could not flush them.
    needs_flush: bool,
    /// When a stalled or lingering peer is given up, in monotonic milliseconds.
    patience_until_ms: Option<u64>,
    /// Since when the socket has not taken all that it was to take, in monotonic milliseconds.
    stalled_since_ms: Option<u64>,
    /// The last word is said, or is among the unsent bytes.
    closing: Option<Closing>,
}

struct Closing {
    why: Ended,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The peer is to answer with its own close frame.
    AwaitingClose,
    /// Both have spoken. We shut our side and throw away what comes until the peer hangs up: to close a socket with
    /// bytes unread would reset it, and could overtake our last word.
    HangingUp,
    /// Our side is shut.
    AwaitingEnd,
}

impl<S: Stream> Connection<S> {
    /// A connection whose handshake is over; `early` came behind it.
    pub(crate) fn new(stream: S, early: Bytes, seat: Seat, agreed: Agreed) -> Self {
        let hello_bytes_max = seat.gateway().hub.limits().hello_bytes_max;
        let Agreed { format, deflate } = agreed;
        Self {
            stream,
            peer: None,
            decoder: Decoder::new(Role::Server, hello_bytes_max).with_deflate(deflate),
            seat,
            alarm: Alarm::default(),
            unusual: Some(Box::new(Unusual { undecoded: early.into(), format, ..Unusual::default() })),
        }
    }

    /// Pending: there is nothing to do now. Ready without an error: there may be more to do.
    fn poll_rounds(
        &mut self,
        cx: &mut Context<'_>,
        now: Now,
        buffers: &mut Buffers,
    ) -> Poll<Result<(), Ended>> {
        if self.patience_until_ms().is_some_and(|until| now.mono_ms >= until) {
            return Poll::Ready(Err(Ended::Stalled));
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
                Reading::Waiting => return Poll::Pending,
                Reading::NotWanted if !self.wants_input() => return Poll::Pending,
                Reading::NotWanted | Reading::Done => {}
            }
        }
        Poll::Ready(Ok(()))
    }

    /// At the first poll: makes the peer.
    fn begin(&mut self, now: Now, cx: &Context<'_>) {
        if self.peer.is_none() {
            let format = self.unusual().format;
            let (hub, waker) = (&self.gateway().hub, cx.waker().clone());
            self.peer = Some(match self.seat.holder() {
                Some(address) => hub.peer_of(address, format, now, waker),
                None => hub.peer_in(format, now, waker),
            });
            debug!(format = format.as_str(), "connection opened");
        }
    }

    /// Says no more than what is on its way; the first cause counts.
    fn close(&mut self, now: Now, why: Ended, step: Step) {
        let patience_until_ms = after_ms(now.mono_ms, self.linger_timeout());
        let unusual = self.unusual();
        if let Some(closing) = &mut unusual.closing {
            closing.step = step;
            return;
        }
        unusual.patience_until_ms = Some(patience_until_ms);
        unusual.closing = Some(Closing { why, step });
    }

    /// Shuts our side once everything is said.
    fn poll_shut(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        if let Some(closing) = self.unusual.as_mut().and_then(|unusual| unusual.closing.as_mut())
            && closing.step == Step::HangingUp
        {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).map_err(Ended::Io)?;
            closing.step = Step::AwaitingEnd;
        }
        Poll::Ready(Ok(()))
    }

    /// Notes the end, whose cause was seen before where the last word had been said.
    fn end(&mut self, now: Now, seen: &Ended) {
        self.peer().handle_lost(now);
        let cause = self.closing().map_or(seen, |closing| &closing.why);
        debug!(%cause, "connection ended");
    }

    /// What is left of the box when everything is ordinary again: nothing.
    fn tidy(&mut self) {
        self.unusual.take_if(|unusual| {
            unusual.closing.is_none()
                && unusual.unsent.is_empty()
                && !unusual.needs_flush
                && unusual.undecoded.is_empty()
        });
    }

    /// Heap memory for what came and was not taken yet, in bytes.
    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        let undecoded = self.unusual.as_ref().map_or(0, |unusual| unusual.undecoded.capacity());
        undecoded + self.decoder.held_bytes() + self.peer.as_ref().map_or(0, Peer::held_bytes)
    }

    fn unusual(&mut self) -> &mut Unusual {
        self.unusual.get_or_insert_default()
    }

    /// How far the goodbye has come; `None` while the line is open.
    fn closing(&self) -> Option<&Closing> {
        self.unusual.as_ref().and_then(|unusual| unusual.closing.as_ref())
    }

    /// While the node goes down a peer that takes nothing cannot be asked to go, and is not waited for.
    fn patience_until_ms(&self) -> Option<u64> {
        let unusual = self.unusual.as_ref()?;
        let drain_until_ms = match unusual.stalled_since_ms {
            Some(since_ms) => self.gateway().drain_until_ms().max(after_ms(since_ms, self.linger_timeout())),
            None => u64::MAX,
        };
        unusual.patience_until_ms.map(|until_ms| until_ms.min(drain_until_ms))
    }

    fn linger_timeout(&self) -> Duration {
        self.gateway().config.linger_timeout
    }

    fn deadline_ms(&self) -> u64 {
        let patience = self.patience_until_ms().unwrap_or(u64::MAX);
        match &self.peer {
            Some(peer) if self.closing().is_none() => peer.poll_timeout().min(patience),
            _ => patience,
        }
    }

    fn gateway(&self) -> &Arc<Shared> {
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
