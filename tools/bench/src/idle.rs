//! What connections cost that do nothing: memory, and the CPU of their heartbeats.
//!
//! Start at [`run`].

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{
    Stage,
    crew::{Crew, Roll},
    meter::{self, Window},
    report::Figures,
};

/// As the protocol has it by default: a ping when nothing was said for so long.
const PING_EVERY: Duration = Duration::from_secs(25);
/// So many clients keep a server from ever falling asleep: what a ping costs then is its own cost.
const MILLION: usize = 1_000_000;
/// What everybody is sent between the two looks at memory.
const BURST_MESSAGES: usize = 20;
const BURST_BYTES: usize = 4096;
/// These make what all connections share (threads, buffers, tables), and are not counted.
const FIRST: usize = 16;
const SHORT: Duration = Duration::from_millis(50);

pub(super) fn run(stage: &Stage<'_>) -> anyhow::Result<Figures> {
    let plan = stage.plan;
    let first_name = format!("{}:first", stage.name);
    let first =
        Roll { name: &first_name, subscribers: FIRST, channels: 1, payload: BURST_BYTES, at_once: FIRST };
    let mut pioneers = Crew::gather(&stage.target, &first, &stage.progress)?;
    burst(&mut pioneers, 1)?;
    let before = memory(stage, &mut pioneers)?;

    let window = Window::open(stage.pid)?;
    let all = Roll {
        name: &stage.name,
        subscribers: plan.connections,
        channels: plan.channels,
        at_once: plan.at_once,
        ..first
    };
    let mut crew = Crew::gather(&stage.target, &all, &stage.progress)?;
    let opened = window.close()?;
    let idle = memory(stage, &mut crew)?;
    // What another server keeps of a burst is its garbage collector's affair.
    let after = if stage.target.dialect.is_ours() {
        stage.progress.begin("a burst for everybody", 0);
        burst(&mut crew, plan.channels)?;
        memory(stage, &mut crew)?
    } else {
        None
    };

    let window = Window::open(stage.pid)?;
    let pings = beat(stage, &mut crew, plan.connections)?;
    let beating = window.close()?;
    let window = Window::open(stage.pid)?;
    let million_pings = beat(stage, &mut crew, MILLION)?;
    let million = window.close()?;
    crew.land()?;

    let connections = plan.connections as f64;
    let mut figures = Figures::default();
    if let (Some(before), Some(idle)) = (before, idle) {
        figures.add("resident_bytes_each", idle.saturating_sub(before) as f64 / connections);
        if let Some(after) = after {
            figures.add("resident_bytes_each_after_burst", after.saturating_sub(before) as f64 / connections);
        }
        figures.add("resident_mib_in_all", idle as f64 / (1024.0 * 1024.0));
    }
    if let (Some(opening), Some(heartbeats), Some(million)) = (opened.server, beating.server, million.server)
    {
        let each = |cpu: Duration, pings: u64| cpu.as_secs_f64() * 1e6 / pings.max(1) as f64;
        figures.add("cpu_us_per_ping", each(heartbeats, pings));
        figures.add("heartbeat_cpu_us_per_s_each", each(heartbeats, pings) / PING_EVERY.as_secs_f64());
        let of_a_million = each(million, million_pings) / PING_EVERY.as_secs_f64();
        figures.add("heartbeat_cpu_us_per_s_each_of_a_million", of_a_million);
        figures.add("opening_cpu_us_each", opening.as_secs_f64() * 1e6 / connections);
    }
    figures.add("opened_per_s", connections / opened.lasted.as_secs_f64());
    Ok(figures)
}

/// The server's resident memory once it has settled.
fn memory(stage: &Stage<'_>, crew: &mut Crew) -> anyhow::Result<Option<u64>> {
    stage.progress.begin("waiting for memory to settle", 0);
    let listen = || crew.fleet.turn(&mut crew.desk, SHORT).map(drop);
    stage.pid.map(|pid| meter::settled(pid, stage.plan.settle, listen)).transpose()
}

/// Everybody is sent a few large messages.
fn burst(crew: &mut Crew, channels: usize) -> anyhow::Result<()> {
    for _ in 0..BURST_MESSAGES {
        for channel in 0..channels {
            crew.publish_in(channel, Instant::now())?;
        }
        // One at a time: a log that is overtaken would be another measurement.
        crew.land()?;
    }
    Ok(())
}

/// The lines ping, each in its turn, as often as so many clients do by the protocol. Returns how many pings were answered.
fn beat(stage: &Stage<'_>, crew: &mut Crew, clients: usize) -> anyhow::Result<u64> {
    let (lasts, subscribers) = (stage.plan.lasts, stage.plan.connections);
    let answered = crew.desk.pongs;
    stage.progress.begin("heartbeats", 1000);
    let mut ping = Vec::new();
    stage.target.dialect.ping(&mut ping);
    let begin = Instant::now();
    let mut sent = 0;
    loop {
        let passed = begin.elapsed();
        if passed >= lasts {
            break;
        }
        let due = passed.as_secs_f64() / PING_EVERY.as_secs_f64() * clients as f64;
        while (sent as f64) < due {
            crew.fleet.lines[sent % subscribers].send(&ping)?;
            sent += 1;
        }
        let wait = PING_EVERY.as_secs_f64() / clients as f64;
        crew.fleet.turn(&mut crew.desk, Duration::from_secs_f64(wait.min(0.1)))?;
        stage.progress.time(passed, lasts);
    }
    let sent = sent as u64;
    let all = answered + sent;
    crew.fleet.until(&mut crew.desk, "an answer to every ping", |_, desk| desk.pongs >= all)?;
    ensure!(crew.desk.pongs == all, "{sent} pings and {} answers", crew.desk.pongs - answered);
    Ok(sent)
}
