//! Subscribers, and one publisher that knows when every subscriber has what was published.
//!
//! Start at [`PubSubLoad::open`], then [`PubSubLoad::step`]; what most scenarios are made of. "k in flight" means that the publisher,
//! a connection of its own, sends the next publication only while fewer than k are not yet delivered to all subscribers.

use std::{
    fmt::Write as _,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use super::{
    args::Target,
    connection::{Connection, Event, Observer, SubscribedChannel},
    delivery_tracker::DeliveryTracker,
    event_loop::{ConnectSpec, EventLoop},
    progress::Progress,
    protocols::{Payload, Protocol, Role},
    requests::Requests,
};

/// A message of the publisher carries at most so much; servers take 64 KiB.
const BATCH_BYTES: usize = 32 * 1024;
/// Everything that was published is delivered within this time, or it is lost.
const ARRIVES_WITHIN: Duration = Duration::from_secs(15);

/// When the publisher publishes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    InFlight(usize),
    /// So many a second, whatever becomes of them. Latency counts from the moment at which one was due.
    Rate(f64),
}

/// How many connections and channels it has.
pub(super) struct LoadSpec<'a> {
    /// A name that no other run has.
    pub name: &'a str,
    pub subscribers: usize,
    pub channels: usize,
    pub payload: usize,
    pub at_once: usize,
}

pub(super) struct PubSubLoad {
    pub event_loop: EventLoop,
    pub tracker: Tracker,
    names: Vec<String>,
    data: String,
    protocol: Protocol,
    /// What is published in another protocol.
    payload: Payload,
    /// For channels in a random order.
    rng: u64,
    due: Option<Instant>,
}

/// What is known of publications, requests and connections.
pub(super) struct Tracker {
    pub delivery: DeliveryTracker,
    requests: Requests,
    publisher: usize,
    pub pongs: u64,
}

impl PubSubLoad {
    /// Opens the subscribers' connections, each in one channel in turn, and the publisher's.
    pub(super) fn open(target: &Target, spec: &LoadSpec<'_>, progress: &Progress) -> anyhow::Result<Self> {
        let names: Vec<_> = (0..spec.channels).map(|number| format!("{}:{number}", spec.name)).collect();
        let reads: Vec<_> =
            names.iter().enumerate().map(|(number, name)| SubscribedChannel::new(number, name)).collect();
        let mut delivery = DeliveryTracker::new(spec.channels);
        (0..spec.subscribers).for_each(|index| delivery.subscribed(index % spec.channels));
        let tracker = Tracker { delivery, requests: Requests::default(), publisher: usize::MAX, pongs: 0 };
        let mut load = Self {
            event_loop: EventLoop::new(target)?,
            tracker,
            names,
            data: "x".repeat(spec.payload.saturating_sub(2)),
            protocol: target.protocol,
            payload: Payload::new(spec.payload),
            rng: 0x9e37_79b9_7f4a_7c15,
            due: None,
        };
        let (event_loop, tracker, names) = (&mut load.event_loop, &mut load.tracker, &load.names);
        if !target.protocol.is_ours() {
            let opening = target.protocol.open(Role::Subscriber(&names[0]))?;
            event_loop.open(spec.subscribers, spec.at_once, progress, tracker, |_| ConnectSpec {
                reads: Some(Rc::clone(&reads[0])),
                ..opening.clone().into()
            })?;
            tracker.publisher = event_loop.connections.len();
            let opening = target.protocol.open(Role::Publisher(&names[0]))?;
            event_loop.open(1, 1, progress, tracker, |_| opening.clone().into())?;
            return Ok(load);
        }
        event_loop.open(spec.subscribers, spec.at_once, progress, tracker, |index| {
            let channel = index % spec.channels;
            ConnectSpec {
                first_messages: (target.hello() + "\n" + &subscription(&names[channel])).into(),
                answers: 2,
                reads: Some(Rc::clone(&reads[channel])),
            }
        })?;
        tracker.publisher = event_loop.connections.len();
        event_loop.open(1, 1, progress, tracker, |_| ConnectSpec {
            first_messages: target.hello().into(),
            answers: 1,
            reads: None,
        })?;
        Ok(load)
    }

    pub(super) fn channel(&self, number: usize) -> &str {
        &self.names[number]
    }

    /// The packet by which a connection subscribes to a channel, as its first request.
    pub(super) fn subscription(&self, number: usize) -> String {
        subscription(&self.names[number])
    }

    /// Publishes what may be published now, then waits for at most `wait` and hears what comes.
    pub(super) fn step(&mut self, pace: Pace, wait: Duration) -> anyhow::Result<()> {
        let now = Instant::now();
        let wait = match pace {
            Pace::InFlight(most) => {
                let pending = most.saturating_sub(self.tracker.delivery.in_flight);
                // Answers may lag behind deliveries, but not for ever.
                let unanswered = (2 * most).saturating_sub(self.tracker.requests.in_flight);
                self.publish(pending.min(unanswered), now)?;
                wait
            }
            Pace::Rate(rate) => {
                let every = Duration::from_secs_f64(1.0 / rate);
                let mut due = self.due.unwrap_or(now);
                while due <= now {
                    self.publish(1, due)?;
                    due += every;
                }
                self.due = Some(due);
                wait.min(due.saturating_duration_since(now))
            }
        };
        self.event_loop.poll(&mut self.tracker, wait)?;
        Ok(())
    }

    /// Publishes so many, in channels at random, in as few messages as they fit in.
    fn publish(&mut self, count: usize, now: Instant) -> anyhow::Result<()> {
        if !self.protocol.is_ours() {
            return self.publish_numbered(count, now);
        }
        let mut batch = String::new();
        for left in (0..count).rev() {
            let channel = self.random_channel(self.names.len());
            self.write(&mut batch, channel, now)?;
            if left == 0 || batch.len() > BATCH_BYTES {
                self.event_loop.connections[self.tracker.publisher].say(&batch)?;
                batch.clear();
            }
        }
        Ok(())
    }

    /// Publishes so many at another server, which has one channel: streams take them in few frames.
    fn publish_numbered(&mut self, count: usize, now: Instant) -> anyhow::Result<()> {
        let (mut frames, mut batch) = (Vec::new(), Vec::new());
        for left in (0..count).rev() {
            self.tracker.delivery.sent(0, now);
            let payload = self.payload.numbered(self.tracker.delivery.last(0));
            self.protocol.publish(&mut batch, &self.names[0], payload);
            if left == 0 || batch.len() > BATCH_BYTES || !self.protocol.is_stream() {
                self.protocol.frame(&mut frames, &batch);
                batch.clear();
            }
        }
        if count == 0 { Ok(()) } else { self.event_loop.connections[self.tracker.publisher].send(&frames) }
    }

    /// Publishes in one channel.
    pub(super) fn publish_in(&mut self, channel: usize, now: Instant) -> anyhow::Result<()> {
        if !self.protocol.is_ours() {
            return self.publish_numbered(1, now);
        }
        let mut packet = String::new();
        self.write(&mut packet, channel, now)?;
        self.event_loop.connections[self.tracker.publisher].say(&packet)
    }

    fn write(&mut self, batch: &mut String, channel: usize, now: Instant) -> anyhow::Result<()> {
        self.tracker.delivery.sent(channel, now);
        let marks = self.tracker.requests.ask(now);
        let (name, data) = (&self.names[channel], &self.data);
        writeln!(batch, r#"{marks}"publish":{{"channel":"{name}","data":"{data}"}}}}"#)?;
        Ok(())
    }

    /// Waits until everybody has everything, and holds each connection against what was published.
    pub(super) fn drain(&mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        // Nothing falls due until the next step.
        self.due = None;
        while self.tracker.delivery.in_flight > 0 || self.tracker.requests.in_flight > 0 {
            self.event_loop.poll(&mut self.tracker, Duration::from_millis(100))?;
            ensure!(
                begin.elapsed() < ARRIVES_WITHIN,
                "lost: {} publications did not reach all subscribers, {} got no answer, within {ARRIVES_WITHIN:?}",
                self.tracker.delivery.in_flight,
                self.tracker.requests.in_flight
            );
        }
        self.event_loop
            .connections
            .iter()
            .filter(|connection| !connection.stalled)
            .try_for_each(|connection| self.check(connection))
    }

    /// A connection has heard everything up to the end of its channel, once, but for what a gap stood for.
    fn check(&self, connection: &Connection) -> anyhow::Result<()> {
        let Some(reads) = &connection.reads else { return Ok(()) };
        let last = self.tracker.delivery.last(reads.number);
        let heard = connection.began + connection.publications + connection.skipped;
        ensure!(
            connection.offset == last && heard == last,
            "lost: connection {} stands at {} of {last}, and has heard {}",
            connection.index,
            connection.offset,
            connection.publications
        );
        Ok(())
    }

    fn random_channel(&mut self, count: usize) -> usize {
        if count == 1 {
            return 0;
        }
        // Marsaglia's xorshift: a generator of load has no need of a better one.
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        usize::try_from(self.rng % count as u64).expect("less than the number of channels")
    }
}

fn subscription(channel: &str) -> String {
    format!(r#"{{"id":1,"subscribe":{{"channel":"{channel}"}}}}"#)
}

impl Observer for Tracker {
    fn on_event(
        &mut self,
        connection: &mut Connection,
        event: Event<'_>,
        now: Instant,
    ) -> anyhow::Result<()> {
        match event {
            Event::Publication { offset } => {
                let reads = connection
                    .reads
                    .as_ref()
                    .context("a publication on a connection without a subscription")?;
                self.delivery.received(reads.number, offset, now)?;
            }
            Event::Reply { id } => drop(self.requests.settle(id)?),
            Event::Pong => self.pongs += 1,
            Event::Online { .. } | Event::Gap => {}
        }
        Ok(())
    }
}
