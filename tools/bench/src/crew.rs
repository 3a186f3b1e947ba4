//! Subscribers, and one publisher who knows when everybody has what was published.
//!
//! Start at [`Crew::gather`], then [`Crew::step`]; what most scenarios are made of. "k in flight" means that the publisher,
//! a connection of its own, sends the next publication only while fewer than k are not yet delivered to all subscribers.

use std::{
    fmt::Write as _,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use super::{
    args::Target,
    dialect::{Dialect, Payload, Role},
    fleet::{Fleet, Visit},
    flights::Flights,
    line::{Heard, Line, Reads, Scene},
    progress::Progress,
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

/// Who is in it.
pub(super) struct Roll<'a> {
    /// A name that no other run has.
    pub name: &'a str,
    pub subscribers: usize,
    pub channels: usize,
    pub payload: usize,
    pub at_once: usize,
}

pub(super) struct Crew {
    pub fleet: Fleet,
    pub desk: Desk,
    names: Vec<String>,
    data: String,
    dialect: Dialect,
    /// What is published in another dialect.
    payload: Payload,
    /// For channels in a random order.
    dice: u64,
    due: Option<Instant>,
}

/// What is known of publications, requests and lines.
pub(super) struct Desk {
    pub flights: Flights,
    requests: Requests,
    publisher: usize,
    pub pongs: u64,
}

impl Crew {
    /// Opens the subscribers' connections, each in one channel in turn, and the publisher's.
    pub(super) fn gather(target: &Target, roll: &Roll<'_>, progress: &Progress) -> anyhow::Result<Self> {
        let names: Vec<_> = (0..roll.channels).map(|number| format!("{}:{number}", roll.name)).collect();
        let reads: Vec<_> = names.iter().enumerate().map(|(number, name)| Reads::new(number, name)).collect();
        let mut flights = Flights::new(roll.channels);
        (0..roll.subscribers).for_each(|index| flights.subscribed(index % roll.channels));
        let desk = Desk { flights, requests: Requests::default(), publisher: usize::MAX, pongs: 0 };
        let mut crew = Self {
            fleet: Fleet::new(target)?,
            desk,
            names,
            data: "x".repeat(roll.payload.saturating_sub(2)),
            dialect: target.dialect,
            payload: Payload::new(roll.payload),
            dice: 0x9e37_79b9_7f4a_7c15,
            due: None,
        };
        let (fleet, desk, names) = (&mut crew.fleet, &mut crew.desk, &crew.names);
        if !target.dialect.is_ours() {
            let opening = target.dialect.open(Role::Subscriber(&names[0]))?;
            fleet.open(roll.subscribers, roll.at_once, progress, desk, |_| Visit {
                reads: Some(Rc::clone(&reads[0])),
                ..opening.clone().into()
            })?;
            desk.publisher = fleet.lines.len();
            let opening = target.dialect.open(Role::Publisher(&names[0]))?;
            fleet.open(1, 1, progress, desk, |_| opening.clone().into())?;
            return Ok(crew);
        }
        fleet.open(roll.subscribers, roll.at_once, progress, desk, |index| {
            let channel = index % roll.channels;
            Visit {
                words: (target.hello() + "\n" + &subscription(&names[channel])).into(),
                answers: 2,
                reads: Some(Rc::clone(&reads[channel])),
            }
        })?;
        desk.publisher = fleet.lines.len();
        fleet.open(1, 1, progress, desk, |_| Visit {
            words: target.hello().into(),
            answers: 1,
            reads: None,
        })?;
        Ok(crew)
    }

    pub(super) fn channel(&self, number: usize) -> &str {
        &self.names[number]
    }

    /// The packet by which a line subscribes to a channel, as its first request.
    pub(super) fn subscription(&self, number: usize) -> String {
        subscription(&self.names[number])
    }

    /// Publishes what may be published now, then waits for at most `wait` and hears what comes.
    pub(super) fn step(&mut self, pace: Pace, wait: Duration) -> anyhow::Result<()> {
        let now = Instant::now();
        let wait = match pace {
            Pace::InFlight(most) => {
                let flying = most.saturating_sub(self.desk.flights.in_flight);
                // Answers may lag behind deliveries, but not for ever.
                let unanswered = (2 * most).saturating_sub(self.desk.requests.in_flight);
                self.publish(flying.min(unanswered), now)?;
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
        self.fleet.turn(&mut self.desk, wait)?;
        Ok(())
    }

    /// Publishes so many, in channels at random, in as few messages as they fit in.
    fn publish(&mut self, count: usize, now: Instant) -> anyhow::Result<()> {
        if !self.dialect.is_ours() {
            return self.publish_numbered(count, now);
        }
        let mut batch = String::new();
        for left in (0..count).rev() {
            let channel = self.throw(self.names.len());
            self.write(&mut batch, channel, now)?;
            if left == 0 || batch.len() > BATCH_BYTES {
                self.fleet.lines[self.desk.publisher].say(&batch)?;
                batch.clear();
            }
        }
        Ok(())
    }

    /// Publishes so many at another server, which has one channel: streams take them in few frames.
    fn publish_numbered(&mut self, count: usize, now: Instant) -> anyhow::Result<()> {
        let (mut frames, mut batch) = (Vec::new(), Vec::new());
        for left in (0..count).rev() {
            self.desk.flights.depart(0, now);
            let payload = self.payload.numbered(self.desk.flights.last(0));
            self.dialect.publish(&mut batch, &self.names[0], payload);
            if left == 0 || batch.len() > BATCH_BYTES || !self.dialect.is_stream() {
                self.dialect.frame(&mut frames, &batch);
                batch.clear();
            }
        }
        if count == 0 { Ok(()) } else { self.fleet.lines[self.desk.publisher].send(&frames) }
    }

    /// Publishes in one channel.
    pub(super) fn publish_in(&mut self, channel: usize, now: Instant) -> anyhow::Result<()> {
        if !self.dialect.is_ours() {
            return self.publish_numbered(1, now);
        }
        let mut packet = String::new();
        self.write(&mut packet, channel, now)?;
        self.fleet.lines[self.desk.publisher].say(&packet)
    }

    fn write(&mut self, batch: &mut String, channel: usize, now: Instant) -> anyhow::Result<()> {
        self.desk.flights.depart(channel, now);
        let marks = self.desk.requests.ask(now);
        let (name, data) = (&self.names[channel], &self.data);
        writeln!(batch, r#"{marks}"publish":{{"channel":"{name}","data":"{data}"}}}}"#)?;
        Ok(())
    }

    /// Waits until everybody has everything, and holds each line against what was published.
    pub(super) fn land(&mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        // Nothing falls due until the next step.
        self.due = None;
        while self.desk.flights.in_flight > 0 || self.desk.requests.in_flight > 0 {
            self.fleet.turn(&mut self.desk, Duration::from_millis(100))?;
            ensure!(
                begin.elapsed() < ARRIVES_WITHIN,
                "lost: {} publications did not reach all subscribers, {} got no answer, within {ARRIVES_WITHIN:?}",
                self.desk.flights.in_flight,
                self.desk.requests.in_flight
            );
        }
        self.fleet.lines.iter().filter(|line| !line.asleep).try_for_each(|line| self.check(line))
    }

    /// A line has heard everything up to the end of its channel, once, but for what a gap stood for.
    fn check(&self, line: &Line) -> anyhow::Result<()> {
        let Some(reads) = &line.reads else { return Ok(()) };
        let last = self.desk.flights.last(reads.number);
        let heard = line.began + line.publications + line.skipped;
        ensure!(
            line.offset == last && heard == last,
            "lost: line {} stands at {} of {last}, and has heard {}",
            line.index,
            line.offset,
            line.publications
        );
        Ok(())
    }

    fn throw(&mut self, sides: usize) -> usize {
        if sides == 1 {
            return 0;
        }
        // Marsaglia's xorshift: a generator of load has no need of a better one.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        usize::try_from(self.dice % sides as u64).expect("less than the number of channels")
    }
}

fn subscription(channel: &str) -> String {
    format!(r#"{{"id":1,"subscribe":{{"channel":"{channel}"}}}}"#)
}

impl Scene for Desk {
    fn hear(&mut self, line: &mut Line, heard: Heard<'_>, now: Instant) -> anyhow::Result<()> {
        match heard {
            Heard::Publication { offset } => {
                let reads = line.reads.as_ref().context("a publication for somebody who reads nothing")?;
                self.flights.arrive(reads.number, offset, now)?;
            }
            Heard::Reply { id } => drop(self.requests.settle(id)?),
            Heard::Pong => self.pongs += 1,
            Heard::Online { .. } | Heard::Gap => {}
        }
        Ok(())
    }
}
