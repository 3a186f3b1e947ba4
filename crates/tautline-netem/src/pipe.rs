//! One direction of a connection: when each segment arrives, and whether it does.
//! Start at [`Pipe::push`] and [`Pipe::poll`]. Holds no clock: each call is told the time.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::{Now, Rng, Rules};

/// Something that a [`Pipe`] can carry: a chunk of a stream, or a whole message.
pub trait Segment {
    /// What it weighs, for the rate and the buffer.
    fn size_bytes(&self) -> usize;
}

impl Segment for Bytes {
    fn size_bytes(&self) -> usize {
        self.len()
    }
}

impl Segment for Vec<u8> {
    fn size_bytes(&self) -> usize {
        self.len()
    }
}

impl Segment for String {
    fn size_bytes(&self) -> usize {
        self.len()
    }
}

/// What comes out at the far end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival<T> {
    /// What was pushed.
    Segment(T),
    /// The direction is over. The last arrival there is.
    End(Ending),
}

/// How a direction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// In order: the far end reads the end of the stream (TCP FIN).
    Fin,
    /// By force: the far end's socket dies with an error (TCP RST).
    Reset,
}

/// What a pipe does with segments at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Lets them through when they are due.
    Open,
    /// Keeps them, in order, until it is opened again.
    Stalled,
    /// Swallows them. Neither end is told.
    HalfOpen,
}

/// The pipe holds as much as its rules allow; the segment comes back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pipe is full; wait until has_room() before pushing again")]
pub struct Full<T>(pub T);

/// One direction of a connection.
#[derive(Debug, Clone)]
pub struct Pipe<T> {
    rules: Rules,
    rng: Rng,
    flow: Flow,
    /// Each with the moment it is due, which never falls along the queue.
    queue: VecDeque<(Now, Arrival<T>)>,
    queued_bytes: usize,
    /// When the line has sent all that was pushed, at the rate of the rules.
    line_free_at: Now,
    last_due: Now,
    /// Nothing pushed from now on will be carried.
    ended: bool,
    /// Something was swallowed: the far end's stream has a hole, and it can never be whole again.
    holed: bool,
    carried_bytes: u64,
    swallowed_bytes: u64,
}

impl<T: Segment> Pipe<T> {
    /// An open, empty pipe. What it draws depends on `rng` alone.
    #[must_use]
    pub fn new(rules: Rules, rng: Rng) -> Self {
        Self {
            rules,
            rng,
            flow: Flow::Open,
            queue: VecDeque::new(),
            queued_bytes: 0,
            line_free_at: Now::ZERO,
            last_due: Now::ZERO,
            ended: false,
            holed: false,
            carried_bytes: 0,
            swallowed_bytes: 0,
        }
    }

    /// Takes a segment at the near end. After an end, and while half-open, it vanishes.
    ///
    /// # Errors
    /// [`Full`] hands the segment back while [`has_room`](Self::has_room) is false. A segment larger than the room left is
    /// taken all the same, so that no message is too large to ever be sent.
    pub fn push(&mut self, now: Now, segment: T) -> Result<(), Full<T>> {
        if self.swallows() {
            self.swallow(weight(&segment));
            return Ok(());
        }
        if !self.has_room() {
            return Err(Full(segment));
        }
        let bytes = weight(&segment);
        let due = self.due(now, bytes);
        self.queued_bytes += bytes;
        self.queue.push_back((due, Arrival::Segment(segment)));
        Ok(())
    }

    /// The near end closed: the far end hears of it after all that was pushed before. A half-open pipe swallows this too.
    pub fn end(&mut self, now: Now, ending: Ending) {
        if self.ended {
            return;
        }
        self.ended = true;
        if self.flow == Flow::HalfOpen {
            self.holed = true;
        } else {
            let due = self.due(now, 0);
            self.queue.push_back((due, Arrival::End(ending)));
        }
    }

    /// Ends the direction now, whatever its state: what was on its way is lost and the far end is told at once.
    pub fn abort(&mut self, now: Now, ending: Ending) {
        if self.is_over() {
            return;
        }
        self.drop_queue();
        self.flow = Flow::Open;
        self.ended = true;
        self.holed = false;
        self.queue.push_back((now, Arrival::End(ending)));
    }

    /// What has arrived by now. Call again until `None`.
    pub fn poll(&mut self, now: Now) -> Option<Arrival<T>> {
        self.poll_timeout().filter(|due| *due <= now)?;
        let (_, arrival) = self.queue.pop_front()?;
        if let Arrival::Segment(segment) = &arrival {
            let bytes = weight(segment);
            self.queued_bytes -= bytes;
            self.carried_bytes += bytes as u64;
        }
        Some(arrival)
    }

    /// When there will be something to poll, if nothing changes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Now> {
        if self.flow == Flow::Open { self.queue.front().map(|(due, _)| *due) } else { None }
    }

    /// Whether the next arrival is a reset, and it is due. A reset does not wait until the far end has read what came before:
    /// a shell whose socket takes no more should ask this, and then [`poll`](Self::poll) all the same.
    #[must_use]
    pub fn reset_is_due(&self, now: Now) -> bool {
        let front = self.queue.front().filter(|_| self.flow == Flow::Open);
        front.is_some_and(|(due, arrival)| *due <= now && matches!(arrival, Arrival::End(Ending::Reset)))
    }

    /// Changes what the pipe does with segments. Half-open loses what is on its way.
    ///
    /// Opening a pipe that has swallowed something resets the far end instead ([`Ending::Reset`]): a stream with a hole
    /// must not go on as if nothing had happened, and a real network tells the two ends as soon as they meet again.
    pub fn set_flow(&mut self, now: Now, flow: Flow) {
        if self.is_over() {
            return;
        }
        if flow == Flow::Open && self.holed {
            self.abort(now, Ending::Reset);
            return;
        }
        if flow == Flow::HalfOpen {
            self.holed |= !self.queue.is_empty();
            self.drop_queue();
        }
        self.flow = flow;
    }

    /// Goes half-open for good: opening this pipe again resets the far end, whether bytes were dropped or not.
    pub fn sever(&mut self, now: Now) {
        self.set_flow(now, Flow::HalfOpen);
        self.holed = true;
    }

    /// New rules, for what is pushed from now on. What is on its way arrives no later than the new rules would have it,
    /// so that nobody waits for the backlog of a slow line that has become a fast one.
    pub fn set_rules(&mut self, now: Now, rules: Rules) {
        self.rules = rules;
        let way = Duration::from_millis(self.rules.latency_ms);
        let mut bytes = 0;
        let mut queue = std::mem::take(&mut self.queue);
        for (due, arrival) in &mut queue {
            if let Arrival::Segment(segment) = arrival {
                bytes += weight(segment);
            }
            *due = (*due).min(now + self.time_on_line(bytes) + way);
        }
        self.last_due = queue.back().map_or(now, |(due, _)| *due);
        self.line_free_at = self.line_free_at.min(now + self.time_on_line(bytes));
        self.queue = queue;
    }

    /// Whether the near end may push. While it may not, it should stop reading: that is the back-pressure.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.swallows() || self.queued_bytes < self.rules.buffer_bytes_max
    }

    /// How many bytes the near end should push at most at once, 0 while there is no room.
    #[must_use]
    pub fn room_bytes(&self) -> usize {
        let room = if self.swallows() { usize::MAX } else { self.rules.buffer_bytes_max };
        room.saturating_sub(self.queued_bytes).min(self.rules.chunk_bytes_max())
    }

    /// What the pipe does with segments at present.
    #[must_use]
    pub fn flow(&self) -> Flow {
        self.flow
    }

    /// Whether the end has been pushed, and perhaps not yet arrived.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether the far end has been told that the direction ended: nothing will ever arrive again.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended && self.queue.is_empty() && !self.holed
    }

    /// Whether nothing is on its way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether something was swallowed, so that this stream can never be whole again.
    #[must_use]
    pub fn is_holed(&self) -> bool {
        self.holed
    }

    /// How many bytes have arrived.
    #[must_use]
    pub fn carried_bytes(&self) -> u64 {
        self.carried_bytes
    }

    /// How many bytes have vanished.
    #[must_use]
    pub fn swallowed_bytes(&self) -> u64 {
        self.swallowed_bytes
    }

    fn swallows(&self) -> bool {
        self.ended || self.flow == Flow::HalfOpen
    }

    fn swallow(&mut self, bytes: usize) {
        self.swallowed_bytes += bytes as u64;
        self.holed |= self.flow == Flow::HalfOpen;
    }

    fn drop_queue(&mut self) {
        self.queue.clear();
        self.swallowed_bytes += self.queued_bytes as u64;
        self.queued_bytes = 0;
    }

    /// When a segment pushed now arrives: its turn on the line, its time on the line, the way, and never before the last.
    fn due(&mut self, now: Now, bytes: usize) -> Now {
        self.line_free_at = self.line_free_at.max(now) + self.time_on_line(bytes);
        let mut way = Duration::from_millis(self.rules.latency_ms);
        way += Duration::from_micros(self.rng.below(self.rules.jitter_ms * 1000 + 1));
        if self.rng.chance(self.rules.loss) {
            way += Duration::from_millis(self.rules.loss_penalty_ms);
        }
        self.last_due = self.last_due.max(self.line_free_at + way);
        self.last_due
    }

    fn time_on_line(&self, bytes: usize) -> Duration {
        let nanos = (bytes as u64).saturating_mul(1_000_000_000);
        nanos.checked_div(self.rules.rate_bytes_per_s).map_or(Duration::ZERO, Duration::from_nanos)
    }
}

/// Even an empty message weighs something: a queue of them has to end somewhere.
fn weight(segment: &impl Segment) -> usize {
    segment.size_bytes().max(1)
}

#[cfg(test)]
mod tests;
