//! Learns what other nodes have appended: hints, and looks that find what a lost hint hid.
//!
//! Start at [`look`] and [`send_hints`].

use std::{collections::HashMap, sync::Arc};

use tautline_engine::EngineError;
use tautline_protocol::ChannelName;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Duration, Instant, MissedTickBehavior, interval, timeout},
};

use crate::{
    heal::heal,
    hints::{self, CHANNELS_MAX},
    options::{LOOK_EVERY, LOOK_MAX, LOOK_PIPELINE, LOOK_TICK, LOOK_WAIT, PROBE_EVERY, Wake},
    partition::Partition,
    resp::{Command, Value},
    router::Lane,
    served::{Seen, Verdict},
    shared::Shared,
};

/// Looks at served channels whose time has come, for ever; at all of them after the way of hints was made anew.
pub(crate) async fn look(shared: Arc<Shared>) {
    let every = match shared.options.wake {
        Wake::Hints => LOOK_EVERY,
        Wake::Looks => Duration::ZERO,
    };
    let mut ticks = interval(LOOK_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = false;
    loop {
        let all = tokio::select! {
            _ = ticks.tick() => false,
            () = shared.look_at_all.notified() => true,
        };
        let mut left = if all { shared.served().len() } else { LOOK_MAX };
        while left > 0 {
            let due = shared.served().due(Instant::now(), every, left.min(LOOK_MAX), all);
            left = left.saturating_sub(due.len().max(1));
            if due.is_empty() {
                break;
            }
            let error = look_at(&shared, due).await.err();
            if let Some(error) = error.as_ref().filter(|_| !failed) {
                tracing::warn!(event = "redis_look_failed", %error, "some served channels cannot be looked at");
            }
            failed = error.is_some();
            if !all {
                break;
            }
        }
    }
}

/// Looks at channels, at all partitions at once: a node that does not answer holds up its own ones, and the
/// others for a moment only. The first error, if there are any.
async fn look_at(shared: &Arc<Shared>, due: Vec<ChannelName>) -> Result<(), EngineError> {
    let mut by_partition: HashMap<Partition, Vec<ChannelName>> = HashMap::new();
    for channel in due {
        by_partition.entry(Partition::of(channel.as_str())).or_default().push(channel);
    }
    let mut looks = JoinSet::new();
    for (partition, channels) in by_partition {
        let shared = Arc::clone(shared);
        looks.spawn(async move { look_into(&shared, partition, &channels).await });
    }
    let mut outcome = Ok(());
    while let Some(look) = looks.join_next().await {
        outcome = outcome.and(look.unwrap_or(Ok(())));
    }
    outcome
}

/// Looks at channels of one partition.
async fn look_into(
    shared: &Arc<Shared>,
    partition: Partition,
    channels: &[ChannelName],
) -> Result<(), EngineError> {
    for channels in channels.chunks(LOOK_PIPELINE) {
        let question = |channel| Command::new("HMGET").arg(shared.keys.channel(channel).state);
        let questions: Vec<_> =
            channels.iter().map(|channel| question(channel).arg("e").arg("h").arg("a")).collect();
        let asking = shared.router.ask(Lane::Others, partition, &questions, Instant::now() + LOOK_WAIT);
        let late = |_| EngineError::Unavailable("Redis does not answer a look".to_owned());
        let replies = timeout(LOOK_WAIT, asking).await.map_err(late)??;
        shared.router.counts.looks.add(channels.len());
        for (channel, reply) in channels.iter().zip(&replies) {
            let Some(seen) = seen(reply) else { continue };
            let verdict = shared.served().saw(channel, seen, Instant::now());
            if matches!(verdict, Verdict::Grown(_) | Verdict::Another) {
                shared.router.counts.found_by_looks.add(1);
            }
            heed(shared, channel, verdict).await;
        }
    }
    Ok(())
}

/// A log that has not begun has no epoch of its own, and the head 0.
fn seen(reply: &Value) -> Option<Seen> {
    let [epoch, head, head_at] = reply.array()? else { return None };
    Some(match epoch {
        Value::Nil => Seen { epoch: "".into(), head: 0, head_at: 0 },
        epoch => Seen { epoch: epoch.text()?.into(), head: head.number()?, head_at: head_at.number()? },
    })
}

/// Tells the hub what is new, and heals a log that has lost something.
async fn heed(shared: &Arc<Shared>, channel: &ChannelName, verdict: Verdict) {
    match verdict {
        // Where nothing is new, too: the hub may have failed to read, and ignores a head that it has.
        Verdict::Same(head) | Verdict::Grown(head) => shared.wake(channel, head),
        // Whatever its head is.
        Verdict::Another => shared.wake(channel, u64::MAX),
        Verdict::Suspect(seen) => match heal(shared, channel, &seen).await {
            Ok(Some(_)) => shared.wake(channel, u64::MAX),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(event = "redis_epoch_kept", %error, %channel, "a log that has lost publications keeps its epoch")
            }
        },
    }
}

/// Tells other nodes of new publications, those of one moment together.
pub(crate) async fn send_hints(shared: Arc<Shared>, mut queue: mpsc::Receiver<(ChannelName, u64)>) {
    let mut taken = Vec::new();
    let channel = shared.keys.hints();
    while queue.recv_many(&mut taken, CHANNELS_MAX).await > 0 {
        let mut heads: HashMap<ChannelName, u64> = HashMap::new();
        for (channel, head) in taken.drain(..) {
            let known = heads.entry(channel).or_default();
            *known = head.max(*known);
        }
        let heads: Vec<_> = heads.into_iter().collect();
        let publish = Command::new("PUBLISH").arg(&channel).arg(hints::encode(shared.process, &heads));
        // A hint that cannot be sent now is no use later.
        let until = Instant::now();
        let counts = &shared.router.counts;
        match shared.router.ask(Lane::Others, Partition::FIRST, &[publish], until).await {
            Ok(_) => counts.hints_sent.add(heads.len()),
            Err(_) => counts.hints_dropped.add(heads.len()),
        }
    }
}

/// Probes the way of hints.
pub(crate) async fn send_probes(shared: Arc<Shared>) {
    let channel = shared.keys.probe(shared.process);
    let mut ticks = interval(PROBE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let probe = Command::new("PUBLISH").arg(&channel).arg("1");
        let until = Instant::now();
        let _ = shared.router.ask(Lane::Others, Partition::FIRST, &[probe], until).await;
    }
}
