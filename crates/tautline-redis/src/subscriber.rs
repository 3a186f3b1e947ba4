//! The way of hints: one subscribed connection, which is made anew for ever.
//!
//! Start at [`run`]. Probes of our own go over it; where they do not come, it is given up. After each new
//! connection all served channels are looked at: what came in between is not known.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    hints,
    jitter::Backoff,
    options::SILENT_MAX,
    partition::Partition,
    resp::{self, Command, Value},
    shared::Shared,
    socket,
};

/// Subscribes, for ever.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut backoff = Backoff::default();
    loop {
        let since = Instant::now();
        let cause = match subscribe(&shared).await {
            Ok(cause) => cause.to_owned(),
            Err(error) => error.to_string(),
        };
        if since.elapsed() > SILENT_MAX * 2 {
            backoff = Backoff::default();
        }
        tracing::warn!(event = "redis_hints_lost", cause, "no hints of other nodes; subscribing again");
        shared.router.counts.hint_interruptions.add(1);
        sleep(backoff.next_wait()).await;
    }
}

/// Takes hints until the connection is to be given up.
async fn subscribe(shared: &Arc<Shared>) -> std::io::Result<&'static str> {
    let Some(node) = shared.router.find_node(Partition::FIRST).await else { return Ok("no node is known") };
    let account = shared.router.account();
    let connecting = timeout(shared.options.connect_wait, socket::connect(&node, &account));
    let Ok(connected) = connecting.await else { return Ok("Redis does not answer") };
    let mut socket = connected?;
    let probe = shared.keys.probe(shared.process);
    let mut bytes = Vec::new();
    let told = shared.keys.told();
    Command::new("SUBSCRIBE").arg(shared.keys.hints()).arg(&probe).arg(&told).write(false, &mut bytes);
    socket.write_all(&bytes).await?;
    let generation = shared.way.begin();
    tracing::debug!(generation, %node, "subscribed to hints");
    let (mut buffer, mut heard_at, mut subscribed) = (Vec::new(), Instant::now(), 0);
    loop {
        tokio::select! {
            read = socket.read_buf(&mut buffer) => if read? == 0 { return Ok("Redis has closed the connection") },
            () = sleep_until(heard_at + SILENT_MAX) => return Ok("probes do not come"),
        }
        let mut at = 0;
        while let Some((message, length)) = resp::read(&buffer[at..]).map_err(std::io::Error::other)? {
            at += length;
            match message.array() {
                Some([kind, channel, data]) if kind.text() == Some("message") => {
                    heard_at = Instant::now();
                    shared.way.hear();
                    match channel.text() {
                        Some(name) if name == probe => {}
                        Some(name) if name == told => shared.told(data.text().unwrap_or_default()),
                        _ => take_hint(shared, data),
                    }
                }
                Some([kind, _, _]) if kind.text() == Some("subscribe") => {
                    subscribed += 1;
                    if subscribed == 3 {
                        shared.look_at_all.notify_one();
                        shared.told("*");
                    }
                }
                // Taken from us, as where a slot moves, or refused.
                _ => return Ok("the subscription was ended"),
            }
        }
        buffer.drain(..at);
        if shared.router.find_node(Partition::FIRST).await.is_some_and(|primary| primary != node) {
            return Ok("the primary was changed");
        }
    }
}

fn take_hint(shared: &Arc<Shared>, data: &Value) {
    for (channel, head) in hints::decode(data.text().unwrap_or_default(), shared.process) {
        shared.router.counts.hints_taken.add(1);
        shared.wake(&channel, head);
    }
}
