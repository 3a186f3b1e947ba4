//! Many lines that ask and are answered: calls of `echo`, or publications in channels that nobody reads.
//!
//! Start at [`run`].

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use hdrhistogram::Histogram;

use super::{
    Stage, WARM_UP,
    dialect::{Dialect, Opening, Payload, Role},
    fleet::{Fleet, Visit},
    flights::{histogram, record},
    line::{Heard, Line, Scene},
    meter::Window,
    report::Figures,
    requests::Requests,
};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Echo,
    Publish,
}

/// Every answer comes within this time, or it is lost.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);

pub(super) fn run(stage: &Stage<'_>, ask: Ask) -> anyhow::Result<Figures> {
    let mut fleet = Fleet::new(&stage.target)?;
    let mut desk = Desk::new(stage, ask);
    let openings = desk.openings(stage)?;
    fleet.open(stage.plan.connections, stage.plan.at_once, &stage.progress, &mut desk, |index| {
        openings.get(index).cloned().map_or_else(|| visit(stage), Into::into)
    })?;
    let mut pace = Pace { rate: stage.plan.rate, due: None, next: 0 };
    stage.progress.begin("warming up", 1000);
    pace.go_on(&mut fleet, &mut desk, stage, WARM_UP)?;
    desk.latency.reset();
    let window = Window::open(stage.pid)?;
    stage.progress.begin("asking", 1000);
    pace.go_on(&mut fleet, &mut desk, stage, stage.plan.lasts)?;
    let used = window.close()?;
    let answered = desk.latency.len();
    desk.asks = false;
    settle(&mut fleet, &mut desk)?;

    let mut figures = Figures::default();
    if let Some(server) = used.server {
        let name = match ask {
            Ask::Echo => "server_cpu_s_per_1m_calls",
            Ask::Publish => "server_cpu_s_per_1m_publications",
        };
        figures.add_cpu(name, server, answered);
    }
    figures.add("answers_per_s", answered as f64 / used.lasted.as_secs_f64());
    figures.add_latency(["latency_p50_ms", "latency_p99_ms", "latency_max_ms"], &desk.latency);
    figures.add_load(&used);
    Ok(figures)
}

fn visit(stage: &Stage<'_>) -> Visit {
    Visit { words: stage.target.hello().into(), answers: 1, reads: None }
}

/// Waits for the last answers.
fn settle(fleet: &mut Fleet, desk: &mut Desk) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let open: usize = desk.requests.iter().map(|requests| requests.in_flight).sum();
        if open == 0 {
            return Ok(());
        }
        fleet.turn(desk, Duration::from_millis(100))?;
        ensure!(
            begin.elapsed() < ANSWERED_WITHIN,
            "lost: {open} requests got no answer within {ANSWERED_WITHIN:?}"
        );
    }
}

/// Who asks when, where answers do not decide it.
struct Pace {
    rate: Option<f64>,
    due: Option<Instant>,
    next: usize,
}

impl Pace {
    fn go_on(
        &mut self,
        fleet: &mut Fleet,
        desk: &mut Desk,
        stage: &Stage<'_>,
        lasts: Duration,
    ) -> anyhow::Result<()> {
        let begin = Instant::now();
        if self.rate.is_none() && !desk.asks {
            desk.asks = true;
            for line in &mut fleet.lines {
                (0..stage.plan.in_flight).try_for_each(|_| desk.ask(line, begin))?;
            }
        }
        while begin.elapsed() < lasts {
            let wait =
                self.rate.map_or(Ok(Duration::from_millis(100)), |rate| self.ask(rate, fleet, desk))?;
            fleet.turn(desk, wait)?;
            stage.progress.time(begin.elapsed(), lasts);
        }
        Ok(())
    }

    /// Asks what is due, each line in its turn, and says for how long nothing is.
    fn ask(&mut self, rate: f64, fleet: &mut Fleet, desk: &mut Desk) -> anyhow::Result<Duration> {
        let now = Instant::now();
        let mut due = self.due.unwrap_or(now);
        while due <= now {
            let line = self.next % fleet.lines.len();
            desk.ask(&mut fleet.lines[line], due)?;
            self.next += 1;
            due += Duration::from_secs_f64(1.0 / rate);
        }
        self.due = Some(due);
        Ok(due.saturating_duration_since(now))
    }
}

struct Desk {
    requests: Vec<Requests>,
    /// What is asked by each line, behind its marks; in another dialect, where it asks.
    bodies: Vec<String>,
    dialect: Dialect,
    /// What is asked in another dialect.
    payload: Payload,
    /// Whether an answer is the cause of the next question.
    asks: bool,
    latency: Histogram<u64>,
}

impl Desk {
    fn new(stage: &Stage<'_>, ask: Ask) -> Self {
        let data = "x".repeat(stage.plan.payload - 2);
        let dialect = stage.target.dialect;
        let body = |index: usize| match ask {
            Ask::Echo if !dialect.is_ours() => format!("{}:{index}", stage.name),
            Ask::Echo => format!(r#""call":{{"method":"echo","data":"{data}"}}}}"#),
            Ask::Publish => {
                let (name, number) = (&stage.name, index % stage.plan.channels);
                format!(r#""publish":{{"channel":"{name}:{number}","data":"{data}"}}}}"#)
            }
        };
        Self {
            requests: (0..stage.plan.connections).map(|_| Requests::default()).collect(),
            bodies: (0..stage.plan.connections).map(body).collect(),
            dialect,
            payload: Payload::new(stage.plan.payload),
            asks: false,
            latency: histogram(),
        }
    }

    /// How lines open in another dialect.
    fn openings(&self, stage: &Stage<'_>) -> anyhow::Result<Vec<Opening>> {
        let bodies = self.bodies.iter().filter(|_| !stage.target.dialect.is_ours());
        bodies.map(|channel| stage.target.dialect.open(Role::Echo(channel))).collect()
    }

    fn ask(&mut self, line: &mut Line, at: Instant) -> anyhow::Result<()> {
        let marks = self.requests[line.index].ask(at);
        if !self.dialect.is_ours() {
            let (mut frame, mut question) = (Vec::new(), Vec::new());
            self.dialect.ask(&mut question, &self.bodies[line.index], self.payload.numbered(marks.id));
            self.dialect.frame(&mut frame, &question);
            return line.send(&frame);
        }
        line.say(&format!("{marks}{}", self.bodies[line.index]))
    }
}

impl Scene for Desk {
    fn hear(&mut self, line: &mut Line, heard: Heard<'_>, now: Instant) -> anyhow::Result<()> {
        match heard {
            Heard::Reply { id } => {
                let asked = self.requests[line.index].settle(id).context("answered twice")?;
                record(&mut self.latency, asked, now);
                if self.asks { self.ask(line, now) } else { Ok(()) }
            }
            Heard::Online { .. } | Heard::Pong => Ok(()),
            Heard::Publication { .. } | Heard::Gap => bail!("nobody subscribed to this"),
        }
    }
}
