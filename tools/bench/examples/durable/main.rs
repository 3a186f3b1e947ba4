//! What a disk costs: acknowledged publishes a second, each on the disk before its answer, and a resume storm that reads it.
//!
//! `cargo run --release -p tautline-bench --example durable [-- <publishers> <clients>]`, after `cargo build --release -p tautline`:
//! the server is that binary, in a process of its own on the same machine.

mod line;
mod server;

use std::{
    error::Error,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::{line::Line, server::Server};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const PUBLISHERS: usize = 256;
const PUBLISHERS_A_CHANNEL: usize = 16;
const LASTS: Duration = Duration::from_secs(10);
const PAYLOAD_BYTES: usize = 128;
const CLIENTS: usize = 5_000;
const BEHIND: u64 = 50;
/// Connections that open, or channels that fill, at once while the storm is prepared.
const AT_ONCE: usize = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let publishers = arguments.next().transpose()?.unwrap_or(PUBLISHERS);
    let clients = arguments.next().transpose()?.unwrap_or(CLIENTS);
    server::raise_open_files();
    let server = Server::start()?;
    publish(&server, publishers).await?;
    resume(&server, clients).await?;
    server.end()
}

/// Every publisher sends its next publication when the last one was acknowledged.
async fn publish(server: &Server, publishers: usize) -> Outcome<()> {
    let mut tasks = JoinSet::new();
    let cpu = server.cpu()?;
    let begin = Instant::now();
    for number in 0..publishers {
        let mut line = Line::open(server.address).await?;
        tasks.spawn(async move {
            line.hello(&json!({"auth": {"guest": true}})).await?;
            let channel = format!("bench:{}", number / PUBLISHERS_A_CHANNEL);
            let mut latencies = Vec::new();
            for id in 1_u64.. {
                let sent = Instant::now();
                if sent - begin > LASTS {
                    break;
                }
                line.publish(id, &channel, PAYLOAD_BYTES).await?;
                latencies.push(sent.elapsed());
            }
            Outcome::Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    let lasted = begin.elapsed();
    let cpu = server.cpu()? - cpu;
    latencies.sort_unstable();
    let at = |percent: usize| latencies[latencies.len() * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{publishers} publishers, {PAYLOAD_BYTES} bytes, durable: {:.0} acknowledged a second, p50 {:.1} ms, p99 {:.1} ms, \
         {:.1} µs of the server's CPU each",
        latencies.len() as f64 / lasted.as_secs_f64(),
        at(50),
        at(99),
        cpu.as_secs_f64() * 1e6 / latencies.len() as f64
    );
    Ok(())
}

/// Clients come back at once, each behind in a channel of its own.
async fn resume(server: &Server, clients: usize) -> Outcome<()> {
    let mut tickets = Vec::new();
    for first in (0..clients).step_by(AT_ONCE) {
        let mut tasks = JoinSet::new();
        for number in first..clients.min(first + AT_ONCE) {
            let mut line = Line::open(server.address).await?;
            tasks.spawn(async move { prepare(&mut line, number).await });
        }
        while let Some(done) = tasks.join_next().await {
            tickets.push(done??);
        }
    }
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for (number, ticket, epoch) in tickets {
        let address = server.address;
        tasks.spawn(async move {
            let mut line = Line::open(address).await?;
            let cursors = json!({format!("phone:{number}"): {"epoch": epoch, "offset": 0}});
            line.hello(&json!({"resume": {"ticket": ticket, "attempt": 2, "cursors": cursors}})).await?;
            line.hear(|packet| packet["pub"]["offset"] == BEHIND).await?;
            Outcome::Ok(line)
        });
    }
    let mut online = Vec::new();
    while let Some(done) = tasks.join_next().await {
        online.push(done??);
    }
    println!(
        "{clients} clients come back at once, each {BEHIND} publications behind: all caught up in {:.2} s",
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Gets a ticket, fills the client's channel, and goes.
async fn prepare(line: &mut Line, number: usize) -> Outcome<(usize, String, String)> {
    let welcome = line.hello(&json!({"auth": {"guest": true}})).await?;
    let ticket = welcome["ticket"].as_str().ok_or("no ticket")?.to_owned();
    let channel = format!("phone:{number}");
    for id in 1..=BEHIND {
        line.start_publish(id, &channel, PAYLOAD_BYTES).await?;
    }
    let answer: Value = line.hear(|packet| packet["ok"]["offset"] == BEHIND).await?;
    let epoch = answer["ok"]["epoch"].as_str().ok_or("no epoch")?.to_owned();
    line.bye_without_a_word();
    Ok((number, ticket, epoch))
}
