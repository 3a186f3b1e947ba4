//! Appends on their way: one call at a time for each partition.
//!
//! Start at [`spawn`]. What arrives during a call goes together in the next one. One call at a time keeps the
//! order, and lets Redis remember the result of the last call alone: a call without a reply is repeated with
//! its number, and takes effect once (ADR 0033).

use std::sync::{Arc, atomic::Ordering};

use tautline_engine::{Appended, EngineError};
use tautline_protocol::ChannelName;
use tokio::time::Instant;

use crate::{
    append::Caller,
    fault::Refusal,
    heal::heal,
    options::{Acknowledge, REPLICA_WAIT},
    partition::Partition,
    resp::{Command, Value},
    router::Lane,
    served::{Seen, Verdict},
    shared::Shared,
};

/// Begins to serve the queue of a partition.
pub(crate) fn spawn(shared: &Arc<Shared>, partition: Partition) {
    let open = shared.open();
    shared.runtime.spawn(async move { serve(&open.0, partition).await });
}

/// Serves a queue until it is empty.
async fn serve(shared: &Arc<Shared>, partition: Partition) {
    while let Some((batch, number, oldest)) = shared.appends.take(partition) {
        // What has waited for long has still a moment: its call may succeed.
        let until = (oldest + shared.options.job_wait).max(Instant::now() + shared.options.reply_wait / 4);
        let command = batch.command(&shared.keys, partition, &caller(shared, partition, number), number);
        let settled = match call(shared, partition, command, until).await {
            Ok(reply) => {
                shared.takes_appends.store(true, Ordering::Release);
                batch.settle(&reply)
            }
            Err(error) => {
                shared.takes_appends.store(false, Ordering::Release);
                batch.fail(&error)
            }
        };
        for (append, outcome) in settled {
            let outcome = notice(shared, &append.channel, outcome).await;
            shared.appends.settle(append, outcome);
        }
    }
}

/// Tells other nodes of a publication, and heals a log that has lost what was before it.
async fn notice(
    shared: &Arc<Shared>,
    channel: &ChannelName,
    outcome: Result<Appended, EngineError>,
) -> Result<Appended, EngineError> {
    let Ok(Appended::New { epoch, entry, before_at, base, base_at }) = outcome else { return outcome };
    shared.hint(channel, entry.offset());
    let seen = Seen { epoch: Arc::clone(&epoch), head: entry.offset(), head_at: entry.at() };
    let verdict = shared.served().appended(channel, seen, before_at, Instant::now());
    let epoch = match verdict {
        Verdict::Suspect(seen) => match heal(shared, channel, &seen).await {
            Ok(Some(now)) if !now.is_empty() => now,
            _ => epoch,
        },
        _ => epoch,
    };
    Ok(Appended::New { epoch, entry, before_at, base, base_at })
}

fn caller(shared: &Shared, partition: Partition, number: u64) -> Caller {
    Caller {
        process: shared.process,
        epoch: shared.epoch(partition, number),
        incarnation: shared.next_incarnation.load(Ordering::Acquire),
    }
}

/// Makes a call until it has a reply.
async fn call(
    shared: &Arc<Shared>,
    partition: Partition,
    call: Command,
    until: Instant,
) -> Result<String, EngineError> {
    let mut commands = vec![call];
    let to_replica = shared.options.acknowledge == Acknowledge::Replica;
    if to_replica {
        let wait_ms = u64::try_from(REPLICA_WAIT.as_millis()).unwrap_or(u64::MAX);
        commands.push(Command::new("WAIT").number(1).number(wait_ms));
    }
    let mut sent = false;
    loop {
        let asking = shared.router.ask_again(Lane::Appends, partition, &commands, until, &mut sent);
        let replies = asking.await?;
        let reply = match &replies[0] {
            Value::Error(words) => return Err(refused(Refusal::of(words).to_error(), sent)),
            reply => reply.text().filter(|reply| *reply != "stale"),
        };
        let Some(reply) = reply else {
            return Err(EngineError::InDoubt("Redis gave an unknown answer".to_owned()));
        };
        if !to_replica || replies[1].number().is_some_and(|replicas| replicas > 0) {
            return Ok(reply.to_owned());
        }
        if Instant::now() >= until {
            return Err(EngineError::InDoubt("no replica of Redis has acknowledged this".to_owned()));
        }
    }
}

/// The error of a refused call: in doubt if it was sent before, because that time it may have been executed.
fn refused(error: EngineError, sent: bool) -> EngineError {
    match error {
        EngineError::Unavailable(words) | EngineError::Full(words) if sent => EngineError::InDoubt(words),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_after_call_was_sent_is_in_doubt() {
        for words in ["NOREPLICAS Not enough", "MISCONF Errors", "OOM command not allowed", "WRONGTYPE"] {
            let error = || Refusal::of(words).to_error();
            assert!(matches!(refused(error(), true), EngineError::InDoubt(_)), "{words}");
            assert_eq!(refused(error(), false).to_string(), error().to_string());
        }
    }
}
