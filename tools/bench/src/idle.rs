//! What connections cost that do nothing: memory, and the CPU of their heartbeats.
//!
//! Start at [`run`].

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{
    RunContext,
    procfs::{self, Window},
    pubsub_load::{LoadSpec, PubSubLoad},
    report::Figures,
};

/// As the protocol has it by default: a ping when nothing was said for so long.
const PING_EVERY: Duration = Duration::from_secs(25);
/// So many clients keep a server from ever falling stalled: what a ping costs then is its own cost.
const MILLION: usize = 1_000_000;
/// What everybody is sent between the two looks at memory.
const BURST_MESSAGES: usize = 20;
const BURST_BYTES: usize = 4096;
/// These make what all connections share (threads, buffers, tables), and are not counted.
const FIRST: usize = 16;
const SHORT: Duration = Duration::from_millis(50);

pub(super) fn run(context: &RunContext<'_>) -> anyhow::Result<Figures> {
    let plan = context.plan;
    let first_name = format!("{}:first", context.name);
    let first =
        LoadSpec { name: &first_name, subscribers: FIRST, channels: 1, payload: BURST_BYTES, at_once: FIRST };
    let mut first_load = PubSubLoad::open(&context.target, &first, &context.progress)?;
    burst(&mut first_load, 1)?;
    let before = memory(context, &mut first_load)?;

    let window = Window::open(context.pid)?;
    let all = LoadSpec {
        name: &context.name,
        subscribers: plan.connections,
        channels: plan.channels,
        at_once: plan.at_once,
        ..first
    };
    let mut load = PubSubLoad::open(&context.target, &all, &context.progress)?;
    let opened = window.close()?;
    let idle = memory(context, &mut load)?;
    // What another server keeps of a burst depends on its garbage collector.
    let after = if context.target.protocol.is_ours() {
        context.progress.begin("a burst for everybody", 0);
        burst(&mut load, plan.channels)?;
        memory(context, &mut load)?
    } else {
        None
    };

    let window = Window::open(context.pid)?;
    let pings = beat(context, &mut load, plan.connections)?;
    let beating = window.close()?;
    let window = Window::open(context.pid)?;
    let million_pings = beat(context, &mut load, MILLION)?;
    let million = window.close()?;
    load.drain()?;

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
fn memory(context: &RunContext<'_>, load: &mut PubSubLoad) -> anyhow::Result<Option<u64>> {
    context.progress.begin("waiting for memory to settle", 0);
    let listen = || load.event_loop.poll(&mut load.tracker, SHORT).map(drop);
    context.pid.map(|pid| procfs::settled(pid, context.plan.settle, listen)).transpose()
}

/// Everybody is sent a few large messages.
fn burst(load: &mut PubSubLoad, channels: usize) -> anyhow::Result<()> {
    for _ in 0..BURST_MESSAGES {
        for channel in 0..channels {
            load.publish_in(channel, Instant::now())?;
        }
        // One at a time: a log that is overtaken would be another measurement.
        load.drain()?;
    }
    Ok(())
}

/// The connections ping, each in its turn, as often as so many clients do by the protocol. Returns how many pings were answered.
fn beat(context: &RunContext<'_>, load: &mut PubSubLoad, clients: usize) -> anyhow::Result<u64> {
    let (lasts, subscribers) = (context.plan.lasts, context.plan.connections);
    let answered = load.tracker.pongs;
    context.progress.begin("heartbeats", 1000);
    let mut ping = Vec::new();
    context.target.protocol.ping(&mut ping);
    let begin = Instant::now();
    let mut sent = 0;
    loop {
        let passed = begin.elapsed();
        if passed >= lasts {
            break;
        }
        let due = passed.as_secs_f64() / PING_EVERY.as_secs_f64() * clients as f64;
        while (sent as f64) < due {
            load.event_loop.connections[sent % subscribers].send(&ping)?;
            sent += 1;
        }
        let wait = PING_EVERY.as_secs_f64() / clients as f64;
        load.event_loop.poll(&mut load.tracker, Duration::from_secs_f64(wait.min(0.1)))?;
        context.progress.time(passed, lasts);
    }
    let sent = sent as u64;
    let all = answered + sent;
    load.event_loop
        .poll_until(&mut load.tracker, "an answer to every ping", |_, tracker| tracker.pongs >= all)?;
    ensure!(load.tracker.pongs == all, "{sent} pings and {} answers", load.tracker.pongs - answered);
    Ok(sent)
}
