//! One connection through the bad network: two pipes, and what a fault does to the pair.
//! Start at [`Link::push`] and [`Link::poll`]; faults come in by [`Link::apply`]. Holds no clock: each call is told the time.

use std::time::Duration;

use serde::Serialize;

use crate::{Arrival, Direction, Ending, Fault, Flow, Full, Now, Pipe, Rng, Rules, Segment, Way};

/// A connection between a client and a server.
///
/// Both ends go through the same few calls: [`push`](Self::push) what an end sent, [`end`](Self::end) when an end closed,
/// [`poll`](Self::poll) what arrives and do it to the far end, wait until [`poll_timeout`](Self::poll_timeout).
#[derive(Debug, Clone)]
pub struct Link<T> {
    up: Pipe<T>,
    down: Pipe<T>,
    /// What the last fault still has in store, soonest first. Three steps at most: a new fault throws the old plan away.
    plan: Vec<(Now, Step)>,
}

/// A later part of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Heal,
    LetGo,
    Tell(Way, Ending),
}

/// What a connection looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LinkState {
    /// Segments pass.
    Open,
    /// Nothing passes, nothing is lost.
    Stalled,
    /// What is sent one way or both vanishes.
    HalfOpen,
    /// At least one end has closed, or is being told that the connection is over.
    Ending,
    /// Both ends know that it is over.
    Over,
}

impl<T: Segment> Link<T> {
    /// An open connection. The same `seed` and the same calls give the same history.
    #[must_use]
    pub fn new(rules: Rules, seed: u64) -> Self {
        Self {
            up: Pipe::new(rules.clone(), Rng::stream(seed, 0)),
            down: Pipe::new(rules, Rng::stream(seed, 1)),
            plan: Vec::new(),
        }
    }

    /// Takes what an end sent.
    ///
    /// # Errors
    /// [`Full`] hands the segment back while [`has_room`](Self::has_room) is false.
    pub fn push(&mut self, now: Now, way: Way, segment: T) -> Result<(), Full<T>> {
        self.advance(now);
        self.pipe_mut(way).push(now, segment)
    }

    /// The sender of this direction closed it. The far end hears of it in its turn, if the network lets it.
    pub fn end(&mut self, now: Now, way: Way, ending: Ending) {
        self.advance(now);
        self.pipe_mut(way).end(now, ending);
    }

    /// What has arrived by now in this direction. Call again until `None`.
    pub fn poll(&mut self, now: Now, way: Way) -> Option<Arrival<T>> {
        self.advance(now);
        self.pipe_mut(way).poll(now)
    }

    /// Whether a reset is due in this direction, which a far end that takes nothing at present must hear of all the same.
    /// See [`Pipe::reset_is_due`].
    #[must_use]
    pub fn reset_is_due(&mut self, now: Now, way: Way) -> bool {
        self.advance(now);
        self.pipe(way).reset_is_due(now)
    }

    /// When to poll again, if nothing is pushed before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Now> {
        [self.next_arrival(Way::Up), self.next_arrival(Way::Down), self.next_step()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the next segment of one direction is due; for a shell whose other direction cannot take any at present.
    #[must_use]
    pub fn next_arrival(&self, way: Way) -> Option<Now> {
        self.pipe(way).poll_timeout()
    }

    /// When the last fault does what it still has in store.
    #[must_use]
    pub fn next_step(&self) -> Option<Now> {
        self.plan.first().map(|(at, _)| *at)
    }

    /// Makes something happen. [`Fault::Refuse`] is not for live connections and leaves this one alone.
    pub fn apply(&mut self, now: Now, fault: Fault) {
        self.advance(now);
        if matches!(fault, Fault::Refuse { .. }) {
            return;
        }
        self.plan.clear();
        match fault {
            Fault::Cut => self.reset(now, Direction::Both),
            Fault::Reset { direction } => self.reset(now, direction),
            Fault::Fin => Way::BOTH.into_iter().for_each(|way| self.close(now, way)),
            Fault::HalfOpen { direction, for_ms } => self.hold(now, Flow::HalfOpen, direction, for_ms),
            Fault::Stall { direction, for_ms } => self.hold(now, Flow::Stalled, direction, for_ms),
            Fault::BackgroundKill { after_ms, server_told_ms, client_told_ms } => {
                let kill = now + Duration::from_millis(after_ms);
                self.plan.push((kill, Step::LetGo));
                for (way, ending, told_ms) in
                    [(Way::Up, Ending::Reset, server_told_ms), (Way::Down, Ending::Fin, client_told_ms)]
                {
                    let told = told_ms.map(|ms| (kill + Duration::from_millis(ms), Step::Tell(way, ending)));
                    self.plan.extend(told);
                }
                self.plan.sort_by_key(|(at, _)| *at);
                self.advance(now);
            }
            Fault::Refuse { .. } => {}
        }
    }

    /// Ends every fault. A connection that lost something is reset at both ends, one that did not goes on.
    pub fn heal(&mut self, now: Now) {
        self.advance(now);
        self.plan.clear();
        self.open(now);
    }

    /// New rules, for what is pushed from now on. See [`Pipe::set_rules`].
    pub fn set_rules(&mut self, now: Now, rules: Rules) {
        self.up.set_rules(now, rules.clone());
        self.down.set_rules(now, rules);
    }

    /// Whether the sender of this direction may push; while it may not, stop reading from it.
    #[must_use]
    pub fn has_room(&self, way: Way) -> bool {
        self.pipe(way).has_room()
    }

    /// How many bytes the sender of this direction should push at most at once.
    #[must_use]
    pub fn room_bytes(&self, way: Way) -> usize {
        self.pipe(way).room_bytes()
    }

    /// How many bytes have arrived in this direction.
    #[must_use]
    pub fn carried_bytes(&self, way: Way) -> u64 {
        self.pipe(way).carried_bytes()
    }

    /// How many bytes have vanished in this direction.
    #[must_use]
    pub fn swallowed_bytes(&self, way: Way) -> u64 {
        self.pipe(way).swallowed_bytes()
    }

    /// What the connection looks like from outside.
    #[must_use]
    pub fn state(&self) -> LinkState {
        let flows = [self.up.flow(), self.down.flow()];
        if self.up.is_over() && self.down.is_over() {
            LinkState::Over
        } else if flows.contains(&Flow::HalfOpen) {
            LinkState::HalfOpen
        } else if flows.contains(&Flow::Stalled) {
            LinkState::Stalled
        } else if self.up.has_ended() || self.down.has_ended() {
            LinkState::Ending
        } else {
            LinkState::Open
        }
    }

    /// Whether nothing is on its way in either direction.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.up.is_empty() && self.down.is_empty()
    }

    /// Does what the last fault had in store for the time up to now.
    fn advance(&mut self, now: Now) {
        while let Some(&(at, step)) = self.plan.first().filter(|(at, _)| *at <= now) {
            self.plan.remove(0);
            match step {
                Step::Heal => self.open(at),
                Step::LetGo => Way::BOTH.into_iter().for_each(|way| self.pipe_mut(way).sever(at)),
                Step::Tell(way, ending) => self.pipe_mut(way).abort(at, ending),
            }
        }
    }

    /// A lasting fault: its directions take on `flow`, the others are as if nothing had been.
    fn hold(&mut self, now: Now, flow: Flow, direction: Direction, for_ms: Option<u64>) {
        for way in Way::BOTH {
            let pipe = self.pipe_mut(way);
            let next = match direction.covers(way) {
                // A hole stays one under a newer fault; opening the pipe here would tell the far end too early.
                _ if pipe.is_holed() => Flow::HalfOpen,
                true => flow,
                false => Flow::Open,
            };
            pipe.set_flow(now, next);
        }
        self.plan.extend(for_ms.map(|ms| (now + Duration::from_millis(ms), Step::Heal)));
    }

    /// The named ends see a reset; an end that is left out goes on talking to nobody.
    fn reset(&mut self, now: Now, direction: Direction) {
        for way in Way::BOTH {
            if direction.covers(way) {
                self.pipe_mut(way).abort(now, Ending::Reset);
            } else {
                self.pipe_mut(way).sever(now);
            }
        }
    }

    /// The far end of this direction sees an orderly close after what is on its way, at once if it is not listening.
    fn close(&mut self, now: Now, way: Way) {
        let pipe = self.pipe_mut(way);
        if pipe.is_holed() {
            pipe.abort(now, Ending::Fin);
        } else {
            pipe.set_flow(now, Flow::Open);
            pipe.end(now, Ending::Fin);
        }
    }

    fn open(&mut self, now: Now) {
        if self.up.is_holed() || self.down.is_holed() {
            // One direction with a hole is the end of the connection, and that is known at both ends.
            self.reset(now, Direction::Both);
        } else {
            Way::BOTH.into_iter().for_each(|way| self.pipe_mut(way).set_flow(now, Flow::Open));
        }
    }

    fn pipe(&self, way: Way) -> &Pipe<T> {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }

    fn pipe_mut(&mut self, way: Way) -> &mut Pipe<T> {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}

#[cfg(test)]
mod tests;
