//! Many connections that ask and are answered: calls of `echo`, or publications in channels that nobody reads.
//!
//! Start at [`run`].

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use hdrhistogram::Histogram;

use super::{
    RunContext, WARM_UP,
    connection::{Connection, Event, Observer},
    delivery_tracker::{histogram, record},
    event_loop::{ConnectSpec, EventLoop},
    procfs::Window,
    protocols::{Opening, Payload, Protocol, Role},
    report::Figures,
    requests::Requests,
};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Echo,
    /// A method that the app's back end answers.
    Hook,
    Publish,
}

/// Every answer comes within this time, or it is lost.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);

pub(super) fn run(context: &RunContext<'_>, ask: Ask) -> anyhow::Result<Figures> {
    let mut event_loop = EventLoop::new(&context.target)?;
    let mut tracker = Tracker::new(context, ask);
    let openings = tracker.openings(context)?;
    event_loop.open(
        context.plan.connections,
        context.plan.at_once,
        &context.progress,
        &mut tracker,
        |index| openings.get(index).cloned().map_or_else(|| connect_spec(context), Into::into),
    )?;
    let mut pace = Pace { rate: context.plan.rate, due: None, next: 0 };
    context.progress.begin("warming up", 1000);
    pace.go_on(&mut event_loop, &mut tracker, context, WARM_UP)?;
    tracker.latency.reset();
    let window = Window::open(context.pid)?;
    context.progress.begin("asking", 1000);
    pace.go_on(&mut event_loop, &mut tracker, context, context.plan.lasts)?;
    let used = window.close()?;
    let answered = tracker.latency.len();
    tracker.asks = false;
    settle(&mut event_loop, &mut tracker)?;

    let mut figures = Figures::default();
    if let Some(server) = used.server {
        let name = match ask {
            Ask::Echo | Ask::Hook => "server_cpu_s_per_1m_calls",
            Ask::Publish => "server_cpu_s_per_1m_publications",
        };
        figures.add_cpu(name, server, answered);
    }
    figures.add("answers_per_s", answered as f64 / used.lasted.as_secs_f64());
    figures.add_latency(["latency_p50_ms", "latency_p99_ms", "latency_max_ms"], &tracker.latency);
    figures.add_load(&used);
    Ok(figures)
}

fn connect_spec(context: &RunContext<'_>) -> ConnectSpec {
    ConnectSpec { first_messages: context.target.hello().into(), answers: 1, reads: None }
}

/// Waits for the last answers.
fn settle(event_loop: &mut EventLoop, tracker: &mut Tracker) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let open: usize = tracker.requests.iter().map(|requests| requests.in_flight).sum();
        if open == 0 {
            return Ok(());
        }
        event_loop.poll(tracker, Duration::from_millis(100))?;
        ensure!(
            begin.elapsed() < ANSWERED_WITHIN,
            "lost: {open} requests got no answer within {ANSWERED_WITHIN:?}"
        );
    }
}

/// When which connection asks, where answers do not decide it.
struct Pace {
    rate: Option<f64>,
    due: Option<Instant>,
    next: usize,
}

impl Pace {
    fn go_on(
        &mut self,
        event_loop: &mut EventLoop,
        tracker: &mut Tracker,
        context: &RunContext<'_>,
        lasts: Duration,
    ) -> anyhow::Result<()> {
        let begin = Instant::now();
        if self.rate.is_none() && !tracker.asks {
            tracker.asks = true;
            for connection in &mut event_loop.connections {
                (0..context.plan.in_flight).try_for_each(|_| tracker.ask(connection, begin))?;
            }
        }
        while begin.elapsed() < lasts {
            let wait = self
                .rate
                .map_or(Ok(Duration::from_millis(100)), |rate| self.ask(rate, event_loop, tracker))?;
            event_loop.poll(tracker, wait)?;
            context.progress.time(begin.elapsed(), lasts);
        }
        Ok(())
    }

    /// Asks what is due, each connection in its turn, and says for how long nothing is.
    fn ask(
        &mut self,
        rate: f64,
        event_loop: &mut EventLoop,
        tracker: &mut Tracker,
    ) -> anyhow::Result<Duration> {
        let now = Instant::now();
        let mut due = self.due.unwrap_or(now);
        while due <= now {
            let connection = self.next % event_loop.connections.len();
            tracker.ask(&mut event_loop.connections[connection], due)?;
            self.next += 1;
            due += Duration::from_secs_f64(1.0 / rate);
        }
        self.due = Some(due);
        Ok(due.saturating_duration_since(now))
    }
}

struct Tracker {
    requests: Vec<Requests>,
    /// What is asked by each connection, behind its marks; in another protocol, where it asks.
    bodies: Vec<String>,
    protocol: Protocol,
    /// What is asked in another protocol.
    payload: Payload,
    /// Whether an answer is the cause of the next question.
    asks: bool,
    latency: Histogram<u64>,
}

impl Tracker {
    fn new(context: &RunContext<'_>, ask: Ask) -> Self {
        let data = "x".repeat(context.plan.payload - 2);
        let protocol = context.target.protocol;
        let body = |index: usize| match ask {
            Ask::Echo if !protocol.is_ours() => format!("{}:{index}", context.name),
            Ask::Echo => format!(r#""call":{{"method":"echo","data":"{data}"}}}}"#),
            Ask::Hook => format!(r#""call":{{"method":"hook","data":"{data}"}}}}"#),
            Ask::Publish => {
                let (name, number) = (&context.name, index % context.plan.channels);
                format!(r#""publish":{{"channel":"{name}:{number}","data":"{data}"}}}}"#)
            }
        };
        Self {
            requests: (0..context.plan.connections).map(|_| Requests::default()).collect(),
            bodies: (0..context.plan.connections).map(body).collect(),
            protocol,
            payload: Payload::new(context.plan.payload),
            asks: false,
            latency: histogram(),
        }
    }

    /// How connections open in another protocol.
    fn openings(&self, context: &RunContext<'_>) -> anyhow::Result<Vec<Opening>> {
        let bodies = self.bodies.iter().filter(|_| !context.target.protocol.is_ours());
        bodies.map(|channel| context.target.protocol.open(Role::Echo(channel))).collect()
    }

    fn ask(&mut self, connection: &mut Connection, at: Instant) -> anyhow::Result<()> {
        let marks = self.requests[connection.index].ask(at);
        if !self.protocol.is_ours() {
            let (mut frame, mut question) = (Vec::new(), Vec::new());
            self.protocol.ask(&mut question, &self.bodies[connection.index], self.payload.numbered(marks.id));
            self.protocol.frame(&mut frame, &question);
            return connection.send(&frame);
        }
        connection.say(&format!("{marks}{}", self.bodies[connection.index]))
    }
}

impl Observer for Tracker {
    fn on_event(
        &mut self,
        connection: &mut Connection,
        event: Event<'_>,
        now: Instant,
    ) -> anyhow::Result<()> {
        match event {
            Event::Reply { id } => {
                let asked = self.requests[connection.index].settle(id).context("answered twice")?;
                record(&mut self.latency, asked, now);
                if self.asks { self.ask(connection, now) } else { Ok(()) }
            }
            Event::Online { .. } | Event::Pong => Ok(()),
            Event::Publication { .. } | Event::Gap => bail!("nobody subscribed to this"),
        }
    }
}
